"""API prompts for the tests over HTTP, and what comes back; the files that they name."""

import io
import json
import os
import shutil
import urllib.parse
from pathlib import Path

import numpy
from make_models import SMALL_SD15, SMALL_SDXL
from PIL import Image
from workflow import widget_values

PORTRAIT = Path(__file__).parent.parent / "data" / "portrait.jpg"
# name below models/ipadapter, which says nothing -> published name, and widths of the small models
ADAPTERS = {
    "sd15 base.safetensors": ("ip-adapter_sd15", SMALL_SD15),
    "sub folder/b.bin": ("ip-adapter-plus_sd15", SMALL_SD15),
    "c.safetensors": ("ip-adapter-full-face_sd15", SMALL_SD15),
    "d.bin": ("ip-adapter_sdxl_vit-h", SMALL_SDXL),
    "e.safetensors": ("ip-adapter-plus_sdxl_vit-h", SMALL_SDXL),
}


def graph(adapter, **settings):
    """An API prompt: checkpoint, two prompts, adapter, sampler, picture; `settings` go to Apply
    IPAdapter.
    """
    sdxl = ADAPTERS[adapter][1] is SMALL_SDXL
    links = {
        "model": ["ckpt", 0],
        "ipadapter": ["adapter", 0],
        "clip_vision": ["encoder", 0],
        "image": ["picture", 0],
    }
    widgets = {"weight": 1.0, "start_at": 0.0, "end_at": 1.0}
    prompt = {
        "ckpt": node(
            "CheckpointLoaderSimple", ckpt_name="sdxl.safetensors" if sdxl else "sd15.safetensors"
        ),
        "latent": node("EmptyLatentImage", width=64, height=96, batch_size=1),
        "picture": node("LoadImage", image="portrait.jpg"),
        "adapter": node("LoadIPAdapter", ipadapter_file=adapter.replace("/", os.sep)),
        "encoder": node("LoadCLIPVision", clip_name="auto", ipadapter=["adapter", 0]),
        "apply": node("ApplyIPAdapter", **links | widgets | settings),
        "sample": sampler(["apply", 0], negative=["negative", 0], steps=2, cfg=5.0),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["ckpt", 2]),
        "show": node("PreviewImage", images=["decode", 0]),
    }
    for seed, name in enumerate(("positive", "negative")):
        prompt[name] = (
            node("RandomConditioning", seed=seed, width=2048)
            if sdxl
            else node("CLIPTextEncode", clip=["ckpt", 1], text=name)
        )
    return prompt


def sampler(model, negative, steps, cfg):
    """A sampler of the nodes `positive` and `latent`."""
    links = {"model": model, "positive": ["positive", 0], "negative": negative}
    names = {"sampler_name": "euler", "scheduler": "normal"}
    numbers = {"seed": 1, "steps": steps, "cfg": cfg, "denoise": 1.0}
    return node("KSampler", latent_image=["latent", 0], **links, **names, **numbers)


def node(kind, **inputs):
    return {"class_type": kind, "inputs": {k: v for k, v in inputs.items() if v is not None}}


def links_within(graph):
    """Link id -> what gives it in a saved subgraph, whose own inputs go by their names."""
    names = [input["name"] for input in graph["inputs"]]
    return {
        link["id"]: (names[link["origin_slot"]], 0)
        if link["origin_id"] == -10
        else (link["origin_id"], link["origin_slot"])
        for link in graph["links"]
    }


def one_step(model):
    """Nodes that sample one step of a model, a saved link, and show it; text and VAE are those of
    the node `model`.
    """
    return {
        "positive": node("CLIPTextEncode", clip=["model", 1], text=""),
        "latent": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "sample": sampler([str(model[0]), model[1]], negative=["positive", 0], steps=1, cfg=1.0),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["model", 2]),
        "show": node("PreviewImage", images=["decode", 0]),
    }


def prompt_of(nodes, links, info):
    """An API prompt of saved nodes; the links' sources are (node, slot), or a blueprint's input by
    its name.
    """
    prompt = {}
    for each in nodes:
        inputs = widget_values(each, info[each["type"]])
        for entry in each["inputs"]:
            if entry["link"] is not None:
                source, slot = links[entry["link"]]
                inputs[entry["name"]] = [str(source), slot]
        prompt[str(each["id"])] = {"class_type": each["type"], "inputs": inputs}
    return prompt


def without_adapter(prompt):
    plain = {
        **prompt,
        "sample": {
            **prompt["sample"],
            "inputs": {**prompt["sample"]["inputs"], "model": ["ckpt", 0]},
        },
    }
    return {
        key: value
        for key, value in plain.items()
        if key not in ("apply", "encoder", "adapter", "picture")
    }


def pictures(server, entry, node_key="show"):
    """The pictures of a node, as arrays [H, W, 3]."""
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    result = []
    for image in entry["outputs"][node_key]["images"]:
        query = urllib.parse.urlencode(image)
        result.append(numpy.asarray(Image.open(io.BytesIO(server.read(f"/view?{query}")))))
    return result


def cached(entry):
    return next(
        data["nodes"] for kind, data in entry["status"]["messages"] if kind == "execution_cached"
    )


def refusal(server, prompt):
    """Why the host refuses a prompt before anything runs: node id -> details."""
    status, reply = server.post("/prompt", {"prompt": prompt})
    assert status == 400
    return {name: result["errors"][0]["details"] for name, result in reply["node_errors"].items()}


def failure(entry):
    """(node type, message) of a prompt that stopped with an error."""
    kind, data = entry["status"]["messages"][-1]
    assert kind == "execution_error"
    return data["node_type"], data["exception_message"].strip()


def serve_from(model_folder: Path, work: Path) -> tuple[str, ...]:
    """The flags of a server that finds the test models, the counting pack and the portrait."""
    paths = {name: name for name in ("checkpoints", "ipadapter", "clip_vision")}
    paths["custom_nodes"] = str(work / "custom_nodes")
    shutil.copytree(
        Path(__file__).parent / "packs" / "counting_pack", work / "custom_nodes" / "counting_pack"
    )
    config = work / "paths.yaml"  # JSON is YAML
    config.write_text(json.dumps({"tests": {"base_path": str(model_folder), **paths}}))
    (work / "input").mkdir()
    shutil.copy(PORTRAIT, work / "input")
    return ("--extra-model-paths-config", str(config))
