"""The inputs of the recordings in `tests/data/legacy_goldens`, made again from their seed.

Every tensor comes from a generator of its own, seeded by the recordings' seed and a tag that names
the tensor. The networks have the real topology and text widths, few channels and random weights.
"""

import zlib
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

TEXT_WIDTHS = {"sd15": 768, "sdxl": 2048}
TEXT_TOKENS = 8
GRAIN = 128  # pixels are multiples of 1 / GRAIN, so that sums and 8-bit conversions are exact
ADAPTERS = {  # published name -> base model, projector, set of weights
    "ip-adapter_sd15.safetensors": ("sd15", "base", "a"),
    "ip-adapter_sd15_light.safetensors": ("sd15", "base", "b"),
    "ip-adapter-plus_sd15.safetensors": ("sd15", "plus", "a"),
    "ip_plus_composition_sd15.safetensors": ("sd15", "plus", "b"),
    "ip-adapter_sdxl_vit-h.safetensors": ("sdxl", "base", "a"),
    "ip-adapter-plus_sdxl_vit-h.safetensors": ("sdxl", "plus", "a"),
}
LAYER_WIDTHS = {  # input, output, middle
    "sd15": [32] * 2 + [64] * 2 + [128] * 2 + [128] * 3 + [64] * 3 + [32] * 3 + [128],
    "sdxl": [64] * 4 + [128] * 20 + [128] * 30 + [64] * 6 + [128] * 10,
}
UNET: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_head_channels": -1,
    "adm_in_channels": None,
    "use_spatial_transformer": True,
    "legacy": False,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
}
UNETS: dict[str, dict[str, Any]] = {
    "sd15": {
        **UNET,
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_middle": 1,
        "transformer_depth_output": [1] * 9 + [0] * 3,
        "use_linear_in_transformer": False,
        "context_dim": 768,
        "num_heads": 8,
    },
    "sdxl": {
        **UNET,
        "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 2, 4],
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_middle": 10,
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "use_linear_in_transformer": True,
        "context_dim": 2048,
        "num_head_channels": 32,
        "adm_in_channels": 2816,
        "num_classes": "sequential",
    },
}
ENCODER = {
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "image_size": 224,
    "intermediate_size": 256,
    "layer_norm_eps": 1e-5,
    "num_attention_heads": 16,
    "num_channels": 3,
    "num_hidden_layers": 3,
    "patch_size": 14,
    "projection_dim": 1024,
    "model_type": "clip_vision_model",
}


def generator(seed: int, tag: str) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1000003 + zlib.crc32(tag.encode())) % 2**31)


def randn(seed: int, tag: str, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(seed, tag))


def images(seed: int, tag: str, batch: int = 1, height: int = 224, width: int = 224) -> Tensor:
    """[B, H, W, 3]: coarse fields of colour and some fine grain, different for every tag."""
    pictures: list[Tensor] = []
    for number in range(batch):
        source = generator(seed, f"image/{tag}/{number}")
        coarse, fine = (torch.rand(1, 3, side, side, generator=source) for side in (5, 28))
        layers = [interpolate(layer, (height, width), mode="bilinear") for layer in (coarse, fine)]
        pictures.append(layers[0] * 0.75 + layers[1] * 0.25)
    rounded = (torch.cat(pictures).clamp(0, 1) * GRAIN).round() / GRAIN
    return rounded.permute(0, 2, 3, 1).contiguous()


def masks(kind: str, batch: int = 1, height: int = 128, width: int = 128) -> Tensor:
    """[B, H, W]; `mixed` takes another shape for each entry."""
    y = torch.linspace(0, 1, height).view(-1, 1).expand(height, width)
    x = torch.linspace(0, 1, width).view(1, -1).expand(height, width)
    shapes = {
        "left": (x < 0.4).float(),
        "right": (x >= 0.4).float(),
        "top": (y < 0.55).float(),
        "gradient": 0.15 + 0.85 * x * y,
        "disc": ((x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.09).float(),
        "ones": torch.ones(height, width),
        "zeros": torch.zeros(height, width),
    }
    mixed = ["left", "disc", "gradient", "top"]
    kinds = [mixed[number % 4] if kind == "mixed" else kind for number in range(batch)]
    return torch.stack([shapes[name] for name in kinds])


def unet_tensors(base: str, seed: int, shapes: dict[str, Tensor]) -> dict[str, Tensor]:
    """shapes: the UNet's own tensors, on any device."""
    norms = (".norm", "in_layers.0", "out_layers.0", "out.0")
    tensors: dict[str, Tensor] = {}
    for key, tensor in sorted(shapes.items()):
        noise = randn(seed, f"unet/{base}/{key}", *tensor.shape)
        if tensor.ndim > 1:
            gain = 1.6 if ".attn2." in key else 0.7
            tensors[key] = noise * (gain / tensor[0].numel() ** 0.5)
        elif key.endswith("weight") and any(name in key for name in norms):
            tensors[key] = 1 + 0.1 * noise
        else:
            tensors[key] = 0.05 * noise
    return tensors


def adapter_tensors(name: str, seed: int) -> dict[str, Tensor]:
    """A file in the published form, float16."""
    base, projector, weights = ADAPTERS[name]
    text, tag = TEXT_WIDTHS[base], f"adapter/{weights}/{base}/{projector}"
    shapes = _mlp_shapes(text) if projector == "base" else _resampler_shapes(text, base)
    tensors: dict[str, Tensor] = {}
    for key, shape in shapes.items():
        noise = randn(seed, f"{tag}/{key}", *shape)
        if key == "latents":
            noise = noise / shape[-1] ** 0.5
        elif len(shape) == 1:
            noise = 1 + 0.2 * noise if key.endswith("weight") else 0.1 * noise
        else:
            noise = noise / shape[1] ** 0.5
        tensors[f"image_proj.{key}"] = noise.half()
    for number, width in enumerate(LAYER_WIDTHS[base]):
        for projection, gain in (("k", 2.0), ("v", 1.5)):
            key = f"{2 * number + 1}.to_{projection}_ip.weight"
            noise = randn(seed, f"{tag}/{key}", width, text)
            tensors[f"ip_adapter.{key}"] = (noise * gain / text**0.5).half()
    return tensors


def encoder_tensors(seed: int, own_tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """own_tensors: the encoder's tensors, of which those of whole numbers stay."""
    tensors: dict[str, Tensor] = {}
    for key, tensor in sorted(own_tensors.items()):
        if not tensor.is_floating_point():
            tensors[key] = tensor
            continue
        noise = randn(seed, f"clip/{key}", *tensor.shape)
        if "norm" in key or "layrnorm" in key:
            noise = 1 + 0.1 * noise if key.endswith("weight") else 0.05 * noise
        elif tensor.ndim == 1:
            noise = 0.1 * noise
        elif "position" in key:
            noise = 0.3 * noise
        else:
            noise = noise * (1.5 / tensor[0].numel() ** 0.5)
        tensors[key] = noise.half().float()
    return tensors


def conditioning(seed: int, tag: str, base: str) -> list[Any]:
    pooled: dict[str, Any] = {}
    if base == "sdxl":
        sides = dict.fromkeys(("width", "height", "target_width", "target_height"), 128)
        pooled = {"pooled_output": randn(seed, f"pooled/{tag}", 1, 1280), **sides}
    tokens = randn(seed, f"text/{base}/{tag}", 1, TEXT_TOKENS, TEXT_WIDTHS[base])
    return [[tokens, pooled]]


def _mlp_shapes(text: int) -> dict[str, tuple[int, ...]]:
    return {
        "proj.weight": (4 * text, 1024),
        "proj.bias": (4 * text,),
        "norm.weight": (text,),
        "norm.bias": (text,),
    }


def _resampler_shapes(text: int, base: str) -> dict[str, tuple[int, ...]]:
    width, heads = (768, 12) if base == "sd15" else (1280, 20)
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, 16, width),
        "proj_in.weight": (width, 1280),
        "proj_in.bias": (width,),
        "proj_out.weight": (text, width),
        "proj_out.bias": (text,),
        "norm_out.weight": (text,),
        "norm_out.bias": (text,),
    }
    for layer in (f"layers.{number}" for number in range(4)):
        for norm in ("0.norm1", "0.norm2", "1.0"):
            shapes |= {f"{layer}.{norm}.{part}": (width,) for part in ("weight", "bias")}
        shapes |= {
            f"{layer}.0.to_q.weight": (heads * 64, width),
            f"{layer}.0.to_kv.weight": (2 * heads * 64, width),
            f"{layer}.0.to_out.weight": (width, heads * 64),
            f"{layer}.1.1.weight": (4 * width, width),
            f"{layer}.1.3.weight": (width, 4 * width),
        }
    return shapes
