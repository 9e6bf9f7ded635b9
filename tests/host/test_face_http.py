"""FaceCrop over HTTP in the running host: from a file to crops, masks and boxes, nothing but the
pack installed."""

import shutil
from pathlib import Path

import numpy
import pytest
from support.graphs import failure, node, pictures, sampler

pytestmark = pytest.mark.http

FACES = Path(__file__).parent.parent / "data" / "faces"


@pytest.fixture(scope="module")
def host_with_faces(server):
    for path in FACES.glob("*.jpg"):
        shutil.copy(path, server.work / "input")
    return server


def graph(picture, **inputs):
    first = {
        "x": 0,
        "y": 0,
        "width": 0,
        "height": 0,
        "padding": 0.08,
        "size": 96,
        "border": "black",
        "on_none": "error",
    }
    return {
        "picture": node("LoadImage", image=picture),
        "crop": node("FaceCrop", image=["picture", 0], **(first | inputs)),
        "mask": node("MaskToImage", mask=["crop", 1]),
        "show": node("PreviewImage", images=["crop", 0]),
        "region": node("PreviewImage", images=["mask", 0]),
        "found": node("PreviewImage", images=["crop", 4]),
        "from": node("PreviewAny", source=["crop", 5]),
    }


def test_all_three_people_of_a_file(host_with_faces):
    entry = host_with_faces.run(graph("three_people.jpg", which="all"))
    assert [crop.shape for crop in pictures(host_with_faces, entry)] == [(96, 96, 3)] * 3
    regions = pictures(host_with_faces, entry, "region")
    places = [int(numpy.nonzero(region[..., 0] > 127)[1].mean()) for region in regions]
    assert places == pytest.approx([817, 1282, 225], abs=12)
    (result,) = pictures(host_with_faces, entry, "found")
    assert result.shape == (281, 768, 3)
    assert len(pictures(host_with_faces, entry, "crop")) == 3


def test_a_graph_of_the_first_version_runs_and_now_finds_the_face(host_with_faces):
    (crop,) = pictures(host_with_faces, host_with_faces.run(graph("one_portrait.jpg")))
    lying = host_with_faces.run(graph("sideways_left.jpg"))
    (upright,) = pictures(host_with_faces, lying)
    assert numpy.abs(crop.astype(int) - upright.astype(int)).mean() < 8


def test_boxes_go_in_and_out_on_the_hosts_own_links(host_with_faces):
    prompt = graph("three_people.jpg", which="leftmost", align="none")
    inputs = {**prompt["crop"]["inputs"], "bboxes": ["crop", 2], "face_landmarks": None}
    prompt["again"] = node("FaceCrop", **inputs)
    prompt["second"] = node("PreviewImage", images=["again", 0])
    entry = host_with_faces.run(prompt)
    (first,), (second,) = (pictures(host_with_faces, entry, name) for name in ("show", "second"))
    assert numpy.abs(first.astype(int) - second.astype(int)).mean() < 12


def test_no_face_stops_with_a_sentence(host_with_faces):
    kind, message = failure(host_with_faces.run(graph("no_face_coffee.jpg")))
    assert kind == "FaceCrop"
    assert message.startswith("Face Crop finds no face in image 1 of 1: ")


def sampled(model):
    """One step from the picture `people`, made small, to a picture of that size."""
    size = {"upscale_method": "area", "width": 256, "height": 96, "crop": "disabled"}
    texts = {
        text: node("CLIPTextEncode", clip=["ckpt", 1], text=text)
        for text in ("positive", "negative")
    }
    return {
        **texts,
        "small": node("ImageScale", image=["people", 0], **size),
        "latent": node("VAEEncode", pixels=["small", 0], vae=["ckpt", 2]),
        "sample": sampler(model, negative=["negative", 0], steps=1, cfg=2.0),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["ckpt", 2]),
        "show": node("PreviewImage", images=["decode", 0]),
    }


def test_two_people_each_bound_to_their_own_region(host_with_faces):
    """The example's heart: two references, each through its own face mask, into one model."""
    prompt = {
        "ckpt": node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
        "people": node("LoadImage", image="three_people.jpg"),
        "adapter": node("LoadIPAdapter", ipadapter_file="sd15 base.safetensors"),
        "encoder": node("LoadCLIPVision", clip_name="auto", ipadapter=["adapter", 0]),
    }
    model = ["ckpt", 0]
    for side in ("left", "right"):
        crop = graph("three_people.jpg", which=f"{side}most")["crop"]["inputs"]
        prompt[side] = node("FaceCrop", **{**crop, "image": ["people", 0]})
        links = {"ipadapter": ["adapter", 0], "clip_vision": ["encoder", 0], "image": [side, 0]}
        settings = {"attn_mask": [side, 1], "weight": 1.0, "start_at": 0.0, "end_at": 1.0}
        prompt[f"apply {side}"] = node("ApplyIPAdapter", model=model, **links, **settings)
        model = [f"apply {side}", 0]
    (result,) = pictures(host_with_faces, host_with_faces.run(prompt | sampled(model)))
    assert result.shape == (96, 256, 3)
