"""The arguments of the UNet while the host samples, for the same calls elsewhere."""

from dataclasses import dataclass

import torch


@dataclass
class UNetCall:
    """One call of the UNet while the host samples."""

    x: torch.Tensor
    timesteps: torch.Tensor
    context: torch.Tensor
    y: torch.Tensor | None
    rows: list[int]
    out: torch.Tensor


def unet_calls(tiny, model, prompt, **settings):
    """Samples with the host's KSampler and returns every call of the UNet."""
    from comfy.patcher_extension import WrappersMP

    calls = []

    def watch(executor, x, timesteps, context, *args, **kwargs):
        out = executor(x, timesteps, context, *args, **kwargs)
        options = kwargs.get("transformer_options") or args[-1]
        y = next((a for a in args if isinstance(a, torch.Tensor)), kwargs.get("y"))
        calls.append(UNetCall(x, timesteps, context, y, options["cond_or_uncond"], out))
        return out

    model = model.clone()
    model.add_wrapper(WrappersMP.DIFFUSION_MODEL, watch)
    tiny.sample(model, prompt, **settings)
    assert calls
    return calls
