"""LoRAs of FaceID adapters as files of their own: by what they hold, and twins by their names.

The published ones have rank 128 at every projection of every attention.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from ...ipadapter_core.adapter.checkpoint import SDXL_TEXT_WIDTH
from ...ipadapter_core.adapter.families import FACEID_PLUS, Family, family_named, twin_named
from . import folders
from .file_specs import installed_spec

LORAS = "loras"
LORA_RANK = 128
LORA_KEY = re.compile(r"lora_unet_\w+_attn([12])_to_(q|k|v|out_0)\.(lora_(down|up)\.weight|alpha)")


def find_lora(family: Family, is_sdxl: bool) -> str | None:
    """The installed LoRA for adapters of a family, or None.

    Those of plus and plus v2 have the shapes of all others: their names tell them apart, and a name
    that says nothing may be any of them.
    """
    plus = family_named(FACEID_PLUS)
    assert plus is not None
    required_twin = family if family in plus.twins else None
    fitting: list[tuple[bool, str]] = []
    for name in folders.names(LORAS):
        twin_by_name = twin_named(plus, os.path.basename(name))
        is_twin = twin_by_name is None or twin_by_name is required_twin
        if is_twin and installed_spec(LORAS, name, read_lora) == is_sdxl:
            fitting.append((twin_by_name is not required_twin, name))
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
