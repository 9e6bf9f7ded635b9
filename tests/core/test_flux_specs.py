"""Adapters for FLUX.1 by keys and shapes, and their projections at full size."""

import adapter_layouts
import make_models
import pytest
import torch
from diffusers.loaders.transformer_flux import FluxTransformer2DLoadersMixin
from support.tolerance import ENCODING

from ipadapter_core.adapter import module
from ipadapter_core.adapter.checkpoint import read_spec
from ipadapter_core.adapter.encoders import EncoderSpec
from ipadapter_core.adapter.features import Unconditional

XLABS = {  # name -> tokens, parameters of the published file
    "flux-ip-adapter": (4, 490_874_880),
    "flux-ip-adapter-v2": (16, 528_672_768),
}


def shapes(name):
    """The published layout as tensors without data."""
    return {
        key: torch.empty(shape, device="meta")
        for key, shape in adapter_layouts.layout(name).items()
    }


@pytest.mark.parametrize("prefix", ["", "module.", "state_dict."])
@pytest.mark.parametrize("name", XLABS)
def test_adapters_of_xlabs_are_recognised(name, prefix):
    spec = read_spec({prefix + key: value for key, value in shapes(name).items()})
    tokens, parameters = XLABS[name]
    assert sum(value.numel() for value in shapes(name).values()) == parameters
    assert spec.describe() == f"FLUX.1 XLabs, {tokens} tokens, needs CLIP ViT-L/14"
    assert spec.layers == tuple((number, 3072) for number in range(19))
    assert (spec.text_width, spec.is_sdxl, spec.lora) == (4096, False, None)
    assert spec.unconditional is Unconditional.BLACK_IMAGE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda flat, key: flat.pop(key + "k_proj.bias"), "'ip_adapter.3.to_k_ip.bias' is missing"),
        (lambda flat, key: flat.pop(key + "v_proj.weight"), "key and value of layer 3"),
        (
            lambda flat, key: flat.pop("ip_adapter_proj_model.norm.weight"),
            "norm.weight' is missing",
        ),
        (lambda flat, key: flat.update({key + "k_proj.bias": torch.empty(5)}), r"expected \(24,\)"),
    ],
)
def test_a_damaged_adapter_of_xlabs_is_said(change, words):
    flat = make_models.adapter_tensors("flux-ip-adapter", adapter_layouts.Base(16, (24,) * 4))
    change(flat, "double_blocks.3.processor.ip_adapter_double_stream_")
    with pytest.raises(ValueError, match=words):
        module.build(flat, torch.nn)


@pytest.mark.parametrize("container", [dict, make_models.nested])
def test_the_adapter_of_instantx_is_recognised(container):
    flat = shapes("FLUX.1-dev-IP-Adapter")
    assert sum(value.numel() for value in flat.values()) == 1_211_148_544 + 1_434_451_968
    spec = read_spec(container(flat))
    assert spec.describe() == "FLUX.1 InstantX, 128 tokens, needs SigLIP so400m/14-384"
    assert spec.layers == tuple((number, 3072) for number in range(57))
    assert spec.unconditional is Unconditional.NOTHING
    assert EncoderSpec.of(27, 1152, 0, 729).fits(spec)
    assert not EncoderSpec.of(24, 1024, 768, 257).fits(spec)


def test_the_encoder_of_xlabs_is_vit_l():
    spec = read_spec(shapes("flux-ip-adapter"))
    encoders = {  # name -> layers, widths, tokens
        "L": (24, 1024, 768, 257),
        "L of 336 pixels": (24, 1024, 768, 577),
        "H": (32, 1280, 1024, 257),
    }
    fitting = [name for name, sizes in encoders.items() if EncoderSpec.of(*sizes).fits(spec)]
    assert fitting == ["L"]


@pytest.mark.parametrize("name", XLABS)
def test_a_projection_of_xlabs_equals_that_of_diffusers(name):
    one_layer = adapter_layouts.Base(4096, (24,))
    tensors = make_models.adapter_tensors(name, one_layer, dtype=torch.float32)
    prefix = "ip_adapter_proj_model."
    weights = {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }
    loader = FluxTransformer2DLoadersMixin()
    theirs = loader._convert_ip_adapter_image_proj_to_diffusers(weights, low_cpu_mem_usage=False)
    embeds = torch.randn(3, 768, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected, result = theirs(embeds), module.build(tensors, torch.nn).project(embeds)
    assert result.shape == (3, XLABS[name][0], 4096)
    torch.testing.assert_close(result, expected, atol=ENCODING, rtol=0)
