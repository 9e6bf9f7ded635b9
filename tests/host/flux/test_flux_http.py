"""FLUX.1 over HTTP: a checkpoint, an adapter and an encoder as files, from the loaders to the
picture.
"""

import pytest
from support.graphs import failure, graph, node, pictures, without_adapter

pytestmark = pytest.mark.http
ADAPTER = "sd15 base.safetensors"  # of the graph that is changed into one of FLUX.1


def flux_graph(**settings):
    """The text encoder is that of SD1.5's checkpoint."""
    prompt = graph(ADAPTER, **settings)
    prompt["text"] = prompt["ckpt"]
    prompt["ckpt"] = {**prompt["text"], "inputs": {"ckpt_name": "flux.safetensors"}}
    for name in ("positive", "negative"):
        prompt[name]["inputs"]["clip"] = ["text", 1]
    prompt["adapter"]["inputs"]["ipadapter_file"] = "flux.safetensors"
    prompt["sample"]["inputs"]["cfg"] = 1.0
    return prompt


def test_a_graph_of_flux_follows_the_picture(server):
    server.free()
    prompt = flux_graph()
    del prompt["encoder"], prompt["apply"]["inputs"]["clip_vision"]  # found by itself
    entry = server.run(prompt)
    (followed,) = pictures(server, entry)
    (plain,) = pictures(server, server.run(without_adapter(flux_graph())))
    (unweighted,) = pictures(server, server.run(flux_graph(weight=0.0)))
    assert followed.shape == (96, 64, 3)
    assert (followed != plain).mean() > 0.2  # half of it is black
    assert (unweighted == plain).all()
    (adapter_text,) = entry["outputs"]["adapter"]["text"]
    assert adapter_text == "FLUX.1 XLabs, 4 tokens, needs CLIP ViT-L/14"


def test_image_prompt_gives_what_the_full_nodes_give(server):
    prompt = flux_graph()
    del prompt["encoder"], prompt["adapter"]
    links = {"model": ["ckpt", 0], "image": ["picture", 0]}
    prompt["apply"] = node("ImagePrompt", **links, task="whole image", strength="subtle")
    entry = server.run(prompt)
    (result,) = pictures(server, entry)
    (expected,) = pictures(server, server.run(flux_graph(weight=0.48, end_at=0.8)))
    assert (result == expected).all()
    assert (
        "flux.safetensors: FLUX.1 XLabs, 4 tokens, needs CLIP ViT-L/14"
        in (entry["outputs"]["apply"]["text"])
    )


def test_an_adapter_of_flux_on_another_model_is_refused_in_one_sentence(server):
    prompt = flux_graph()
    prompt["apply"]["inputs"]["model"] = ["text", 0]
    node_type, message = failure(server.run(prompt))
    assert node_type == "ApplyIPAdapter"
    assert "'flux.safetensors' is for FLUX.1 (2 cross-attention layers" in message
    assert "the model is SD1.5 (16 layers" in message
