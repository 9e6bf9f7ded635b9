"""Graphs over HTTP in the running host: checkpoints and adapters as files, from the loader nodes to
the picture.
"""

import os

import pytest
from support.graphs import (
    ADAPTERS,
    cached,
    failure,
    graph,
    node,
    pictures,
    refusal,
    without_adapter,
)

pytestmark = pytest.mark.http


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_kind_of_adapter_changes_the_picture_and_weight_0_does_not(server, adapter):
    server.free()  # SD1.5 and SDXL at once are more than a small machine has
    (followed,) = pictures(server, server.run(graph(adapter)))
    (plain,) = pictures(server, server.run(without_adapter(graph(adapter))))
    (unweighted,) = pictures(server, server.run(graph(adapter, weight=0.0)))
    assert followed.shape == (96, 64, 3)
    assert (followed != plain).mean() > 0.5
    assert (unweighted == plain).all()


def test_a_new_weight_window_or_mask_runs_no_encoder(server):
    adapter = "sub folder/b.bin"
    server.run(graph(adapter))
    before = server.get("/test/encoder_runs")
    mask = {"mask": node("SolidMask", value=0.5, width=40, height=24)}
    for change in ({"weight": 0.8}, {"end_at": 0.5}, {"attn_mask": ["mask", 0]}):
        entry = server.run(graph(adapter, **change) | (mask if "attn_mask" in change else {}))
        assert {"ckpt", "picture", "adapter", "encoder"} <= set(cached(entry))
        assert not {"apply", "sample"} & set(cached(entry))
        pictures(server, entry)
    assert server.get("/test/encoder_runs") == before
    server.run(graph(adapter, weight=0.9, fit="stretch"))
    assert server.get("/test/encoder_runs")["encode_image"] == before["encode_image"] + 1


def test_the_installed_encoder_is_used_and_named_where_none_is_connected(server):
    (expected,) = pictures(server, server.run(graph("c.safetensors", weight=0.55)))
    prompt = graph("c.safetensors", weight=0.55, clip_vision=None)
    del prompt["encoder"]
    entry = server.run(prompt)
    (result,) = pictures(server, entry)
    assert (result == expected).all()
    encoder_text = entry["outputs"]["apply"]["text"][0]
    assert encoder_text == "some/model.safetensors: a vision encoder with 2 layers of width 1280"
    before = server.get("/test/encoder_runs")
    prompt["apply"]["inputs"] |= {"weight": 0.35, "task": "style"}
    (changed,) = pictures(server, server.run(prompt))
    assert (changed != expected).mean() > 0.1
    assert server.get("/test/encoder_runs") == before


def test_three_adapters_with_one_encoder_see_a_picture_once(server):
    prompt = graph("sd15 base.safetensors", fit="pad")
    before = server.get("/test/encoder_runs")["encode_image"]
    previous = ["ckpt", 0]
    for name in ("sd15 base.safetensors", "sub folder/b.bin", "c.safetensors"):
        prompt[f"load {name}"] = node("LoadIPAdapter", ipadapter_file=name.replace("/", os.sep))
        inputs = {**prompt["apply"]["inputs"], "model": previous, "ipadapter": [f"load {name}", 0]}
        prompt[f"apply {name}"] = node("ApplyIPAdapter", **inputs)
        previous = [f"apply {name}", 0]
    prompt["sample"]["inputs"]["model"] = previous
    pictures(server, server.run(prompt))
    assert server.get("/test/encoder_runs")["encode_image"] == before + 1


@pytest.mark.parametrize("adapter", ["sd15 base.safetensors", "sub folder/b.bin"])
@pytest.mark.parametrize("with_encoder", [True, False])
def test_a_picture_encoded_by_the_host_gives_the_same(server, adapter, with_encoder):
    (expected,) = pictures(server, server.run(graph(adapter)))
    prompt = graph(adapter, image=None, clip_vision_output=["encode", 0])
    if not with_encoder:
        del prompt["apply"]["inputs"]["clip_vision"]
    prompt["encode"] = node(
        "CLIPVisionEncode", clip_vision=["encoder", 0], image=["picture", 0], crop="center"
    )
    (found,) = pictures(server, server.run(prompt))
    assert (found == expected).all()


def test_the_node_shows_what_the_encoder_sees_and_how_much_was_cut_off(server):
    entry = server.run(graph("c.safetensors", weight=0.4, image_negative=["picture", 0]))
    shown = entry["outputs"]["apply"]
    assert [picture.shape for picture in pictures(server, entry, "apply")] == [(224, 224, 3)] * 2
    assert "20% of the image is cut off (top and bottom of 256 x 320)" in shown["text"][0]
    assert entry["outputs"]["adapter"]["text"] == [
        "SD1.5 full-face, one token per patch, needs CLIP ViT-H/14"
    ]
    (encoder_text,) = entry["outputs"]["encoder"]["text"]  # of the published width, but not depth
    assert encoder_text == "some/model.safetensors: a vision encoder with 2 layers of width 1280"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": None}, "no reference: connect 'image'"),
        ({"clip_vision_output": ["encode", 0]}, "both 'image' and 'clip_vision_output'"),
    ],
)
def test_references_that_are_missing_or_too_many_stop_the_node_in_one_sentence(
    server, change, words
):
    prompt = graph("c.safetensors", **change)
    prompt["encode"] = node(
        "CLIPVisionEncode", clip_vision=["encoder", 0], image=["picture", 0], crop="center"
    )
    node_type, message = failure(server.run(prompt))
    assert node_type == "ApplyIPAdapter"
    assert words in message


def test_a_missing_file_names_folders_files_and_the_nearest_match(server, model_folder):
    prompt = graph("c.safetensors")
    prompt["adapter"]["inputs"]["ipadapter_file"] = "sd15_base.bin"
    details = refusal(server, prompt)["adapter"]
    assert str(model_folder / "ipadapter") in details
    assert "'c.safetensors'" in details
    assert "nearest match is 'sd15 base.safetensors'" in details


def test_an_adapter_for_another_base_model_is_refused_in_one_sentence(server):
    server.free()
    prompt = graph("c.safetensors")
    prompt["ckpt"] = node("CheckpointLoaderSimple", ckpt_name="sdxl.safetensors")
    prompt["positive"] = prompt["negative"] = node("RandomConditioning", seed=1, width=2048)
    node_type, message = failure(server.run(prompt))
    assert node_type == "ApplyIPAdapter"
    assert "'c.safetensors' is for SD1.5 (16 cross-attention layers" in message
    assert "the model is SDXL (70 layers" in message


@pytest.mark.parametrize("route", ["upgrade", "opened"])
@pytest.mark.parametrize("body", [[], {}, {"workflow": []}])
def test_what_is_no_graph_cannot_be_read_and_says_so(server, route, body):
    answer = server.post(f"/ipadapternodes/{route}", body)
    assert answer == (400, {"error": {"text": "This graph cannot be read.", "values": []}})


@pytest.mark.parametrize(("route", "key"), [("upgrade", "workflow"), ("opened", "nodes")])
def test_a_node_that_is_none_stays_as_it_is(server, route, key):
    status, answer = server.post(f"/ipadapternodes/{route}", {"workflow": {"nodes": [{}]}})
    assert (status, answer["report"]) == (200, [])
    assert (answer[key][0] if key == "nodes" else answer[key]["nodes"]) == [{}]
