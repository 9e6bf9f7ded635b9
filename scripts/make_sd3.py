"""Stable Diffusion 3.5 with few narrow blocks and random weights, and an adapter for it, for the
tests.
"""

from typing import Any

import adapter_layouts
import make_models
import torch
from make_models import Tensors

BLOCKS = 3
TEXT, POOLED = 48, 32


def config(blocks: int) -> dict[str, Any]:
    return {
        "input_size": None,
        "pos_embed_scaling_factor": None,
        "pos_embed_offset": None,
        "pos_embed_max_size": 16,
        "patch_size": 2,
        "in_channels": 16,
        "depth": blocks,
        "adm_in_channels": POOLED,
        "context_embedder_config": {
            "target": "torch.nn.Linear",
            "params": {"in_features": TEXT, "out_features": 64 * blocks},
        },
        "num_patches": 256,
        "qk_norm": "rms",
    }


def sd3(seed: int = 0, blocks: int = BLOCKS, **over: Any) -> Any:
    """The host's own SD3 class, small, as a BaseModel."""
    import comfy.supported_models

    settings = comfy.supported_models.SD3({**config(blocks), **over})
    settings.set_inference_dtype(torch.float32, None)
    base = settings.get_model({}, device=torch.device("cpu"))
    make_models.fill(base.diffusion_model, make_models.generator("sd3", seed))
    return base


def adapter_tensors(seed: int = 0, blocks: int = BLOCKS) -> Tensors:
    """The adapter of InstantX for that width."""
    shapes = adapter_layouts.sd3(dim=128, width=64 * blocks, blocks=blocks)
    return make_models.draw(shapes, make_models.generator("sd3 adapter", seed), torch.float32)


def checkpoint_tensors(seed: int = 0) -> Tensors:
    """A checkpoint that CheckpointLoaderSimple loads, without a text encoder."""
    weights = sd3(seed).diffusion_model.state_dict()
    tensors = {f"model.diffusion_model.{key}": value.half() for key, value in weights.items()}
    return tensors | make_models.nest_tensors(
        "first_stage_model", make_models.vae_tensors(16, seed)
    )
