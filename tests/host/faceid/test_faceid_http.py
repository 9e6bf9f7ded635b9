"""A FaceID adapter over HTTP in the running host, with nothing but the pack and a recogniser."""

import json
import shutil

import comfy_host
import comfy_server
import make_models
import numpy
import pytest
import torch
from adapter_layouts import adapter, resampler
from safetensors.torch import save_file
from support import arcface
from support.graphs import cached, failure, graph, node, pictures, serve_from
from support.pictures import FACES
from support.tolerance import IDENTITY
from workflow import to_prompt

pytestmark = pytest.mark.http

ADAPTER, TEMPLATE, INSTANTID = "some face.bin", "22 Compare faces.json", "26 InstantID.json"


@pytest.fixture(scope="module")
def models_with_recogniser(model_folder, tmp_path_factory):
    """The models of the other tests, a FaceID adapter, and beside it a recogniser."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("checkpoints", "clip_vision"):
        (folder / name).symlink_to(model_folder / name)
    adapter = make_models.adapter_tensors("ip-adapter-faceid_sd15", make_models.SMALL_SD15)
    make_models.save(folder / "ipadapter" / ADAPTER, adapter)
    weights = arcface.random_net(arcface.R50).state_dict()
    save_file({key: value.clone() for key, value in weights.items()}, folder / "net.safetensors")
    return folder


@pytest.fixture(scope="module")
def face_server(models_with_recogniser, tmp_path_factory):
    work = tmp_path_factory.mktemp("face server")
    flags = serve_from(models_with_recogniser, work)
    for name in ("one_portrait", "one_senator", "no_face_coffee"):
        shutil.copy(FACES / f"{name}.jpg", work / "input")
    with comfy_server.Server(comfy_host.prepare(), work, *flags) as server:
        yield server


def face_graph(picture="one_portrait", **settings):
    prompt = graph("sd15 base.safetensors", clip_vision=None, **settings)
    del prompt["encoder"]
    prompt["adapter"] = node("LoadIPAdapter", ipadapter_file=ADAPTER)
    prompt["picture"] = node("LoadImage", image=f"{picture}.jpg")
    return prompt


def test_a_picture_becomes_a_face_and_the_face_a_picture(face_server, models_with_recogniser):
    kind, message = failure(face_server.run(face_graph()))
    assert kind == "ApplyIPAdapter"
    assert message.startswith(f"'{ADAPTER}' needs the face recogniser w600k_r50, but none is inst")

    path = models_with_recogniser / "net.safetensors"
    path.rename(models_with_recogniser / "ipadapter" / path.name)
    entry = face_server.run(face_graph())
    (result,) = pictures(face_server, entry)
    (face,) = pictures(face_server, entry, "apply")
    assert face.shape == (224, 224, 3)
    text = "image: faces found: 1 (recogniser: IResNet50, not one of the published files)"
    assert text in entry["outputs"]["apply"]["text"]
    (other,) = pictures(face_server, face_server.run(face_graph("one_senator")))
    (none,) = pictures(face_server, face_server.run(face_graph(weight=0.0)))
    assert numpy.abs(result.astype(int) - other.astype(int)).max() > 2
    assert numpy.abs(result.astype(int) - none.astype(int)).max() > 2
    again = face_server.run(face_graph(weight=0.5))
    assert {"adapter", "picture"} <= set(cached(again))

    kind, message = failure(face_server.run(face_graph("no_face_coffee")))
    assert message.startswith("Apply IPAdapter's 'image' shows no face that a recogniser can read")


def test_encoded_faces_are_saved_loaded_and_applied(face_server):
    prompt = face_graph()
    (expected,) = pictures(face_server, face_server.run(prompt))
    inputs = {"image": ["picture", 0], "weight": 1.0, "compare_with": ["picture", 0]}
    prompt["faces"] = node("EncodeFaceIdentity", ipadapter=["adapter", 0], **inputs)
    prompt["strip"] = node("PreviewImage", images=["faces", 3])
    prompt["number"] = node("PreviewAny", source=["faces", 2])
    prompt["save"] = node("SaveIPAdapterEmbeds", embeds=["faces", 0], filename_prefix="a/face")
    prompt["apply"]["inputs"] |= {"embeds": ["faces", 0]}
    del prompt["apply"]["inputs"]["image"]
    entry = face_server.run(prompt)
    (encoded,) = pictures(face_server, entry)
    (strip,) = pictures(face_server, entry, "strip")
    assert strip.shape == (448, 224, 3)
    assert float(entry["outputs"]["number"]["text"][0]) == pytest.approx(1, abs=IDENTITY)
    (file,) = entry["outputs"]["save"]["text"]

    loaded = face_graph()
    loaded["faces"] = node("LoadIPAdapterEmbeds", file=f"{file} [output]")
    loaded["apply"]["inputs"] |= {"embeds": ["faces", 0]}
    del loaded["apply"]["inputs"]["image"], loaded["picture"]
    (from_file,) = pictures(face_server, face_server.run(loaded))
    assert (encoded == expected).all() and (from_file == expected).all()


def template_prompt(server, name):
    workflow = json.loads((comfy_host.PACK / "example_workflows" / name).read_text())
    return to_prompt(workflow, server.get("/object_info"))


def test_the_template_compares_two_faces(face_server):
    prompt = template_prompt(face_server, TEMPLATE)
    loaders = [each for each in prompt.values() if each["class_type"] == "LoadImage"]
    for loader, name in zip(loaders, ("one_portrait", "one_senator"), strict=True):
        loader["inputs"]["image"] = f"{name}.jpg"
    entry = face_server.run(prompt)
    shown = {prompt[key]["class_type"]: key for key in entry["outputs"]}
    (strip,) = pictures(face_server, entry, shown["PreviewImage"])
    assert strip.shape == (448, 224, 3)
    assert float(entry["outputs"][shown["PreviewAny"]]["text"][0]) < 0.9999


@pytest.fixture
def instantid_files(models_with_recogniser):
    """An InstantID adapter, and a recogniser of its kind that gives every face one embedding."""
    folder = models_with_recogniser / "ipadapter"
    layout = adapter(make_models.SMALL_SDXL, resampler(make_models.SMALL_SDXL, 128, 512))
    tensors = make_models.draw(layout, make_models.generator("instantid", 0))
    make_models.save(folder / "instantid.bin", tensors)
    with torch.device("meta"):
        shapes = arcface.TrainedIResNet(arcface.R100).state_dict()
    weights = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in shapes.items()}
    weights["features.bias"] = torch.randn(512, generator=torch.Generator().manual_seed(0))
    save_file(weights, folder / "r100.safetensors")


def test_the_template_of_instantid_gives_its_controlnet_the_face(face_server, instantid_files):
    prompt = template_prompt(face_server, INSTANTID)
    by_kind = {each["class_type"]: key for key, each in prompt.items()}
    small = {
        "CheckpointLoaderSimple": {"ckpt_name": "sdxl.safetensors"},
        "LoadIPAdapter": {"ipadapter_file": "instantid.bin"},
        "LoadImage": {"image": "one_portrait.jpg"},
        "EmptyLatentImage": {"width": 64, "height": 64},
        "KSampler": {"steps": 1, "scheduler": "normal", "sampler_name": "euler"},
    }
    for each in prompt.values():
        if each["class_type"] == "CLIPTextEncode":
            each |= node("RandomConditioning", seed=1, width=2048)
        if each["class_type"] == "ControlNetLoader":
            each |= node("RandomControlNet", model=[by_kind["CheckpointLoaderSimple"], 0])
        each["inputs"] |= small.get(each["class_type"], {})
    entry = face_server.run(prompt)
    (result,) = pictures(face_server, entry, by_kind["SaveImage"])
    (face,) = pictures(face_server, entry, by_kind["FaceTokensToControlNet"])
    assert (result.shape, face.shape) == ((64, 64, 3), (256, 256, 3))

    tokens = prompt[by_kind["FaceTokensToControlNet"]]["inputs"]
    sides = {side: tokens[side] for side in ("positive", "negative")}
    prompt[by_kind["ControlNetApplyAdvanced"]]["inputs"] |= sides
    (without,) = pictures(face_server, face_server.run(prompt), by_kind["SaveImage"])
    assert numpy.abs(result.astype(int) - without.astype(int)).max() > 2
