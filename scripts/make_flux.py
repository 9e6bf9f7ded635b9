"""A small FLUX.1 with random weights, and XLabs' adapters for it, for the tests."""

import make_models
import torch
from adapter_layouts import Base, Layout, dense, flux_instantx, norm
from make_models import Tensors

FLUX = {  # a small one of two and three blocks, for text of CLIP-L's width
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": 768,
    "context_in_dim": 768,
    "hidden_size": 256,
    "mlp_ratio": 4.0,
    "num_heads": 2,
    "depth": 2,
    "depth_single_blocks": 3,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": True,
    "patch_size": 2,
    "txt_ids_dims": [],
}


def flux(seed: int = 0, **sizes: int) -> torch.nn.Module:
    """The host's own FLUX class, small but for these sizes, as a BaseModel."""
    import comfy.supported_models

    config = comfy.supported_models.Flux({**FLUX, **sizes})
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device=torch.device("cpu"))
    make_models.fill(model.diffusion_model, make_models.generator("flux", seed))
    return model


def checkpoint_tensors(seed: int = 0) -> Tensors:
    """A checkpoint that CheckpointLoaderSimple loads, without a text encoder."""
    weights = flux(seed).diffusion_model.state_dict()
    tensors = {f"model.diffusion_model.{key}": value.half() for key, value in weights.items()}
    return tensors | make_models.nest_tensors("vae", make_models.vae_tensors(16, seed))


def instantx_tensors(tokens: int = 8, seed: int = 0) -> Tensors:
    """InstantX's adapter with few tokens and a narrow projection, in float32."""
    blocks = FLUX["depth"] + FLUX["depth_single_blocks"]
    base = Base(FLUX["context_in_dim"], (FLUX["hidden_size"],) * blocks)
    shapes = flux_instantx(base, tokens, hidden=32)
    return make_models.draw(shapes, make_models.generator("instantx", seed), torch.float32)


def adapter_tensors(name: str = "flux-ip-adapter", seed: int = 0) -> Tensors:
    """An adapter of XLabs, in float32."""
    base = Base(FLUX["context_in_dim"], (FLUX["hidden_size"],) * FLUX["depth"])
    return make_models.adapter_tensors(name, base, seed, torch.float32)


def siglip_head_layout(width: int, inner: int) -> Layout:
    """SigLIP's pooling head, as it stands in the encoder's file."""
    layout = {"probe": (1, 1, width), "attention.in_proj_weight": (3 * width, width)}
    layout |= {"attention.in_proj_bias": (3 * width,)} | norm("layernorm", width)
    layout |= dense("attention.out_proj", width, width)
    layout |= dense("mlp.fc1", inner, width) | dense("mlp.fc2", width, inner)
    return {f"vision_model.head.{key}": shape for key, shape in layout.items()}
