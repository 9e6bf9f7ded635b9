"""A FaceID adapter over HTTP in the running host, with nothing but the pack and a recogniser."""

import json
import shutil

import comfy_host
import comfy_server
import make_models
import numpy
import pytest
from safetensors.torch import save_file
from support import arcface
from support.graphs import cached, failure, graph, node, pictures, serve_from
from support.pictures import FACES
from workflow import to_prompt

pytestmark = pytest.mark.http

ADAPTER, TEMPLATE = "some face.bin", "22_compare_faces.json"


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
    assert float(entry["outputs"]["number"]["text"][0]) == pytest.approx(1, abs=1e-4)
    (file,) = entry["outputs"]["save"]["text"]

    loaded = face_graph()
    loaded["faces"] = node("LoadIPAdapterEmbeds", file=f"{file} [output]")
    loaded["apply"]["inputs"] |= {"embeds": ["faces", 0]}
    del loaded["apply"]["inputs"]["image"], loaded["picture"]
    (from_file,) = pictures(face_server, face_server.run(loaded))
    assert (encoded == expected).all() and (from_file == expected).all()


def test_the_template_compares_two_faces(face_server):
    workflow = json.loads((comfy_host.PACK / "example_workflows" / TEMPLATE).read_text())
    prompt = to_prompt(workflow, face_server.get("/object_info"))
    loaders = [each for each in prompt.values() if each["class_type"] == "LoadImage"]
    for loader, name in zip(loaders, ("one_portrait", "one_senator"), strict=True):
        loader["inputs"]["image"] = f"{name}.jpg"
    entry = face_server.run(prompt)
    shown = {prompt[key]["class_type"]: key for key in entry["outputs"]}
    (strip,) = pictures(face_server, entry, shown["PreviewImage"])
    assert strip.shape == (448, 224, 3)
    assert float(entry["outputs"][shown["PreviewAny"]]["text"][0]) < 0.9999
