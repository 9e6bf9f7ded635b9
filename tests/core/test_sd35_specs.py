"""The adapter for Stable Diffusion 3.5 by keys and shapes."""

import adapter_layouts
import make_models
import pytest
import torch

from ipadapter_core.adapter import module
from ipadapter_core.adapter.checkpoint import read_spec
from ipadapter_core.adapter.features import Unconditional


def shapes(name):
    """The published layout as tensors without data."""
    return {
        key: torch.empty(shape, device="meta")
        for key, shape in adapter_layouts.layout(name).items()
    }


@pytest.mark.parametrize("container", [dict, make_models.nested])
def test_the_adapter_for_sd35_is_recognised(container):
    flat = shapes("SD3.5-Large-IP-Adapter")
    spec = read_spec(container(flat))
    assert sum(value.numel() for value in flat.values()) == 797_925_888  # of the published file
    assert spec.describe() == "SD3.5 Large InstantX, 64 tokens, needs SigLIP so400m/14-384"
    assert spec.layers == tuple((number, 2432) for number in range(38))
    assert (spec.depends_on_time, spec.unconditional) == (True, Unconditional.ZERO_FEATURES)
    assert spec.clip_input.has_shape((1, 729, 1152)) and not spec.clip_input.has_shape((1, 9, 1152))


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("ip_adapter.3.norm_ip.linear.bias", "'ip_adapter.3.norm_ip.linear.bias' is missing"),
        ("ip_adapter.3.norm_k.weight", "'ip_adapter.3.norm_k.weight' is missing"),
        ("image_proj.layers.2.2.1.weight", "'image_proj.layers.2.2.1.weight' is missing"),
    ],
)
def test_a_damaged_adapter_for_sd35_is_said(key, sentence):
    layout = adapter_layouts.sd3(dim=64, width=64, blocks=4)
    flat = make_models.draw(layout, make_models.generator("damaged", 0))
    del flat[key]
    with pytest.raises(ValueError, match=sentence):
        module.build(flat, torch.nn)


def test_features_without_a_sequence_are_not_siglips():
    feature = read_spec(shapes("SD3.5-Large-IP-Adapter")).clip_input
    assert not any(feature.has_shape(shape) for shape in ((), (1152,), (1, 1152)))
