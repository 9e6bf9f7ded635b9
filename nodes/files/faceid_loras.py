"""LoRAs of FaceID adapters as files of their own: by what they hold, and twins by their names.

The published ones have rank 128 at every projection of every attention.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import folder_paths

from ...ipadapter_core.adapter.checkpoint import SDXL_TEXT_WIDTH, AdapterSpec
from ...ipadapter_core.adapter.families import FACEID_PLUS, FACEID_PLUS_V2
from . import folders
from .file_specs import cached_spec

LORAS = "loras"
LORA_RANK = 128
LORA_KEY = re.compile(r"lora_unet_\w+_attn([12])_to_(q|k|v|out_0)\.(lora_(down|up)\.weight|alpha)")
TWINS = ("plusv2", "plus")  # of the same shapes: only a name can tell them apart
TWIN_OF_KIND = {FACEID_PLUS_V2: "plusv2", FACEID_PLUS: "plus"}


def find_lora(spec: AdapterSpec) -> str | None:
    """The installed LoRA of an adapter that brings none, or None."""
    twin, fitting = TWIN_OF_KIND.get(spec.kind, ""), list[tuple[bool, str]]()
    for name in folders.names(LORAS):
        path = folder_paths.get_full_path(LORAS, name)
        if path is None or cached_spec(path, read_lora) != spec.is_sdxl:
            continue
        named_twin = twin_named(name)
        if named_twin in (twin, ""):  # a name that says nothing may be any of them
            fitting.append((named_twin != twin, name))
    return min(fitting)[1] if fitting else None


def read_lora(weights: Mapping[str, Any]) -> bool | None:
    """Whether a FaceID LoRA is for SDXL; None: it is none."""
    projections = [_projection(key) for key in weights]
    shapes = {key: value.shape for key, value in weights.items() if "lora_down" in key}
    ranks = {shape[0] for shape in shapes.values()}
    if None in projections or len(set(projections)) < 8 or ranks != {LORA_RANK}:
        return None
    return any(shape[1] == SDXL_TEXT_WIDTH for key, shape in shapes.items() if "attn2_to_k" in key)


def _projection(key: str) -> tuple[str, str] | None:
    """Attention and projection that a LoRA's key belongs to."""
    match = LORA_KEY.fullmatch(key)
    return (match[1], match[2]) if match else None


def twin_named(name: str) -> str:
    """Which of TWINS a file's name speaks of; empty for none."""
    letters = re.sub(r"[^a-z0-9]", "", os.path.basename(name).lower())
    return next((twin for twin in TWINS if twin in letters), "")
