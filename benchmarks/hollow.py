"""A UNet of the host's own classes that costs nothing but its cross-attention.

The real forward passes of `UNetModel`, `SpatialTransformer` and `BasicTransformerBlock` run at the
real widths and resolutions, with the real text attention; every module around it gives back
ready-made tensors. So what an adapter adds is a large part of a step, by whatever mechanism it is
added.
"""

from typing import Any

import make_models
import torch
from torch import Tensor, nn

import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
from comfy.ldm.modules.attention import BasicTransformerBlock, SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, ResBlock, Upsample

DTYPES = {"sd15": torch.float32, "sdxl": torch.bfloat16}
TEXT_TOKENS = 8  # enough: what the text costs is subtracted
TEXT = {"sd15": 768, "sdxl": 2048}
HEADS = {"sd15": {"num_heads": 8}, "sdxl": {"num_head_channels": 64}}
CHANNELS = {
    "sd15": {"model_channels": 320, "channel_mult": [1, 2, 4, 4]},
    "sdxl": {"model_channels": 320, "channel_mult": [1, 2, 4]},
}


class Supply:
    """Ready-made tensors, one for each shape."""

    def __init__(self, dtype: torch.dtype, device: str = "cpu"):
        self.dtype, self.device, self._tensors = dtype, device, {}
        self._source = torch.Generator().manual_seed(0)

    def zeros(self, *shape: int) -> Tensor:
        return self._get(("zeros", *shape), lambda: torch.zeros(shape))

    def noise(self, *shape: int) -> Tensor:
        return self._get(("noise", *shape), lambda: torch.randn(shape, generator=self._source))

    def _get(self, key: tuple, make: Any) -> Tensor:
        if key not in self._tensors:
            self._tensors[key] = make().to(self.device, self.dtype)
        return self._tensors[key]


def config(kind: str) -> Any:
    """The host's configuration of the model, in the precision that its users run it in on a CPU."""
    class_ = {"sd15": comfy.supported_models.SD15, "sdxl": comfy.supported_models.SDXL}[kind]
    model_config = class_({**make_models.COMMON, **make_models.UNETS[kind], **CHANNELS[kind]})
    model_config.unet_config |= HEADS[kind]
    model_config.set_inference_dtype(DTYPES[kind], None)
    return model_config


def patcher_of(base: Any) -> Any:
    device = comfy.model_management.get_torch_device()
    offload = comfy.model_management.unet_offload_device()
    return comfy.model_patcher.CoreModelPatcher(base, load_device=device, offload_device=offload)


def model(kind: str) -> Any:
    """A ModelPatcher around the hollow UNet."""
    base = config(kind).get_model({}, "", device=torch.device("meta"))
    empty(base.diffusion_model, Supply(DTYPES[kind]))
    return patcher_of(base)


def empty(unet: nn.Module, supply: Supply) -> None:
    """Replace the work of every module but the attention, and drop all weights."""
    unet.time_embed.forward = lambda x: supply.zeros(len(x), 4)
    if unet.num_classes is not None:
        unet.label_emb.forward = lambda y: supply.zeros(len(y), 4)
    unet.input_blocks[0][0].forward = lambda x: supply.zeros(len(x), 320, *x.shape[2:])
    unet.out.forward = lambda x: supply.zeros(len(x), 4, *x.shape[2:])
    for module in unet.modules():
        hollow_module(module, supply)
    for name, module in unet.named_modules():
        drop_weights(module, supply, is_patched=".attn" in name)


def hollow_module(module: nn.Module, supply: Supply) -> None:
    if isinstance(module, ResBlock):
        module.forward = residual(module.out_channels, supply)
    elif isinstance(module, Downsample):
        module.forward = lambda x: supply.zeros(*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2)
    elif isinstance(module, Upsample):
        module.forward = lambda x, output_shape: supply.zeros(*x.shape[:2], *output_shape[2:])
    elif isinstance(module, SpatialTransformer):
        module.norm.forward = module.proj_in.forward = module.proj_out.forward = same
    elif isinstance(module, BasicTransformerBlock):
        hollow_block(module, supply)


def drop_weights(module: nn.Module, supply: Supply, is_patched: bool) -> None:
    """is_patched: by LoRAs; such weights keep their shape, and take no memory until then."""
    for name, weight in module._parameters.items():
        if weight is not None:
            value = torch.zeros((), dtype=supply.dtype).expand(weight.shape if is_patched else 0)
            module._parameters[name] = nn.Parameter(value, requires_grad=False)


def residual(channels: int, supply: Supply) -> Any:
    return lambda x, emb: supply.zeros(len(x), channels, *x.shape[2:])


def hollow_block(block: BasicTransformerBlock, supply: Supply) -> None:
    """Self-attention and feed-forward give zeros; the cross-attention's projections give ready
    queries and keys.
    """
    inner = block.attn2.to_q.out_features
    for name in ("norm1", "norm2", "norm3"):
        getattr(block, name).forward = same
    block.attn1.forward = lambda x, **_: supply.zeros(*x.shape)
    block.ff.forward = lambda x: supply.zeros(*x.shape)
    block.attn2.to_q.forward = lambda x: supply.noise(*x.shape)
    block.attn2.to_k.forward = lambda x: supply.noise(*x.shape[:2], inner)
    block.attn2.to_v.forward = lambda x: supply.noise(*x.shape[:2], inner)
    block.attn2.to_out.forward = same


def same(x: Tensor) -> Tensor:
    return x
