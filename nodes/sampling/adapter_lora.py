"""The LoRA of an adapter on a model: once, also where another node adds it behind Apply IPAdapter,
which only the sampling sees.
"""

# The host's patches are untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import logging
from typing import Any, cast
from uuid import uuid4

import torch

from comfy.model_patcher import ModelPatcher
from comfy.weight_adapter import LoRAAdapter

from ...ipadapter_core.messages import Message
from ..recall import Recalled, recall

log = logging.getLogger("ipadapter")
WeightPatch = tuple[Any, ...]  # the host's (strength, patch, ...)


class AdapterLora(LoRAAdapter):
    """A LoRA patch that this pack added; the host treats it as any other."""

    adapter_name = ""


def same_lora(patches: list[WeightPatch], patch: LoRAAdapter) -> WeightPatch | None:
    """The one of a weight's patches that is the same LoRA, but for rounding."""
    for other in patches:
        if isinstance(other[1], LoRAAdapter) and _has_same_matrices(other[1], patch):
            return other
    return None


def without_repeated_loras(model: ModelPatcher) -> ModelPatcher:
    """The model without those LoRAs of adapters that another node added too: there its strength
    holds, as where that node comes first. The model itself where there are none.
    """
    repeated = _repeated_patches(model)
    if not repeated:
        return model
    for name, strength in {
        (own_patch[1].adapter_name, other[0]) for _, own_patch, other in repeated
    }:
        note = Message(
            "Another node applies the LoRA of '<1>' too, with strength <2>: that strength is "
            "used, and the LoRA is not added again.",
            name,
            strength,
        )
        log.warning("%s", note)
    deduplicated = model.clone()
    for name, own_patch, _ in repeated:
        deduplicated.patches[name] = [
            patch for patch in deduplicated.patches[name] if patch is not own_patch
        ]
    # the same patches as in an earlier sampling: the host need not load the weights anew
    deduplicated.patches_uuid = recall(
        model, Recalled.PATCHES_ONCE, uuid4, settings=model.patches_uuid, only_latest=True
    )
    return deduplicated


def _repeated_patches(model: ModelPatcher) -> list[tuple[str, WeightPatch, WeightPatch]]:
    """(name of a weight, a patch of ours, the same of another node)."""
    repeated: list[tuple[str, WeightPatch, WeightPatch]] = []
    for name, patches in cast("dict[str, list[WeightPatch]]", model.patches).items():
        own_patches = [patch for patch in patches if isinstance(patch[1], AdapterLora)]
        others = [patch for patch in patches if not isinstance(patch[1], AdapterLora)]
        for patch in own_patches if others else ():
            if other := same_lora(others, patch[1]):
                repeated.append((name, patch, other))
    return repeated


def _has_same_matrices(lora: LoRAAdapter, other_lora: LoRAAdapter) -> bool:
    weights, other_weights = (cast(Any, patch).weights[:2] for patch in (lora, other_lora))
    pairs = list(zip(weights, other_weights, strict=True))
    if any(first.shape != second.shape for first, second in pairs):
        return False
    if not all(_are_close(first[:1], second[:1]) for first, second in pairs):  # tells most apart
        return False
    return all(_are_close(first, second) for first, second in pairs)


def _are_close(matrix: torch.Tensor, other_matrix: torch.Tensor) -> bool:
    first, second = matrix.float().cpu(), other_matrix.float().cpu()
    return torch.allclose(first, second, rtol=0.01, atol=0.001 * float(second.abs().max()))
