"""The doctor's routes: what the browser gets, and who may start a download."""

import asyncio
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from support.model_files import encoder_file

pytestmark = pytest.mark.host


@pytest.fixture
def ask(pack, models):
    """(method, path, body, headers) -> (status, reply), from the routes in a server of their
    own.
    """
    parts, started = pack.nodes.doctor, []

    def fetch(published_file, progress):
        started.append(published_file.name)

    def run(*requests):
        async def go():
            routes = web.RouteTableDef()
            downloads = parts.jobs.Downloads(parts.routes.load(), fetch)
            parts.routes.add(routes, lambda: ["LoadIPAdapter"], parts.scan.report, downloads)
            app = web.Application()
            app.add_routes(routes)
            async with TestClient(TestServer(app)) as client:
                replies = []
                for method, path, body, headers in requests:
                    data = body if isinstance(body, str) else json.dumps(body)
                    reply = await client.request(
                        method,
                        "/ipadapternodes/" + path,
                        data=None if method == "GET" else data,
                        headers={"Content-Type": "application/json", **headers},
                    )
                    replies.append((reply.status, await reply.json()))
                return replies

        return asyncio.run(go()), started

    return run


NAME = "ip-adapter_sd15.safetensors"
VIT_H = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"
VIT_G = "CLIP-ViT-bigG-14-laion2B-39B-b160k.safetensors"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"name": NAME}, {}, 200),
        ({"name": NAME}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy"}, 200),
        ({"name": NAME}, {"Sec-Fetch-Site": "cross-site"}, 403),
        ({"name": NAME}, {"Sec-Fetch-Site": "same-site"}, 403),
        ({"name": NAME}, {"Origin": "http://evil.example"}, 403),
        ({"name": NAME}, {"Origin": "null"}, 403),
        ({"name": NAME}, {"Content-Type": "text/plain"}, 403),
        ({"name": "https://evil.example/a.safetensors"}, {}, 400),
        ({"name": "../" + NAME}, {}, 400),
        ({"name": "models/" + NAME}, {}, 400),
        ({"name": [NAME]}, {}, 400),
        ({"name": None}, {}, 400),
        ([NAME], {}, 400),
        ("{", {}, 400),
        ("[" * 5000, {}, 400),
        ('"' + "a" * 20_000 + '"', {}, 413),
    ],
    ids=str,
)
def test_only_the_own_page_starts_a_download_and_only_of_the_table(ask, body, headers, status):
    replies, started = ask(("POST", "download", body, headers))
    assert replies[0][0] == status
    assert started == ([NAME] if status == 200 else [])


@pytest.mark.parametrize("name", ["w600k_r50.onnx", "ip-adapter-faceid_sd15.bin"])
def test_terms_are_shown_before_a_download(ask, name):
    replies, started = ask(
        ("POST", "download", {"name": name}, {}),
        ("POST", "download", {"name": name, "terms": "yes"}, {}),
        ("POST", "download", {"name": name, "terms": True}, {}),
    )
    assert [status for status, _ in replies] == [428, 428, 200]
    assert "non-commercial research only" in replies[0][1]["error"]["text"]
    assert started == [name]


def test_cancelling_from_another_site_is_refused(ask):
    (own, other), _ = ask(
        ("POST", "cancel", {}, {}), ("POST", "cancel", {}, {"Sec-Fetch-Site": "cross-site"})
    )
    assert (own[0], other[0]) == (200, 403)


def test_the_browser_gets_the_report_and_what_to_stamp(ask, adapter_file, models):
    adapter_file("ipadapter/mine.safetensors")
    encoder_file(models / "clip_vision" / "e.safetensors")
    (report, stamps, state), _ = ask(
        ("GET", "doctor", None, {}), ("GET", "stamps", None, {}), ("GET", "download", None, {})
    )
    assert state == (200, None)
    paths = {file["path"] for file in report[1]["files"]}
    assert paths == {"models/ipadapter/mine.safetensors", "models/clip_vision/e.safetensors"}
    assert stamps[1]["pack"] == {"cnr_id": "ip-adapter-nodes", "ver": "0.1.0"}
    auto = stamps[1]["auto"]
    assert auto["mine.safetensors"] == auto[NAME] == {"name": VIT_H, "here": True}
    assert auto["ip-adapter_sdxl.safetensors"] == {"name": VIT_G, "here": False}
    assert not {VIT_H, VIT_G} & set(auto)
    assert stamps[1]["encoders"] == []  # its size is not the published one's
    assert stamps[1]["files"]["mine.safetensors"] is None
    assert stamps[1]["files"][NAME] == {
        "url": f"https://huggingface.co/h94/IP-Adapter/resolve/main/models/{NAME}",
        "hash": "289b45f16d043d0bf542e45831f971dcdaabe18b656f11e86d9dfba7e9ee3369",
        "hash_type": "SHA256",
        "directory": "ipadapter",
    }


@pytest.mark.parametrize(
    ("folder", "name", "size"),
    [
        ("loras/ipadapter", "ip-adapter-faceid-plusv2_sdxl_lora.safetensors", 371842896),
        ("controlnet", "instantid-controlnet.safetensors", 2502139136),
    ],
)
def test_a_file_that_only_its_name_tells_is_known_when_it_is_there(ask, models, folder, name, size):
    (models / folder).mkdir(parents=True, exist_ok=True)
    (models / "loras" / "other.safetensors").write_bytes(b"{}")
    with (models / folder / name).open("wb") as file:
        file.truncate(size)
    ((_, report),), _ = ask(("GET", "doctor", None, {}))
    assert [file["path"] for file in report["files"]] == [f"models/{folder}/{name}"]
    assert [row["name"] for row in report["table"] if row["there"]] == [name]
    assert {row["runs"] for row in report["table"]} == {True}


def test_an_adapter_without_its_encoder_says_which_one_that_is(ask, adapter_file):
    adapter_file("ipadapter/mine.safetensors")
    ((_, stamps),), _ = ask(("GET", "stamps", None, {}))
    assert stamps["auto"]["mine.safetensors"] == {"name": VIT_H, "here": False}


def test_a_file_of_a_published_name_and_other_size_is_not_stamped(ask, adapter_file):
    adapter_file(f"ipadapter/{NAME}")
    ((_, stamps),), _ = ask(("GET", "stamps", None, {}))
    assert stamps["files"][NAME] is None
