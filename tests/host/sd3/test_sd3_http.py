"""SD3.5 over HTTP: a checkpoint, an adapter and an encoder as files, from the loaders to the
picture.
"""

import pytest
from support.graphs import failure, graph, node, pictures, without_adapter

pytestmark = pytest.mark.http
ADAPTER = "sd15 base.safetensors"  # of the graph that is changed into one of SD3.5


def sd3_graph(**settings):
    """The small SD3.5 has no text encoder; adapter and encoder are found by themselves."""
    prompt = graph(ADAPTER, **settings)
    prompt["ckpt"]["inputs"]["ckpt_name"] = "sd3.safetensors"
    for seed, name in enumerate(("positive", "negative")):
        prompt[name] = node("RandomConditioning", seed=seed, width=48)
    prompt["adapter"]["inputs"]["ipadapter_file"] = "sd3.safetensors"
    del prompt["encoder"], prompt["apply"]["inputs"]["clip_vision"]
    return prompt


def test_a_graph_of_sd3_follows_the_picture(server):
    server.free()
    entry = server.run(sd3_graph())
    (followed,) = pictures(server, entry)
    (plain,) = pictures(server, server.run(without_adapter(sd3_graph())))
    (unweighted,) = pictures(server, server.run(sd3_graph(weight=0.0)))
    assert followed.shape == (96, 64, 3)
    assert (followed != plain).mean() > 0.2
    assert (unweighted == plain).all()
    (adapter_text,) = entry["outputs"]["adapter"]["text"]
    assert adapter_text == "SD3.5 Large InstantX, 64 tokens, needs SigLIP so400m/14-384"


def test_an_adapter_of_flux_is_refused_in_one_sentence(server):
    prompt = sd3_graph()
    prompt["adapter"]["inputs"]["ipadapter_file"] = "flux.safetensors"
    node_type, message = failure(server.run(prompt))
    assert node_type == "ApplyIPAdapter"
    assert "'flux.safetensors' is for FLUX.1" in message
    assert "the model is SD3.5" in message
