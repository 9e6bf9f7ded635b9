"""The LoRA that a FaceID loader puts on its model."""

from enum import Enum, auto
from typing import NamedTuple

from ....files.faceid_loras import find_lora
from ..links import is_number
from .adapters import KnownAdapter, faceid_files
from .graph import Graph, Inputs

DEFAULT_STRENGTH = 0.6


class Origin(Enum):
    NONE = auto()
    OWN_FILE = auto()  # one in models/loras
    ADAPTER = auto()  # the adapter's file


class PresetLora(NamedTuple):
    """strength: a number, or the link that gives it."""

    origin: Origin
    file: str
    strength: object


def find_preset_lora(inputs: Inputs, adapter: KnownAdapter, graph: Graph) -> PresetLora:
    """The LoRA of a FaceID loader, found as the loader does."""
    strength = inputs.get("lora_strength", DEFAULT_STRENGTH)
    files, spec = faceid_files(inputs, graph), adapter.face_spec
    is_off = is_number(strength) and strength <= 0
    if files is None or files.lora is None or spec is None or is_off:
        return PresetLora(Origin.NONE, "", 0.0)
    file = find_lora(files.family, spec.is_sdxl)
    if file is not None:
        return PresetLora(Origin.OWN_FILE, file, strength)
    if spec.lora is None:
        return PresetLora(Origin.NONE, "", 0.0)
    return PresetLora(Origin.ADAPTER, "", strength)
