"""What the FaceID presets mean: adapter and LoRA by what the files hold. The adapters themselves do not run here.

The published LoRAs have rank 128 at every projection of every attention.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.sd
import comfy.utils
import folder_paths

from ....ipadapter_core.adapter.checkpoint import flatten
from ...files import folders
from . import installed_files

LORAS = "loras"
LINKS = {row.name: row.link for row in installed_files.PUBLISHED}
INSTEAD = "replace it by IPAdapter Unified Loader with the preset 'PLUS FACE (portraits)' and Face Crop, or bypass it and its apply node"
RANK, SDXL_TEXT = 128, 2048
IDENTITY, PLUS, PORTRAIT, UNNORM = "identity", "identity and look", "portrait", "unnorm portrait"
TWINS = ("plusv2", "plus")  # of the same shapes: only a name can tell them apart
LORA_KEY = re.compile(r"lora_unet_\w+_attn([12])_to_(q|k|v|out_0)\.(lora_(down|up)\.weight|alpha)")


@dataclass(frozen=True)
class Preset:
    """What one preset means for one base model: the published adapter and its LoRA, and what tells them."""

    file: str
    kind: str
    twin: str = ""
    lora: str | None = None


@dataclass(frozen=True)
class FaceID:
    """On an IPADAPTER link in the place of an adapter that cannot run here; name: its file."""

    name: str

    def refusal(self, node: str) -> str:
        return f"{node} got the FaceID adapter '{self.name}', which needs InsightFace, and this pack does not run that: {INSTEAD.replace('replace it', 'replace its loader')}."


def _with_lora(name: str, kind: str, twin: str = "") -> Preset:
    file = f"ip-adapter-faceid{name}"
    return Preset(f"{file}.bin", kind, twin, f"{file}_lora.safetensors")


def _without(name: str, kind: str) -> Preset:
    return Preset(f"ip-adapter-faceid-portrait{name}.bin", kind)


PRESETS: dict[str, tuple[Preset | None, Preset | None]] = {  # for SD1.5 and for SDXL
    "FACEID": (_with_lora("_sd15", IDENTITY), _with_lora("_sdxl", IDENTITY)),
    "FACEID PLUS - SD1.5 only": (_with_lora("-plus_sd15", PLUS, "plus"), None),
    "FACEID PLUS V2": (
        _with_lora("-plusv2_sd15", PLUS, "plusv2"),
        _with_lora("-plusv2_sdxl", PLUS, "plusv2"),
    ),
    "FACEID PORTRAIT (style transfer)": (
        _without("-v11_sd15", PORTRAIT),
        _without("_sdxl", PORTRAIT),
    ),
    "FACEID PORTRAIT UNNORM - SDXL only (strong)": (None, _without("_sdxl_unnorm", UNNORM)),
}


def adapter_for(preset: Preset, sdxl: bool, asked: str) -> str:
    """The installed adapter that a preset means. Raises ValueError."""
    return _found(
        folders.ADAPTERS, preset.file, (preset.kind, sdxl), preset.twin, read_adapter, asked
    )


def lora_for(preset: Preset, sdxl: bool, asked: str) -> str:
    """The installed LoRA of a preset that has one. Raises ValueError."""
    return _found(LORAS, str(preset.lora), sdxl, preset.twin, read_lora, asked)


def with_lora(model: Any, name: str, strength: float) -> Any:
    """The model with a LoRA on it, by the host's own means."""
    path = folders.path_of(LORAS, name)
    weights: Any = comfy.utils.load_torch_file(path, safe_load=True)
    return comfy.sd.load_lora_for_models(model, None, weights, strength, 0)[0]


def read_adapter(weights: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Kind of a FaceID adapter, and whether it is for SDXL; None: it is none."""
    shapes = {key: tuple(value.shape) for key, value in flatten(weights).items()}
    text = shapes.get("ip_adapter.1.to_k_ip.weight", ())[1:]
    if not text:
        return None
    sdxl = text[0] == SDXL_TEXT
    if shapes.get("image_proj.proj_in.weight", ())[1:] == (512,):
        return UNNORM, sdxl
    if any(key.startswith("image_proj.perceiver_resampler.") for key in shapes):
        return PLUS, sdxl
    if any("_lora." in key for key in shapes):
        return IDENTITY, sdxl
    mlp = "image_proj.proj.0.weight" in shapes and "image_proj.norm.weight" in shapes
    return (PORTRAIT, sdxl) if mlp else None


def read_lora(weights: Mapping[str, Any]) -> bool | None:
    """Whether a FaceID LoRA is for SDXL; None: it is none."""
    found = {key: LORA_KEY.fullmatch(key) for key in weights}
    if not weights or not all(found.values()):
        return None
    downs = {k: v.shape for k, v in weights.items() if k.endswith("lora_down.weight")}
    parts = {(one[1], one[2]) for one in found.values() if one}
    if len(parts) < 8 or any(shape[0] != RANK for shape in downs.values()):
        return None
    return any(shape[1] == SDXL_TEXT for key, shape in downs.items() if "attn2_to_k" in key)


def _found(
    folder: str, published: str, content: Any, twin: str, read: Callable[..., Any], asked: str
) -> str:
    names = folder_paths.get_filename_list(folder)
    fits: list[tuple[bool, bool, str]] = []
    for name in names:
        path = folder_paths.get_full_path(folder, name)
        if path is None or installed_files.cached_spec(path, read) != content:
            continue
        named = _twin(name)
        if named in (twin, ""):  # a name that says nothing may be any of them
            fits.append((named != twin, "v11" not in name.lower(), name))
    if fits:
        return min(fits)[2]
    raise ValueError(
        f"{asked} needs InsightFace, which this pack does not run, and a file like '{published}', of whose kind there is none in {folders.searched(folder)} (it is at {LINKS[published]}): {INSTEAD}."
    )


def _twin(name: str) -> str:
    words = re.sub(r"[^a-z0-9]", "", os.path.basename(name).lower())
    return next((one for one in TWINS if one in words), "")
