"""FLUX.1 and SD3.5 Large on a GPU: one shape at real width, few blocks. Called by gpu.py."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flux_sd3_models
import flux_sd3_variants
from flux_sd3_models import REAL, SD35, Sizes
from gpu_steps import STEPS, TIMED, report_steps, report_waits

GPU_LATENT = 128  # a picture of 1024 pixels


class TransformerCase(NamedTuple):
    """A step that is measured."""

    case: flux_sd3_models.Case
    gpu: bool
    steps: int
    is_time_still: bool = True  # else every step has another timestep

    def __str__(self) -> str:
        size = f"{self.case.name}, {self.case.layers} layers, latent {self.case.sizes.latent}"
        return size if self.is_time_still else f"{size}, new timesteps"

    def sample(self, model: Any, step: Callable[[Any], Any], steps: int) -> None:
        self.case.sample(model, step, steps, self.is_time_still)


def measure(pack: Any, device: str, sizes: Sizes = REAL, steps: int = STEPS) -> None:
    """Steps with hollow projections: times, peaks of memory, synchronisations."""
    gpu = device == "cuda"
    if gpu:
        sizes = sizes._replace(latent=GPU_LATENT)
    for case in flux_sd3_models.cases(pack, sizes, device):
        measured = TransformerCase(case, gpu, steps)
        models = patched(case, device)
        report_waits(models, measured)
        report_steps(models, measured)
        if TIMED in models:
            moving = {label: models[label] for label in ("plain", TIMED)}
            report_steps(moving, measured._replace(is_time_still=False))


def patched(case: flux_sd3_models.Case, device: str) -> dict[str, Any]:
    """The plain model, the adapter in it, and what the least would be."""
    import torch

    label = TIMED if case.name == SD35 else "ours"
    ours = case.apply()
    floor = flux_sd3_variants.floor(case, ours, device=device)
    masked = case.apply(attn_mask=torch.rand(1, 64, 64))
    return {"plain": case.plain, "floor": floor, label: ours, f"{label}, mask": masked}
