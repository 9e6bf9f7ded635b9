"""The smallest whole files: adapters, an encoder and embeds, and how torch saves them."""

import io
from typing import Any

import torch


def base(width: int = 6, layers: int = 2) -> dict[str, torch.Tensor]:
    """The smallest base adapter."""
    result = {"image_proj.proj.weight": torch.randn(4 * width, 5)}
    result |= {"image_proj.proj.bias": torch.zeros(4 * width)}
    result |= {f"image_proj.norm.{key}": torch.ones(width) for key in ("weight", "bias")}
    return result | keys(width, layers)


def keys(width: int, layers: int) -> dict[str, torch.Tensor]:
    return {
        f"ip_adapter.{2 * number + 1}.to_{x}_ip.weight": torch.randn(3, width)
        for number in range(layers)
        for x in "kv"
    }


def plus(width: int = 6, dim: int = 64, features: int = 5) -> dict[str, torch.Tensor]:
    """The smallest plus adapter: one layer of the resampler."""
    shapes = {
        "latents": (1, 2, dim),
        "proj_in.weight": (dim, features),
        "proj_in.bias": (dim,),
        "proj_out.weight": (width, dim),
        "proj_out.bias": (width,),
        "layers.0.0.to_q.weight": (64, dim),
        "layers.0.0.to_kv.weight": (128, dim),
        "layers.0.0.to_out.weight": (dim, 64),
        "layers.0.1.1.weight": (8, dim),
        "layers.0.1.3.weight": (dim, 8),
    }
    norms = {
        "norm_out": width,
        "layers.0.1.0": dim,
        "layers.0.0.norm1": dim,
        "layers.0.0.norm2": dim,
    }
    shapes |= {
        f"{name}.{part}": (size,) for name, size in norms.items() for part in ("weight", "bias")
    }
    return {f"image_proj.{key}": torch.randn(shape) for key, shape in shapes.items()} | keys(
        width, 1
    )


def encoder() -> dict[str, torch.Tensor]:
    return {
        "vision_model.embeddings.patch_embedding.weight": torch.zeros(4, 3, 2, 2),
        "vision_model.encoder.layers.0.layer_norm1.weight": torch.zeros(4),
        "visual_projection.weight": torch.zeros(2, 4),
    }


EMBEDS = {  # metadata as Save IPAdapter Embeds writes it
    "format": "ip-adapter-embeds",
    "version": "1",
    "feature": "image_embeds",
    "width": "5",
    "weights": "[1.0, 0.5]",
    "method": "concat",
    "negative": "as stored",
}


def embeds() -> dict[str, torch.Tensor]:
    picture = torch.zeros(4, 4, 3, dtype=torch.uint8)
    return {"positive": torch.randn(2, 5), "negative": torch.randn(1, 5), "thumbnail": picture}


def ipadpt() -> list[Any]:
    """What the older files of embeds hold: one side, both, and diffusers' list."""
    return [torch.randn(1, 5), torch.randn(2, 1, 70, 5), [torch.randn(2, 1, 5)]]


def nested(weights: dict[str, Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for key, value in weights.items():
        part, _, rest = key.partition(".")
        parts.setdefault(part, {})[rest] = value
    return parts


def saved(content: Any, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()
