"""FLUX.1: weight maps, settings without a meaning, and what does not belong together."""

import inspect
import re

import pytest
import torch
from support.compare import difference
from support.tolerance import EFFECT

pytestmark = pytest.mark.host


def test_a_weight_map_acts_by_block(flux, model, apply_flux, nodes_by_id, second_block_input):
    node = nodes_by_id["IPAdapterWeightMap"]
    settings = {"amount": 1.0, "second_amount": 1.0}
    weight_map = node.execute(model, "balanced", layers="double 0: 1", **settings).args[0]
    assert weight_map.blocks == (
        *(("double", number) for number in range(2)),
        *(("single", number) for number in range(3)),
    )
    first_block = apply_flux(model, weight_map=weight_map)
    whole = apply_flux(model)
    assert torch.equal(second_block_input(first_block), second_block_input(whole))
    assert difference(flux.sample(first_block), flux.sample(whole)) > EFFECT
    ease = node.execute(model, "ease in", **settings).args[0]
    assert difference(flux.sample(apply_flux(model, weight_map=ease)), flux.sample(whole)) > EFFECT
    with pytest.raises(ValueError, match="'take' is 'style', but it is not known which blocks"):
        node.execute(model, "style", **settings)
    with pytest.raises(ValueError, match="'task' is 'style', but it is not known which layers"):
        apply_flux(model, task="style")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"keep_prompt": 0.5}, "'keep_prompt' is not supported with 'first.safetensors'"),
        ({"scaling": "K+V with C penalty"}, "choose 'V only' or 'K+V'"),
    ],
)
def test_settings_without_a_meaning_are_refused(model, apply_flux, settings, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        apply_flux(model, **settings)


def test_adapters_and_models_of_other_kinds_are_refused_by_name(
    model, models, apply_flux, nodes_by_id, adapters, tiny
):
    words = "'first.safetensors' is for FLUX.1 .* but the model is SD1.5"
    with pytest.raises(ValueError, match=words):
        apply_flux(models("sd15"))
    adapter, _ = adapters("ip-adapter_sd15")
    with pytest.raises(ValueError, match=r"is for SD1.5 .* but the model is FLUX.1"):
        nodes_by_id["ApplyIPAdapter"].execute(
            model, adapter, clip_vision_output=tiny.features(), weight=1.0
        )
    with pytest.raises(ValueError, match="needs CLIP ViT-L/14"):
        apply_flux(model, clip_vision_output=tiny.features())


def test_a_host_without_queries_is_named(pack, host):
    from comfy.ldm.flux.layers import DoubleStreamBlock

    problem = pack.nodes.sampling.flux.FluxLayout().host_problem()
    has_queries = '"attn1_patch"' in inspect.getsource(DoubleStreamBlock.forward)
    assert problem == ("" if has_queries else pack.nodes.sampling.flux.TOO_OLD)
