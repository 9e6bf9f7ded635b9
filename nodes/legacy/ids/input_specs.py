"""The inputs of old nodes: names, order, ranges and defaults as saved graphs expect them."""

from typing import Any

from .encoder_views import COMBINE
from .weight_types import NEW_SCALINGS, NEW_TAKES

Spec = tuple[Any, dict[str, Any]]


def link(kind: str, tooltip: str) -> Spec:
    return kind, {"tooltip": tooltip}


def number(default: float, low: float, high: float, step: float, tooltip: str) -> Spec:
    return "FLOAT", {"default": default, "min": low, "max": high, "step": step, "tooltip": tooltip}


def count(default: int, low: int, high: int, tooltip: str) -> Spec:
    return "INT", {"default": default, "min": low, "max": high, "step": 1, "tooltip": tooltip}


def choice(options: list[str], tooltip: str, default: str | None = None) -> Spec:
    more = {} if default is None else {"default": default}
    return options, {**more, "tooltip": tooltip}


def text(default: str, tooltip: str, multiline: bool = False) -> Spec:
    more = {"multiline": True} if multiline else {}
    return "STRING", {"default": default, **more, "tooltip": tooltip}


def switch(default: bool, tooltip: str) -> Spec:
    return "BOOLEAN", {"default": default, "tooltip": tooltip}


def weight(high: float = 5) -> Spec:
    return number(1.0, -1, high, 0.05, "How strongly the picture acts.")


MODEL = link("MODEL", "The SD1.5 or SDXL model.")
IPADAPTER = link("IPADAPTER", "The adapter, from a unified loader or a model loader.")
IMAGE = link("IMAGE", "The reference; a batch is several references.")
IMAGE_NEGATIVE = link("IMAGE", "What the negative side sees.")
MASK = link("MASK", "Where the picture acts.")
CLIP_VISION = link("CLIP_VISION", "The encoder, where the link 'ipadapter' does not bring it.")
INSIGHTFACE = link("INSIGHTFACE", "For FaceID adapters; others do not need it.")
EMBEDS = link("EMBEDS", "Encoded references.")
PARAMS = link("IPADAPTER_PARAMS", "Regions, from IPAdapter Regional Conditioning.")
WEIGHT_TYPE = choice(list(NEW_TAKES), "What to take from the picture.")
COMBINE_EMBEDS = choice(COMBINE, "How several references become one.")
SCALING = choice(list(NEW_SCALINGS), "What the weight multiplies.")
START_AT = number(0.0, 0.0, 1.0, 0.001, "When the picture begins to act.")
END_AT = number(1.0, 0.0, 1.0, 0.001, "When it stops.")
ENCODE_BATCH = count(0, 0, 4096, "Has no effect any more: long batches are encoded in pieces.")
FACE_V2 = number(1.0, -1, 5.0, 0.05, "For FaceID plus v2 adapters alone.")
SHARPENING = number(0.0, 0.0, 1.0, 0.05, "Sharpens what the encoder sees.")
WINDOW = {"start_at": START_AT, "end_at": END_AT}
PICTURE = {"model": MODEL, "ipadapter": IPADAPTER, "image": IMAGE}
SOCKETS = {"image_negative": IMAGE_NEGATIVE, "attn_mask": MASK, "clip_vision": CLIP_VISION}
FACE_SOCKETS = {**SOCKETS, "insightface": INSIGHTFACE}


def inputs(required: dict[str, Spec], optional: dict[str, Spec] | None = None) -> dict[str, Any]:
    return {"required": required, **({"optional": optional} if optional else {})}
