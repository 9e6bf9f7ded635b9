"""One graph on two machines: encoded on the first, drawn on both, the second without picture and
encoder.
"""

import json
import shutil
import urllib.parse
import urllib.request
from pathlib import Path

import comfy_host
import comfy_server
import pytest
from support.graphs import PORTRAIT, cached, pictures
from workflow import to_prompt

pytestmark = pytest.mark.http

FOLDER = Path(__file__).parent.parent.parent / "example_workflows"
SMALL = {
    "CheckpointLoaderSimple": {"ckpt_name": "sd15.safetensors"},
    "LoadIPAdapter": {"ipadapter_file": "sub folder/b.bin"},
    "LoadImage": {"image": "portrait.jpg"},
    "EmptyLatentImage": {"width": 64, "height": 64},
    "KSampler": {"steps": 1},
    "SaveIPAdapterEmbeds": {"filename_prefix": "first/of many"},
}


@pytest.fixture(scope="module")
def worker(model_folder, tmp_path_factory):
    """A second ComfyUI with checkpoints and adapters alone."""
    work = tmp_path_factory.mktemp("worker")
    config = work / "paths.yaml"
    kinds = {kind: str(model_folder / kind) for kind in ("checkpoints", "ipadapter")}
    config.write_text(json.dumps({"tests": kinds}))
    flags = ("--base-directory", str(work / "base"), "--extra-model-paths-config", str(config))
    (work / "base" / "custom_nodes").mkdir(parents=True)
    for name in ("models", "input"):
        (work / "base" / name).mkdir()
    (work / "base" / "custom_nodes" / "ip-adapter-nodes").symlink_to(comfy_host.PACK)
    with comfy_server.Server(comfy_host.prepare(), work, *flags) as server:
        yield server


def prompt(server, name, **changes):
    result = to_prompt(
        json.loads((FOLDER / f"{name}.json").read_text()), server.get("/object_info")
    )
    for each in result.values():
        each["inputs"] |= {**SMALL, **changes}.get(each["class_type"], {})
    return result


def upload(server, name, content):
    """What `curl -F image=@FILE -F subfolder=embeds` sends."""
    line = "--boundary\r\nContent-Disposition: form-data; "
    body = f'{line}name="subfolder"\r\n\r\nembeds\r\n{line}name="image"; filename="{name}"\r\n\r\n'
    data = body.encode() + content + b"\r\n--boundary--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=boundary"}
    request = urllib.request.Request(f"{server.base}/upload/image", data, headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer = json.loads(reply.read())
    return f"{answer['subfolder']}/{answer['name']}"


def test_a_worker_with_the_embeds_file_alone_draws_the_same(server, worker):
    shutil.copy(PORTRAIT, server.work / "input")
    graph = prompt(server, "05 Save embeds")
    result = server.run(graph)
    assert result["status"]["status_str"] == "success", result["status"]["messages"][-1]
    (saved,) = result["outputs"][of_type(graph, "SaveIPAdapterEmbeds")]["text"]
    folder, name = saved.replace("\\", "/").rsplit("/", 1)
    query = urllib.parse.urlencode({"filename": name, "subfolder": folder, "type": "output"})
    content = server.read(f"/view?{query}")
    drawn = []
    for machine in (server, worker):
        file = upload(machine, "from_the_first.safetensors", content)
        assert file == "embeds/from_the_first.safetensors"
        graph = prompt(machine, "20 Many machines", LoadIPAdapterEmbeds={"file": file})
        drawn += pictures(machine, machine.run(graph), of_type(graph, "SaveImage"))
    assert drawn[0].shape == (64, 64, 3)
    assert (drawn[0] == drawn[1]).all()
    graph = prompt(server, "20 Many machines", LoadIPAdapterEmbeds={"file": file})
    graph[of_type(graph, "ApplyIPAdapter")]["inputs"]["weight"] = 0.0
    (without,) = pictures(server, server.run(graph), of_type(graph, "SaveImage"))
    assert (without != drawn[0]).any()


def of_type(graph, kind):
    (key,) = (key for key, each in graph.items() if each["class_type"] == kind)
    return key


def test_the_worker_has_no_encoder_and_says_what_it_lacks(worker):
    choices = worker.get("/object_info/LoadCLIPVision")["LoadCLIPVision"]["input"]["required"]
    assert "auto" in str(choices["clip_name"])
    assert ".safetensors" not in str(
        choices["clip_name"][1].get("options", choices["clip_name"][0])
    )
    report = worker.get("/ipadapternodes/doctor")
    assert not [file for file in report["files"] if file["kind"] == "encoder"]
    look = next(
        need for need in report["needs"] if (need["base"], need["purpose"]) == ("SD1.5", "look")
    )
    assert look["missing"] == ["CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"]


def test_the_example_of_the_doctor_shows_its_report(server):
    graph = prompt(server, "21 Check your files")
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    displayed = {
        graph[key]["class_type"]: each["text"][0] for key, each in entry["outputs"].items()
    }
    assert displayed["IPAdapterDoctor"].startswith("IPAdapter Doctor\nip-adapter-nodes ")
    assert displayed["PreviewAny"].startswith("IPAdapter Doctor")
    again = server.run(graph)
    assert "IPAdapterDoctor" not in [graph[key]["class_type"] for key in cached(again)]
