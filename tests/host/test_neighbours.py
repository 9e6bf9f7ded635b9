"""Other patches of a model, the host's and foreign ones, beside an adapter."""

import pytest
import torch
from support.compare import difference, host_node
from support.tolerance import EFFECT, LARGE_EFFECT, SAMPLING

pytestmark = pytest.mark.host


def foreign_replacement(short):
    import comfy.ldm.modules.attention as attention

    def patch(model):
        def half(query, key, value, extra):
            return 0.5 * attention.optimized_attention(query, key, value, extra["n_heads"])

        model = model.clone()
        places = [("input", i) for i in (1, 2, 4, 5, 7, 8)] + [("output", i) for i in range(3, 12)]
        for place in [*places, ("middle", 0)]:
            model.set_model_attn2_replace(half, *place, *([] if short else [0]))
        return model

    return patch


def foreign_patch(model):
    model = model.clone()
    model.set_model_attn2_patch(lambda n, context, value, extra: (n, context * 0.9, value * 1.1))
    return model


def foreign_output_patch(model):
    model = model.clone()
    model.set_model_attn2_output_patch(lambda n, extra: n * 0.8)
    return model


def foreign_override(model):
    model = model.clone()

    def override(run, *args, **kwargs):
        return 0.7 * run(*args, **kwargs)

    model.model_options["transformer_options"]["optimized_attention_override"] = override
    return model


NEIGHBOURS = {
    "attn2 replacement of a block": lambda model: foreign_replacement(True)(model),
    "attn2 replacement of a layer": lambda model: foreign_replacement(False)(model),
    "attn2 patch": foreign_patch,
    "attn2 output patch": foreign_output_patch,
    "attention override": foreign_override,
    "FreeU": lambda model: host_node("nodes_freelunch", "FreeU_V2", model, 1.1, 1.2, 0.9, 0.2),
    "ToMe": lambda model: host_node("nodes_tomesd", "TomePatchModel", model, 0.3),
    "HyperTile": lambda model: host_node("nodes_hypertile", "HyperTile", model, 32, 2, 0, False),
    "PAG": lambda model: host_node("nodes_pag", "PerturbedAttentionGuidance", model, 3.0),
    "RescaleCFG": lambda model: host_node("nodes_model_advanced", "RescaleCFG", model, 0.7),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_order_with_a_neighbour_does_not_matter_and_both_act(models, apply, sample, name):
    model, neighbour = models("sd15"), NEIGHBOURS[name]
    size = {"size": (32, 16)}
    torch.manual_seed(1)
    before = sample(neighbour(apply(model)), **size)
    torch.manual_seed(1)
    after = sample(apply(neighbour(model)), **size)
    assert difference(before, after) < SAMPLING
    assert difference(after, sample(apply(model), **size)) > EFFECT
    torch.manual_seed(1)
    assert difference(after, sample(neighbour(model), **size)) > EFFECT


@pytest.mark.parametrize("name", ["attn2 replacement of a layer", "attention override"])
def test_the_images_part_is_added_whole_to_what_a_neighbour_made_of_the_text(
    models, apply, sample, name, tiny
):
    """With the text's part silenced by the neighbour, doubling it changes nothing: only the image's
    part is left.
    """
    import comfy.ldm.modules.attention as attention

    def silent(model, factor):
        def replace(query, key, value, extra):
            out = attention.optimized_attention(query, key, value, extra["n_heads"])
            return out * factor

        model = model.clone()
        for place in [("input", i) for i in (1, 2, 4, 5, 7, 8)] + [
            ("output", i) for i in range(3, 12)
        ]:
            model.set_model_attn2_replace(replace, *place, 0)
        model.set_model_attn2_replace(replace, "middle", 0, 0)
        return model

    model = models("sd15")
    zero = sample(apply(silent(model, 0.0)))
    assert difference(zero, sample(silent(model, 0.0))) > LARGE_EFFECT
    assert difference(zero, sample(apply(silent(model, 1.0)))) > EFFECT
    assert torch.equal(sample(apply(silent(model, 1.0))), sample(apply(model)))
