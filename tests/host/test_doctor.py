"""The doctor in the host: what it finds in real folders, what it tells nobody, and its routes."""

import asyncio
import json
import os
from pathlib import Path

import make_models
import pytest
import torch
from adapter_layouts import Base
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

pytestmark = pytest.mark.host

SMALL = Base(768, (8,) * 16)
ADAPTER = "is an adapter in the wrong folder: move it to models/ipadapter"


def encoder_file(path):
    """The tensors by which ViT-H is known, as small as they can be."""
    tensors = {
        "vision_model.embeddings.patch_embedding.weight": torch.zeros(1280, 1, 1, 1),
        "vision_model.encoder.layers.31.mlp.fc1.weight": torch.zeros(1),
        "visual_projection.weight": torch.zeros(1024, 1),
    }
    make_models.save(path, tensors)


@pytest.fixture
def models(host, tmp_path, monkeypatch):
    """A models folder as people have them."""
    import folder_paths

    folder = tmp_path / "home of somebody" / "models"
    kinds = ("ipadapter", "clip_vision", "loras", "checkpoints", "controlnet", "diffusers")
    monkeypatch.setattr(folder_paths, "models_dir", str(folder))
    known = {
        kind: ([str(folder / kind)], set(folder_paths.supported_pt_extensions)) for kind in kinds
    }
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
    known["custom_nodes"] = ([str(tmp_path)], set())
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    for place in ("input", "output"):
        (tmp_path / place).mkdir()
        monkeypatch.setattr(folder_paths, f"{place}_directory", str(tmp_path / place))
    return folder


@pytest.fixture
def adapter_file(models):
    def make(name, kind="ip-adapter_sd15"):
        return make_models.save(models / name, make_models.adapter_tensors(kind, SMALL))

    return make


@pytest.fixture
def advice(pack, models):
    def run():
        report = pack.nodes.doctor.scan.report()
        return {entry.file.display_path: entry.advice for entry in report.entries}

    return run


def test_wrong_folders_are_found_wherever_they_are(adapter_file, models, advice):
    wrong = ["clip_vision/a.safetensors", "checkpoints/b.bin", "controlnet/c.safetensors"]
    wrong += ["loras/sub/d.safetensors", "IPAdapters/e.safetensors", "f.safetensors"]
    for name in [*wrong, "ipadapter/good.safetensors"]:
        adapter_file(name)
    encoder_file(models / "ipadapter" / "e.safetensors")
    encoder_file(models / "clip_vision" / "e.safetensors")
    encoder_file(models / "diffusers" / "x" / "model.safetensors")
    (models / "diffusers" / "x" / "config.json").touch()
    make_models.save(models / "loras" / "real.safetensors", {"lora_te_a.weight": torch.zeros(1)})
    assert advice() == {
        "models/clip_vision/e.safetensors": "",
        "models/ipadapter/good.safetensors": "",
        "models/ipadapter/e.safetensors": "is an image encoder in the wrong folder: move it to "
        "models/clip_vision",
        **{f"models/{name}": ADAPTER for name in wrong},
    }


def test_near_misses_are_said_in_one_sentence_each(adapter_file, models, advice):
    good = Path(adapter_file("ipadapter/good.safetensors"))
    whole, folder = good.read_bytes(), models / "ipadapter"
    for name in ("a .safetensors", "b.safetensors.1"):
        (folder / name).write_bytes(whole)
    for name in ("cut.safetensors", "c.safetensors.crdownload", ".d.safetensors.part"):
        (folder / name).write_bytes(whole[:5000])
    (folder / "page.bin").write_text("<!doctype html><html>")
    (folder / "lfs.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid x")
    (folder / "empty.bin").touch()
    (folder / "text.pth").write_text("hello")
    (folder / "gone.safetensors").symlink_to(models / "nothing")
    (folder / "readme.md").write_text("hello")
    make_models.save(folder / "lora.safetensors", {"lora_te_a.weight": torch.zeros(1)})
    expected = {
        "a .safetensors": "stray space or copy mark in its name, so graphs of others do not find "
        "it: rename it to 'a.safetensors'",
        "b.safetensors.1": "is whole, but ComfyUI does not list it under this name: rename it to "
        "'b.safetensors'",
        "cut.safetensors": "is damaged or cut off",
        "c.safetensors.crdownload": "is an unfinished download of 5000 bytes: finish it, or "
        "delete it",
        ".d.safetensors.part": "is an unfinished download",
        "page.bin": "is a web page, not a model",
        "lfs.safetensors": "is a Git LFS pointer",
        "empty.bin": "is empty",
        "text.pth": "is neither a safetensors nor a torch file",
        "gone.safetensors": "is a link to a file that is not there",
        "lora.safetensors": "is a LoRA, not an adapter; move it to models/loras",
        "good.safetensors": "",
    }
    found = advice()
    assert set(found) == {f"models/ipadapter/{name}" for name in expected}
    for name, part in expected.items():
        assert part in found[f"models/ipadapter/{name}"]


def test_a_changed_file_is_read_again_and_a_folder_that_links_to_itself_ends(
    adapter_file, models, advice
):
    path = Path(adapter_file("ipadapter/a.safetensors"))
    (models / "loras" / "round").symlink_to(models / "loras")
    assert advice() == {"models/ipadapter/a.safetensors": ""}
    path.write_bytes(b"<html>")
    assert "is a web page" in advice()["models/ipadapter/a.safetensors"]


def test_one_folder_for_adapters_and_encoders_is_no_wrong_folder(
    adapter_file, models, advice, host
):
    import folder_paths

    both = str(models / "ipadapter")
    endings = folder_paths.supported_pt_extensions
    folder_paths.folder_names_and_paths["clip_vision"] = ([both], endings)
    adapter_file("ipadapter/a.safetensors")
    encoder_file(models / "ipadapter" / "e.safetensors")
    assert set(advice().values()) == {""}


def test_the_node_says_it_all_and_nothing_of_the_person(
    adapter_file, models, nodes_by_id, tmp_path, pack
):
    adapter_file("ipadapter/a.safetensors")
    encoder_file(models / "clip_vision" / "e.safetensors")
    (models / "ipadapter" / "bad.bin").write_bytes(b"PK" + str(tmp_path).encode() * 9)
    (models / "ipadapter" / "gone.bin").symlink_to(tmp_path / "nothing")
    metadata = {
        "format": pack.nodes.references.embeds.to_file.__globals__["FORMAT"],
        "encoder": "CLIP ViT-H",
    }
    seen = {"positive": torch.zeros(1, 1024)}
    pack.nodes.references.embeds.save_file(seen, tmp_path / "output" / "x.safetensors", metadata)
    pack.nodes.references.embeds.save_file(seen, tmp_path / "output" / "y.safetensors")
    torch.save(torch.zeros(2, 1024), tmp_path / "input" / "z.ipadpt")
    node = nodes_by_id["IPAdapterDoctor"]
    output = node.execute("SD1.5", "look")
    (text,) = output.args
    assert output.ui["text"] == (text,)
    assert "models/ipadapter/a.safetensors: SD1.5 base, 4 tokens" in text
    assert "works with e.safetensors" in text
    assert "models/ipadapter/bad.bin is damaged" in text
    assert "output/x.safetensors: embeds of CLIP ViT-H" in text
    assert "y.safetensors" not in text
    assert "input/z.ipadpt: embeds of 2 pictures, 1024 wide" in text
    assert (
        "For SD1.5, to follow the look of a picture: ready\n  a.safetensors with e.safetensors"
        in text
    )
    assert text.count("\nFor ") == 1
    for private in (str(tmp_path), str(Path.home()), "home of somebody", os.uname().nodename):
        assert private not in text
    assert node.execute("every", "every").args[0].count("\nFor ") == 6
    assert node.fingerprint_inputs("SD1.5", "look") != node.fingerprint_inputs("SD1.5", "look")


@pytest.fixture
def ask(pack, models):
    """(method, path, body, headers) -> (status, reply), from the routes in a server of their
    own.
    """
    parts, started = pack.nodes.doctor, []

    def fetch(row, progress):
        started.append(row.name)

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
        ('"' + "a" * 20_000 + '"', {}, 400),
    ],
    ids=str,
)
def test_only_the_own_page_starts_a_download_and_only_of_the_table(ask, body, headers, status):
    replies, started = ask(("POST", "download", body, headers))
    assert replies[0][0] == status
    assert started == ([NAME] if status == 200 else [])


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
    paths = {one["path"] for one in report[1]["files"]}
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


def test_a_file_for_other_packs_is_known_when_it_is_there(ask, models):
    name = "ip-adapter-faceid-plusv2_sdxl_lora.safetensors"
    (models / "loras" / "ipadapter").mkdir()
    (models / "loras" / "other.safetensors").write_bytes(b"{}")
    with (models / "loras" / "ipadapter" / name).open("wb") as file:
        file.truncate(371842896)
    ((_, report),), _ = ask(("GET", "doctor", None, {}))
    assert [one["path"] for one in report["files"]] == [f"models/loras/ipadapter/{name}"]
    assert [row["name"] for row in report["table"] if row["there"]] == [name]
    assert {row["runs"] for row in report["table"]} == {True, False}


def test_an_adapter_without_its_encoder_says_which_one_that_is(ask, adapter_file):
    adapter_file("ipadapter/mine.safetensors")
    ((_, stamps),), _ = ask(("GET", "stamps", None, {}))
    assert stamps["auto"]["mine.safetensors"] == {"name": VIT_H, "here": False}


def test_a_file_of_a_published_name_and_other_size_is_not_stamped(ask, adapter_file):
    adapter_file(f"ipadapter/{NAME}")
    ((_, stamps),), _ = ask(("GET", "stamps", None, {}))
    assert stamps["files"][NAME] is None
