"""What holds for every adapter holds for FLUX.1: weights, steps, references, masks, other packs."""

import counters
import pytest
import torch
from support.compare import difference
from support.tolerance import EFFECT, FLUX

pytestmark = pytest.mark.host
NO_EFFECT = {
    "weight 0": {"weight": 0.0},
    "black mask": {"attn_mask": torch.zeros(1, 16, 12)},
    "never active": {"start_at": 0.9, "end_at": 0.91},
}


@pytest.mark.parametrize("name", NO_EFFECT)
def test_what_does_not_act_is_exactly_the_model_alone(flux, model, apply_flux, plain, name):
    assert torch.equal(flux.sample(apply_flux(model, **NO_EFFECT[name])), plain)
    assert difference(flux.sample(apply_flux(model)), plain) > EFFECT


def test_a_layer_has_two_operations_more(
    flux, model, apply_flux, apply_instantx, xlabs, instantx, monkeypatch
):
    """An attention and an addition, with the attention that users of a GPU have."""
    import comfy.ldm.flux.math
    import comfy.ldm.modules.attention as attention

    for module in (attention, comfy.ldm.flux.math):
        monkeypatch.setattr(module, "optimized_attention", attention.attention_pytorch)

    def step_of(model):
        """What a further step takes."""
        counts = []
        for steps in (1, 2):
            with counters.Operations() as mode:
                flux.sample(model, steps=steps)
            counts.append(mode.counted)
        return counts[1] - counts[0]

    plain = step_of(model)
    (name,) = (name for name in plain if "attention" in name)
    for patched, adapter in (
        (apply_flux(model), xlabs[0]),
        (apply_instantx(model, torch.randn(1, 1152)), instantx[0]),
    ):
        count = len(adapter.spec.layers)
        assert step_of(patched) - plain == {name: count, "aten.add_": count}


def test_branches_and_clones_do_not_see_each_other(flux, model, apply_flux, plain):
    first = apply_flux(model)
    expected = flux.sample(first)
    assert difference(flux.sample(apply_flux(first, seed=9)), expected) > EFFECT
    assert torch.equal(flux.sample(first.clone()), expected)
    assert torch.equal(flux.sample(model), plain)


def test_a_start_leaves_earlier_steps_alone(model, apply_flux, flux_calls):
    first, second = flux_calls(apply_flux(model, start_at=0.2))
    plain_first, plain_second = flux_calls(model)
    assert torch.equal(first.out, plain_first.out)
    assert torch.equal(second.x, plain_second.x)
    assert difference(second.out, plain_second.out) > EFFECT


def test_equal_references_side_by_side_are_one(model, apply_flux, flux_calls, tiny):
    twice = tiny.features(5, projection=768)
    for key in ("image_embeds", "penultimate_hidden_states"):
        twice[key] = twice[key].expand(2, *twice[key].shape[1:])
    result, expected = (
        flux_calls(apply_flux(model, **settings))[0].out
        for settings in ({"clip_vision_output": twice}, {})
    )
    assert difference(result, expected) <= FLUX


def test_each_image_of_a_batch_has_its_own_reference(model, apply_flux, flux_calls, tiny):
    references = tiny.features(5, 2, projection=768)
    by_frame = apply_flux(model, clip_vision_output=references, batch="one for each picture")
    result = flux_calls(by_frame, batch=2)[0].out
    for frame in range(2):
        single = tiny.features(5, projection=768)
        single["image_embeds"] = references.image_embeds[frame : frame + 1]
        expected = flux_calls(apply_flux(model, clip_vision_output=single), batch=2)[0].out
        assert difference(result[frame], expected[frame]) <= FLUX
        assert difference(result[1 - frame], expected[1 - frame]) > EFFECT


@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_a_mask_acts_on_its_tokens_alone(model, apply_flux, second_block_input, size):
    mask = torch.zeros(1, 4, 3)  # as many as tokens
    mask[:, 1:, 0] = 1
    inside = mask.flatten().bool()
    masked = second_block_input(apply_flux(model, attn_mask=mask), size=size)
    unmasked = second_block_input(apply_flux(model), size=size)
    plain = second_block_input(model, size=size)
    assert torch.equal(masked[:, ~inside], plain[:, ~inside])
    torch.testing.assert_close(masked[:, inside], unmasked[:, inside], atol=FLUX, rtol=0)
    assert difference(masked[:, inside], plain[:, inside]) > EFFECT


def test_references_in_the_latent_stay_as_they_are(model, apply_flux, second_block_input):
    kontext = {"reference_latents": [torch.ones(1, 16, 4, 6)]}
    changed = second_block_input(apply_flux(model), **kontext)
    plain = second_block_input(model, **kontext)
    assert plain.shape[1] == 12 + 6
    assert torch.equal(changed[:, 12:], plain[:, 12:])
    assert difference(changed[:, :12], plain[:, :12]) > EFFECT


def halved(query, *_, **__):
    """Another pack's attn1_patch."""
    return {"q": query * 0.5}


def test_patches_of_others_act_before_and_after(flux, model, apply_flux, plain):
    def doubled(arguments, extra):
        out = extra["original_block"](arguments)
        return {**out, "img": out["img"] * 2}

    def patched(model):
        model = model.clone()
        model.set_model_patch(halved, "attn1_patch")
        model.set_model_patch_replace(doubled, "dit", "double_block", 1)
        return model

    before, after = flux.sample(apply_flux(patched(model))), flux.sample(patched(apply_flux(model)))
    assert torch.equal(before, after)
    assert difference(before, flux.sample(patched(model))) > EFFECT
    assert difference(before, flux.sample(apply_flux(model))) > EFFECT


def test_a_block_that_another_pack_leaves_out_gets_no_image(flux, model, apply_flux):
    def skipped(arguments, extra):
        return {"img": arguments["img"], "txt": arguments["txt"]}

    def without_blocks(model):
        model = model.clone()
        for number in range(flux.DOUBLE_BLOCKS):
            model.set_model_patch_replace(skipped, "dit", "double_block", number)
        return model

    result = flux.sample(without_blocks(apply_flux(model)))
    assert torch.equal(result, flux.sample(without_blocks(model)))


def test_an_override_of_the_attention_gets_the_models_own_calls_alone(flux, model, apply_flux):
    def lengths_of(model):
        lengths = []

        def override(attend, query, *args, **kwargs):
            lengths.append(query.shape)
            return attend(query, *args, **kwargs)

        model = model.clone()
        model.model_options["transformer_options"]["optimized_attention_override"] = override
        flux.sample(model, steps=1)
        return lengths

    lengths = lengths_of(apply_flux(model))
    assert lengths == lengths_of(model)
    assert len(lengths) == flux.DOUBLE_BLOCKS + flux.SINGLE_BLOCKS
