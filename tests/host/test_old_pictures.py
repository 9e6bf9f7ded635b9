"""Pictures of old nodes: what the encoder gets of them, and how prepared and noisy ones are
made.
"""

import pytest
import torch
from support.compare import NAMES, difference
from support.plus_formula import BASE, block_table, photo
from support.tolerance import SAMPLING

pytestmark = pytest.mark.host

SAME = SAMPLING


def test_plus_adapters_see_a_black_picture_on_the_negative_side(
    models, adapters, run_old, sample, by_formula, shallow
):
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    pictures = torch.cat((photo(1), photo(2)))
    links = {"model": model, "ipadapter": adapter, "image": pictures, "clip_vision": shallow}
    patched, face = run_old("IPAdapterAdvanced", **links, weight=0.7, combine_embeds="add")
    assert face is None
    positive = shallow.encode_image(pictures).penultimate_hidden_states.sum(0, keepdim=True)
    black = shallow.encode_image(torch.zeros(1, 224, 224, 3)).penultimate_hidden_states
    table = block_table("sd15", "linear", 0.7)
    expected = by_formula(model, "sd15", positive, black, weights=table)
    assert difference(sample(patched), sample(expected)) < SAME


def test_style_and_composition_are_two_pictures(
    models, adapters, run_old, sample, by_formula, shallow
):
    model, (adapter, _) = models("sdxl"), adapters(BASE["sdxl"])
    pictures = {"image_style": photo(1), "image_composition": photo(2)}
    widgets = {"weight_style": 0.8, "weight_composition": 0.5, "expand_style": False}
    links = {"model": model, "ipadapter": adapter, "clip_vision": shallow, **pictures}
    patched = run_old("IPAdapterStyleComposition", **links, **widgets)[0]
    style, layout = (shallow.encode_image(picture).image_embeds for picture in pictures.values())
    none = torch.zeros_like(style)
    tables = [
        [(weight * (t == block), False) for t in range(11)]
        for weight, block in ((0.8, 6), (0.5, 3))
    ]
    expected = by_formula(model, "sdxl", style, none, weights=tables[0])
    second = by_formula(model, "sdxl", layout, none, weights=tables[1])
    patches = second.model_options["transformer_options"]["patches_replace"]["attn2"]
    for index in range(10):
        expected.set_model_attn2_replace(patches["input", 8, index], "input", 8, index)
    assert difference(sample(patched, "sdxl", steps=1), sample(expected, "sdxl", steps=1)) < SAME


def test_style_and_composition_is_for_sdxl_alone(models, adapters, run_old, shallow):
    adapter, _ = adapters(BASE["sd15"])
    pictures = {"image_style": photo(1), "image_composition": photo(2)}
    with pytest.raises(ValueError, match=r"only on SDXL, but 'ip-adapter_sd15' is for SD1\.5"):
        run_old(
            "IPAdapterStyleComposition",
            model=models("sd15"),
            ipadapter=adapter,
            clip_vision=shallow,
            **pictures,
        )


def test_noise_is_drawn_as_before_and_nobody_elses_numbers_change(run_old):
    torch.manual_seed(4)
    expected_next = torch.rand(3)
    torch.manual_seed(4)
    (faded,) = run_old("IPAdapterNoise", type="fade", strength=0.6, blur=0)
    assert torch.equal(torch.rand(3), expected_next)
    drawn = torch.rand(1, 224, 224, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(faded, drawn * 0.6)


@pytest.mark.parametrize("kind", ["fade", "dissolve", "gaussian", "shuffle"])
def test_noise_in_a_picture_is_the_same_each_time(run_old, kind):
    picture = torch.rand(1, 60, 50, 3, generator=torch.Generator().manual_seed(3))
    inputs = {"type": kind, "strength": 0.6, "blur": 3, "image_optional": picture}
    first, second = (run_old("IPAdapterNoise", **inputs)[0] for _ in "ab")
    assert first.shape == (1, 224, 224, 3)
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("position", "red", "green"),
    [("left", 1, 0), ("right", 0, 1), ("center", 0.25, 0.25), ("pad", 0.16, 0.16)],
)
def test_prepared_pictures_are_square_and_where_they_were_asked_to_be(
    run_old, position, red, green
):
    picture = torch.zeros(1, 40, 100, 3)
    picture[:, :, :40, 0], picture[:, :, 60:, 1] = 1, 1
    widgets = {"interpolation": "BOX", "crop_position": position, "sharpening": 0.0}
    (prepared,) = run_old("PrepImageForClipVision", image=picture, **widgets)
    assert prepared.shape == (1, 224, 224, 3)
    means = prepared.mean((0, 1, 2)).tolist()
    assert means[:2] == pytest.approx([red, green], abs=0.01)
