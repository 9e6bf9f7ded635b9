"""Copies of the templates for the demo's model: those it can serve run at the first click, the
others begin with a note that says which files they need.

`scripts/demo --serve` shows them in the page under a name of their own; `scripts/thumbnails.py`
runs them for the pictures of the templates.
"""

import copy
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comfy_host
import comfy_server
import served_models
import sheet
import workflow

TEMPLATES = comfy_host.PACK / "example_workflows"
PACK_NAME = "ip-adapter-demo"
FIRST = "01 Image prompt"
EXAMPLE = "example.png"
SAVES_EMBEDS = "05 Save embeds"  # the file that the templates from an embeds file open
SD15, PLUS_FACE = "a Stable Diffusion 1.5 checkpoint", "ip-adapter-plus-face_sd15.safetensors"
NOT_SERVED = {  # and what they need
    "02 Two people": f"{SD15} and {PLUS_FACE}",
    "13 Face": f"{SD15} and {PLUS_FACE}",
    "17 ControlNet": f"{SD15}, ip-adapter-plus_sd15.safetensors and a canny ControlNet",
    "19 SDXL": "an SDXL checkpoint and ip-adapter-plus_sdxl_vit-h.safetensors",
    "22 Compare faces": "the face recogniser w600k_r50.onnx",
    "24 FLUX": "a FLUX.1 checkpoint and flux-ip-adapter-v2.safetensors",
    "25 SD 3.5 Large": "a Stable Diffusion 3.5 Large checkpoint and SD3.5-Large-IP-Adapter.bin",
    "26 InstantID": "an SDXL checkpoint, InstantID's files and the face recogniser glintr100.onnx",
    "27 Kolors": "ComfyUI-Kolors-MZ with its files for Kolors, and Kolors-IP-Adapter-Plus.bin",
}
WITH_SEVERAL = (4, 5, 10, 14, 15, 16)  # the first references go well together
# The demo's model knows images of 64 x 64, an eighth of what the templates ask for.
SHRINK = 8
SIZES = {
    "ImageScale": ("width", "height"),
    "SolidMask": ("width", "height"),
    "MaskComposite": ("x", "y"),
}
VALUES = {
    "CheckpointLoaderSimple": {"ckpt_name": "demo-sd15.safetensors"},
    "LoadIPAdapter": {"ipadapter_file": "demo-base-sd15.safetensors"},
    "EmptyLatentImage": {"width": 64, "height": 64},
    "KSampler": {
        "steps": sheet.STEPS,
        "cfg": sheet.CFG,
        "sampler_name": "euler",
        "scheduler": "normal",
    },
    "ApplyIPAdapter": {"weight": 1.0, "box": ""},
    "EncodeIPAdapterReference": {"detail": 1},  # the demo's encoder knows no tiles of an image
    "CompareImagePrompts": {
        "weights": "0, 0.7, 1.3",
        "tasks": "whole image, style, composition",  # those that its adapter names layers for
        "width": 64,
        "height": 64,
        "steps": sheet.STEPS,
        "cfg": sheet.CFG,
    },
    "LoadIPAdapterEmbeds": {"file": "embeds/reference_00001_.safetensors [output]"},
}
# What the kinds of weights mean on the demo's model, which has other blocks than SD1.5.
LAYERS = {"style": sheet.STYLE, "layout": sheet.LAYOUT}


def names() -> list[str]:
    return sorted(path.stem for path in TEMPLATES.glob("*.json"))


def served() -> list[str]:
    return [name for name in names() if name not in NOT_SERVED]


def copy_for_demo(name: str, object_info: dict, references: list[str]) -> dict:
    """A template that runs with the demo's files, as the browser saves graphs.

    references: files of the input folder, for the loaded images in their order.
    """
    graph = copy.deepcopy(read(name))
    images = iter(references)
    for node in graph["nodes"]:
        if node["type"] == "ImageInvert":  # a second reference from one file
            make_load_image(graph, node)
        node.get("properties", {}).pop("models", None)
        if node["type"] not in object_info:
            continue  # notes
        info = object_info[node["type"]]
        values = dict(VALUES.get(node["type"], {}))
        if node["type"] == "LoadImage":
            values["image"] = next(images)
        saved = workflow.widget_values(node, info)
        values |= {key: saved[key] // SHRINK for key in SIZES.get(node["type"], ())}
        if saved.get("take") in LAYERS:
            values |= {"take": "balanced", "layers": LAYERS[saved["take"]]}
        workflow.set_widgets(node, info, values)
    if name == SAVES_EMBEDS:  # this model was not trained with two references side by side
        second = [node for node in graph["nodes"] if node["type"] == "EncodeIPAdapterReference"][1]
        workflow.set_widgets(second, object_info[second["type"]], {"weight": 0.0})
    return graph


def make_load_image(graph: dict, node: dict) -> None:
    """Turn a node that changes an image into a Load Image node."""
    (link,) = (link for link in graph["links"] if link[3] == node["id"])
    graph["links"].remove(link)
    for source in graph["nodes"]:
        for output in source.get("outputs") or ():
            output["links"] = [number for number in output["links"] or () if number != link[0]]
    mask = {"name": "MASK", "type": "MASK", "links": []}
    outputs = [{**node["outputs"][0], "name": "IMAGE"}, mask]
    changes = {"type": "LoadImage", "inputs": [], "outputs": outputs, "size": [310, 330]}
    node |= {**changes, "widgets_values": ["", "image"]}


def copy_with_note(name: str) -> dict:
    """A template that the demo cannot run, with a note in front of its nodes."""
    graph = copy.deepcopy(read(name))
    graph["last_node_id"] += 1
    text = f"This template does not run with the demo's model: it needs {NOT_SERVED[name]}."
    note: dict[str, Any] = {
        "id": graph["last_node_id"],
        "type": "MarkdownNote",
        "pos": [20, -140],
        "size": [700, 110],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {},
        "widgets_values": [text],
        "color": "#432",
        "bgcolor": "#653",
    }
    graph["nodes"].append(note)
    return graph


def read(name: str) -> dict:
    return json.loads((TEMPLATES / f"{name}.json").read_text("utf-8"))


def make_folder(work: Path) -> Path:
    """A folder of custom nodes that holds one pack with templates alone, to be filled by `fill`.

    A host lists the packs when it starts.
    """
    folder = work / "custom_nodes"
    (folder / PACK_NAME / "example_workflows").mkdir(parents=True, exist_ok=True)
    (folder / PACK_NAME / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    return folder


def fill(server: comfy_server.Server) -> None:
    """Write the templates, and the references they load, into the folders of a server that was
    started with `make_folder`.
    """
    inputs = server.work / "input"
    references, object_info = sheet.references(inputs), server.get("/object_info")
    if not (inputs / EXAMPLE).exists():  # what this pack's own templates load
        shutil.copy(inputs / references[0], inputs / EXAMPLE)
    templates = server.work / "custom_nodes" / PACK_NAME / "example_workflows"
    for path in templates.glob("*.json"):
        path.unlink()
    for name in served():
        graph = copy_for_demo(name, object_info, references_of(name, references))
        (templates / copy_name(name)).write_text(json.dumps(graph))
    for name in NOT_SERVED:
        (templates / copy_name(name)).write_text(json.dumps(copy_with_note(name)))


def references_of(name: str, references: list[str]) -> list[str]:
    """The references in the order in which a template loads them: not always the first alone."""
    number = int(name.split()[0])
    start = 0 if number in WITH_SEVERAL else (number - 1) % len(references)
    return references[start:] + references[:start]


def copy_name(name: str) -> str:
    """The file of a copy: the page opens none by an address with spaces."""
    return f"{name.replace(' ', '_')}.json"


def template(server: comfy_server.Server, name: str) -> dict:
    return server.get(f"/api/workflow_templates/{PACK_NAME}/{copy_name(name)}")


def save_embeds(server: comfy_server.Server) -> None:
    """Run the template that saves the embeds file which others load, once."""
    if not any((server.work / "output" / "embeds").glob("reference*")):
        graph = template(server, SAVES_EMBEDS)
        server.run(workflow.to_prompt(graph, server.get("/object_info")))


@contextmanager
def running_server(work: Path) -> Iterator[comfy_server.Server]:
    """A host with the demo's models and these templates, that reads and writes in a folder."""
    host = comfy_host.prepare()
    models = served_models.demo_models(host)
    flags = served_models.flags(models, work, make_folder(work))
    with comfy_server.Server(host, work, *flags) as server:
        fill(server)
        yield server


def address(server: comfy_server.Server) -> str:
    """The page with the first template opened."""
    return f"{server.base}/?template={Path(copy_name(FIRST)).stem}&source={PACK_NAME}"
