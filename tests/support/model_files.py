"""Model files, as small as they can be."""

from pathlib import Path

import make_flux
import make_models
import make_sd3
import torch
from adapter_layouts import Base

from support import short_encoders
from support.graphs import ADAPTERS

SMALL = Base(768, (8,) * 16)
ENCODERS = {
    "h": (32, 1280, 1024),
    "g": (48, 1664, 1280),
    "l": (24, 1024, 768),
    "l336": (24, 1024, 768),
}


def adapter(name="ip-adapter_sd15", base=SMALL):
    return make_models.adapter_tensors(name, base)


def encoder_header(kind, layout="transformers"):
    """The header of an encoder of that size, over a file of holes: nothing is stored."""
    depth, hidden, projection = ENCODERS[kind]
    token_count = 577 if kind == "l336" else 257
    if layout == "transformers":
        shapes = {
            "vision_model.embeddings.patch_embedding.weight": (hidden, 3, 14, 14),
            "vision_model.embeddings.position_embedding.weight": (token_count, hidden),
            "visual_projection.weight": (projection, hidden),
        }
        layer = "vision_model.encoder.layers.{}.layer_norm1.weight"
    else:
        shapes = {"visual.conv1.weight": (hidden, 3, 14, 14), "visual.proj": (hidden, projection)}
        layer = "visual.transformer.resblocks.{}.ln_1.weight"
    shapes |= {layer.format(i): (hidden,) for i in range(depth)}
    return {key: torch.zeros(shape, dtype=torch.float16) for key, shape in shapes.items()}


def encoder_file(path):
    """The tensors by which ViT-H is known, as small as they can be."""
    tensors = {
        "vision_model.embeddings.patch_embedding.weight": torch.zeros(1280, 1, 1, 1),
        "vision_model.encoder.layers.31.mlp.fc1.weight": torch.zeros(1),
        "visual_projection.weight": torch.zeros(1024, 1),
    }
    make_models.save(path, tensors)


def save_server_models(folder: Path) -> None:
    """All models that graphs over HTTP load."""
    for kind in ("sd15", "sdxl"):
        tensors = make_models.checkpoint_tensors(kind, text=kind == "sd15")
        make_models.save(folder / "checkpoints" / f"{kind}.safetensors", tensors)
    for name, (published, base) in ADAPTERS.items():
        tensors = make_models.adapter_tensors(published, base)
        make_models.save(folder / "ipadapter" / name, tensors)
    for kind, name in (("vit-h", "some/model.safetensors"), ("vit-l", "some/large.safetensors")):
        make_models.save(folder / "clip_vision" / name, short_encoders.encoder_tensors(kind))
    siglip = short_encoders.siglip_tensors()
    make_models.save(folder / "clip_vision" / "some" / "siglip.safetensors", siglip)
    make_models.save(folder / "checkpoints" / "sd3.safetensors", make_sd3.checkpoint_tensors())
    make_models.save(folder / "ipadapter" / "sd3.safetensors", make_sd3.adapter_tensors())
    make_models.save(folder / "checkpoints" / "flux.safetensors", make_flux.checkpoint_tensors())
    make_models.save(folder / "ipadapter" / "flux.safetensors", make_flux.adapter_tensors())
