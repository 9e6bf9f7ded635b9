"""The LoRA that a FaceID adapter was trained with: the host's weight patches on the model.

From the adapter's own file, else from an installed one. It is added once, however often adapter and
LoRA are used before.
"""

# The host's patches are untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Mapping
from typing import Any, cast
from uuid import uuid4

import torch
from torch import Tensor

import comfy.lora
import comfy.lora_convert
from comfy.model_patcher import ModelPatcher
from comfy.weight_adapter import LoRAAdapter

from ...ipadapter_core.adapter.checkpoint import AdapterSpec
from ...ipadapter_core.adapter.lora import LoraPair, LoraTarget
from ...ipadapter_core.messages import Message
from ..files import folders
from ..files.faceid_loras import LORAS, find_lora
from ..files.file_specs import FileStamp, file_stamp
from ..files.open_files import read_weights
from ..recall import Recalled, recall
from ..sampling.adapter_lora import AdapterLora, WeightPatch, same_lora
from ..sampling.layers import find_layout
from ..sockets import LoadedAdapter

PROJECTIONS = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}
Patches = dict[str, Any]  # name of a weight in the model -> the host's patch


def add_lora(
    model: ModelPatcher, adapter: LoadedAdapter, strength: float
) -> tuple[ModelPatcher, tuple[Message, ...]]:
    """The model with an adapter's LoRA, and what its user should know.

    The model itself where there is nothing to add.
    """
    if not adapter.spec.family.has_lora or not strength:
        return model, ()
    installed_lora = None if adapter.lora else _installed_lora(adapter.spec)
    patches = _lora_patches(model, adapter, installed_lora)
    if not patches:
        return model, (_missing_note(adapter),)
    present = _present_patch(model, patches)
    if present is not None:
        return model, _present_notes(adapter, *present, strength)
    settings = (model.patches_uuid, strength, installed_lora)
    model = model.clone()
    model.add_patches(patches, strength)
    # the same patches as in an earlier run: the host need not load the model's weights anew
    model.patches_uuid = recall(adapter.patcher, Recalled.LORA_PATCHES, uuid4, settings=settings)
    return model, ()


def _installed_lora(spec: AdapterSpec) -> FileStamp | None:
    name = find_lora(spec.family, spec.is_sdxl)
    return file_stamp(folders.path_of(LORAS, name)) if name else None


def _lora_patches(
    model: ModelPatcher, adapter: LoadedAdapter, installed_lora: FileStamp | None
) -> Patches:
    """The patches of the LoRA in the adapter's file, or of an installed one; empty for none."""
    if adapter.lora:
        weight_names = _weight_names(model, adapter.lora)
        tensors = _host_layout(adapter.lora)
    elif installed_lora:
        weights = read_weights(installed_lora.path)
        tensors = cast("dict[str, Tensor]", comfy.lora_convert.convert_lora(weights))
        weight_names = comfy.lora.model_lora_keys_unet(model.model, {})
    else:
        return {}
    patches = comfy.lora.load_lora(tensors, weight_names, log_missing=False)
    return {
        name: _adapter_patch(patch, adapter.name)
        for name, patch in cast(Patches, patches).items()
        if isinstance(patch, LoRAAdapter)
    }


def _adapter_patch(patch: LoRAAdapter, adapter_name: str) -> AdapterLora:
    named_patch = AdapterLora(patch.loaded_keys, patch.weights)
    named_patch.adapter_name = adapter_name
    return named_patch


def _weight_names(model: ModelPatcher, lora: Mapping[LoraTarget, LoraPair]) -> dict[str, str]:
    """Our name of each projection -> the name of its weight in the model."""
    diffusion_model: torch.nn.Module = model.model.diffusion_model
    known_model = find_layout(diffusion_model)
    names = known_model.layout.attention_names(diffusion_model) if known_model else []
    return {
        _name(target): f"diffusion_model.{names[target.layer][target.is_cross]}."
        f"{PROJECTIONS[target.projection]}.weight"
        for target in lora
        if target.layer < len(names)
    }


def _host_layout(lora: Mapping[LoraTarget, LoraPair]) -> dict[str, Tensor]:
    """The tensors under names that the host reads."""
    tensors: dict[str, Tensor] = {}
    for target, pair in lora.items():
        tensors[f"{_name(target)}.lora_up.weight"] = pair.up
        tensors[f"{_name(target)}.lora_down.weight"] = pair.down
    return tensors


def _name(target: LoraTarget) -> str:
    return f"{target.attention}.{target.projection}"


def _present_patch(model: ModelPatcher, patches: Patches) -> tuple[float, bool] | None:
    """(strength, whether this pack added it) of the same LoRA on the model, or None."""
    name, patch = next(iter(patches.items()))
    present = same_lora(cast("list[WeightPatch]", model.patches.get(name, [])), patch)
    return None if present is None else (present[0], isinstance(present[1], AdapterLora))


def _present_notes(
    adapter: LoadedAdapter, present_strength: float, is_ours: bool, strength: float
) -> tuple[Message, ...]:
    if is_ours and present_strength == strength:
        return ()
    return (
        Message(
            "The LoRA of '<1>' is already applied to this model with strength <2>, so it is not "
            "added again.",
            adapter.name,
            present_strength,
        ),
    )


def _missing_note(adapter: LoadedAdapter) -> Message:
    return Message(
        "'<1>' was trained with a LoRA, which is neither in its file nor in models/loras: "
        "likeness is weaker without it; IPAdapter Doctor can download it.",
        adapter.name,
    )
