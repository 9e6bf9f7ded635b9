"""The promises of the design in the host's sampler: identities, branches, neighbours, rows; odd
sizes throughout.
"""

import pytest
import torch
from support.compare import NAMES, SIZE, difference, mask
from support.tolerance import EFFECT, LARGE_EFFECT, SAMPLING

pytestmark = pytest.mark.host


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(
    "settings",
    [
        {"weight": 0.0},
        {"attn_mask": mask(fill=0.0)},
        {"start_at": 1.0},
        {"start_at": 0.6, "end_at": 0.4},
    ],
    ids=["weight 0", "zero mask", "window never reached", "window turned round"],
)
def test_without_effect_is_bit_identical_to_no_adapter(models, apply, sample, kind, settings):
    model = models(kind)
    plain = sample(model, kind)
    assert torch.equal(sample(apply(model, kind, **settings), kind), plain)


@pytest.mark.parametrize("kind", NAMES)
def test_mask_of_ones_is_no_mask(models, apply, sample, kind):
    model = models(kind)
    complete = sample(apply(model, kind), kind)
    masked = sample(apply(model, kind, attn_mask=mask(fill=1.0)), kind)
    assert difference(masked, complete) < SAMPLING
    assert difference(sample(model, kind), complete) > LARGE_EFFECT


def test_masks_that_partition_the_picture_are_no_mask(models, apply, sample):
    model, left = models("sd15"), mask(left=20)
    parts = apply(apply(model, attn_mask=left), attn_mask=1 - left)
    assert difference(sample(parts), sample(apply(model))) < SAMPLING


def test_half_a_mask_is_not_the_whole(models, apply, sample):
    model = models("sd15")
    half = sample(apply(model, attn_mask=mask(left=20)))
    assert difference(half, sample(apply(model))) > EFFECT
    assert difference(half, sample(model)) > EFFECT


def test_windows_that_divide_the_steps_are_no_window(models, apply, sample):
    model = models("sd15")
    parts = apply(apply(model, end_at=0.4), start_at=0.41)
    assert torch.equal(sample(parts, steps=5), sample(apply(model), steps=5))
    assert (
        difference(sample(apply(model, end_at=0.4), steps=5), sample(apply(model), steps=5))
        > EFFECT
    )


def test_two_half_weights_are_one_weight(models, apply, sample):
    model = models("sd15")
    halves = apply(apply(model, weight=0.35), weight=0.35)
    assert difference(sample(halves), sample(apply(model))) < SAMPLING


def test_the_same_reference_twice_is_once(models, apply, sample, tiny):
    model = models("sd15")
    output = tiny.features(5)
    twice = tiny.features(5)
    for key in ("image_embeds", "penultimate_hidden_states"):
        twice[key] = output[key].repeat(2, *[1] * (output[key].ndim - 1))
    single, pair = (apply(model, clip_vision_output=o) for o in (output, twice))
    assert difference(sample(pair), sample(single)) < SAMPLING


def test_branches_do_not_see_each_other_and_the_model_stays_as_it_was(models, apply, sample):
    model = models("sd15")
    plain = sample(model)
    first = apply(model, seed=5)
    alone = sample(first)
    second, third = apply(first, seed=8), apply(first, seed=9)
    assert difference(sample(second), sample(third)) > EFFECT
    assert torch.equal(sample(first), alone)
    assert torch.equal(sample(model), plain)
    assert not model.wrappers and "ipadapter" not in model.model_options["transformer_options"]


def test_the_order_of_two_adapters_does_not_matter(models, apply, sample):
    model = models("sd15")
    first = {"seed": 5, "weight": 0.7}
    second = {
        "seed": 8,
        "weight": -0.4,
        "name": "ip-adapter_sd15",
        "clip_vision_output_negative": None,
    }
    pair = apply(apply(model, **first), **second), apply(apply(model, **second), **first)
    assert difference(*map(sample, pair)) < SAMPLING


@pytest.mark.parametrize("kind", NAMES)
def test_each_picture_of_a_batch_is_as_if_alone(models, apply, sample, tiny, kind):
    model = apply(models(kind), kind, attn_mask=mask(left=20))
    single, batch = sample(model, kind), sample(model, kind, batch=3)
    assert difference(batch[:1], single) < SAMPLING


def test_a_mask_for_each_picture_of_a_batch(models, apply, sample):
    model = models("sd15")
    masks = torch.cat([mask(left=20), mask(fill=0.0), mask(fill=1.0)])
    result = sample(apply(model, attn_mask=masks), batch=3)
    by_picture = [
        sample(apply(model, attn_mask=item[None]), batch=3)[i] for i, item in enumerate(masks)
    ]
    assert difference(result, torch.stack(by_picture)) < SAMPLING


def test_cfg_1_has_a_positive_row_alone(models, apply, sample, tiny):
    prompt, model = tiny.text("sd15"), models("sd15")
    first, second = (apply(model, clip_vision_output_negative=tiny.features(s)) for s in (6, 7))
    assert torch.equal(sample(first, cfg=1.0), sample(second, cfg=1.0))
    assert difference(sample(first, cfg=1.0), sample(model, cfg=1.0, prompt=prompt)) > LARGE_EFFECT
    assert difference(sample(first), sample(second)) > EFFECT


def test_two_halves_of_an_advanced_sampler_are_one_run(models, apply, tiny):
    import comfy.sample

    model, conds = apply(models("sd15"), start_at=0.2, end_at=0.8), tiny.text("sd15").conds()
    latent = torch.zeros(1, 4, *SIZE)
    noise = comfy.sample.prepare_noise(latent, 0, None)
    settings = {"cfg": 5.0, "sampler_name": "euler", "scheduler": "normal", "disable_pbar": True}

    def run(noise, latent, **steps):
        with torch.inference_mode():
            settings_ = {
                **settings,
                "positive": conds[0],
                "negative": conds[1],
                "latent_image": latent,
            }
            return comfy.sample.sample(model, noise, 6, **settings_, **steps, seed=0)

    complete = run(noise, latent)
    first = run(noise, latent, last_step=3, force_full_denoise=False)
    second = run(torch.zeros_like(noise), first, start_step=3, disable_noise=True)
    assert difference(second, complete) < SAMPLING
