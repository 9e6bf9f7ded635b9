"""Which encoder a file holds, and which adapters it fits."""

import adapter_layouts
import pytest
import torch

from ipadapter_core.adapter.checkpoint import read_spec
from ipadapter_core.adapter.encoders import EncoderSpec, read_encoder

DEPTHS = {  # layers, widths inside and of image_embeds, tokens
    "CLIP ViT-H/14": (32, 1280, 1024, 257),
    "CLIP ViT-bigG/14": (48, 1664, 1280, 257),
    "CLIP ViT-L/14": (24, 1024, 768, 257),
    "CLIP ViT-L/14-336": (24, 1024, 768, 577),
}


def transformers_layout(depth, hidden, projection, tokens):
    keys = {
        "vision_model.embeddings.patch_embedding.weight": (hidden, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (tokens, hidden),
        "visual_projection.weight": (projection, hidden),
        "text_model.encoder.layers.11.layer_norm1.weight": (5,),
    }
    keys |= {f"vision_model.encoder.layers.{i}.layer_norm1.weight": (hidden,) for i in range(depth)}
    return meta(keys)


def open_clip_layout(depth, hidden, projection, tokens):
    keys = {"visual.conv1.weight": (hidden, 3, 14, 14), "visual.proj": (hidden, projection)}
    keys["visual.positional_embedding"] = (tokens, hidden)
    keys |= {f"visual.transformer.resblocks.{i}.ln_1.weight": (hidden,) for i in range(depth)}
    return meta(keys)


def meta(keys):
    return {key: torch.empty(shape, device="meta") for key, shape in keys.items()}


@pytest.mark.parametrize("layout", [transformers_layout, open_clip_layout])
@pytest.mark.parametrize("name", DEPTHS)
def test_encoders_are_recognised_in_both_layouts(name, layout):
    _, hidden, projection, _ = DEPTHS[name]
    assert read_encoder(layout(*DEPTHS[name])) == EncoderSpec(name, hidden, projection)


def test_other_files_hold_no_encoder():
    assert read_encoder(meta({"model.diffusion_model.out.2.weight": (3,)})) is None
    assert read_encoder({}) is None
    larger_siglip = transformers_layout(27, 1152, 1152, 1024)
    del larger_siglip["visual_projection.weight"]
    assert read_encoder(larger_siglip) is None


def test_siglip_is_recognised_and_fits_the_adapter_for_sd35_alone():
    siglip = transformers_layout(27, 1152, 1152, 729)
    del siglip["visual_projection.weight"]
    encoder = read_encoder(siglip)
    assert encoder == EncoderSpec("SigLIP so400m/14-384", 1152, 0)
    assert encoder.fits(adapter("SD3.5-Large-IP-Adapter"))
    assert not any(encoder.fits(adapter(name)) for name in adapter_layouts.ADAPTERS)
    clip_names = [EncoderSpec.of(*sizes) for sizes in DEPTHS.values()]
    assert not any(clip.fits(adapter("SD3.5-Large-IP-Adapter")) for clip in clip_names)


def adapter(name):
    return read_spec(meta(adapter_layouts.layout(name)))


@pytest.mark.parametrize("encoder", DEPTHS)
@pytest.mark.parametrize("name", adapter_layouts.ADAPTERS)
def test_an_encoder_fits_only_the_adapters_made_for_it(name, encoder):
    wants = (
        "CLIP ViT-bigG/14"
        if name in ("ip-adapter_sdxl", "ip-adapter_sd15_vit-G", "noobIPAMARK1_mark1")
        else "CLIP ViT-H/14"
    )
    if name.startswith("Kolors"):
        wants = "CLIP ViT-L/14-336"
    if "faceid" in name and "-plus" not in name:
        wants = None  # a face identity is no image encoder's
    assert EncoderSpec.of(*DEPTHS[encoder]).fits(adapter(name)) == (encoder == wants)


@pytest.mark.parametrize("value", [3, None, torch.zeros(()), torch.zeros(2)])
def test_an_encoders_keys_with_other_contents_are_no_encoder(value):
    weights = {
        "vision_model.encoder.layers.0.layer_norm1.weight": value,
        "vision_model.embeddings.patch_embedding.weight": value,
        "visual_projection.weight": value,
    }
    assert read_encoder(weights) is None
