"""The apply nodes of before March 2024 and laksjdjf's: they reached every layer."""

from collections.abc import Callable
from dataclasses import replace

from ..ids import weight_types
from . import parts
from .plan import Here, Inputs, Kept, Known, Plan, Same

ALWAYS = {"start_at": 0.0, "end_at": 1.0}
MASKS = "it resizes masks in another way"


def _first(node_id: str, inputs: Inputs, known: Known) -> Plan:
    if parts.is_set(inputs.get("noise"), 0):
        raise Kept("its noise has no counterpart")
    if "attn_mask" in inputs and not known.paper:
        raise Kept(MASKS)
    known = replace(known, paper=False)  # its negative side is what it was
    plan = Plan()
    first = weight_types.SCALINGS_BEFORE_MARCH_2024.get(
        str(inputs.get("weight_type", "original")), weight_types.V_ONLY
    )
    given = {**inputs, "embeds_scaling": first, "weight_type": weight_types.LINEAR}
    settings = parts.settings(given, inputs.get("unfold_batch") is True, Same("weight"))
    found = {**parts.sources(plan, inputs, known), **settings, "image": Same("image")}
    plan.nodes["apply"] = (parts.APPLY, found)
    plan.outputs = {0: Here("apply")}
    return plan


def _seen(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """Of September 2023; on SDXL it left out the middle block by mistake."""
    if "mask" in inputs:
        raise Kept(MASKS)
    if known.base is None:
        raise Kept(parts.UNSEEN)
    plan = Plan()
    names = ("model", "ipadapter", "clip_vision_output", "weight")
    found: Inputs = ALWAYS | {name: Same(name) for name in names}
    if known.base == "SDXL" and not known.paper:
        found["weight_map"] = parts.weight_map(plan, known, "map", "balanced")
    plan.nodes["apply"] = (parts.APPLY, found)
    plan.outputs = {0: Here("apply")}
    return plan


def _laksjdjf(node_id: str, inputs: Inputs, known: Known) -> Plan:
    if 1 in known.used:
        raise Kept("its second output, what the encoder saw, is used")
    if "mask" in inputs:
        raise Kept(MASKS)
    file = known.file or inputs.get("model_name") or ""
    plan = Plan({"adapter": ("LoadIPAdapter", {"ipadapter_file": file})})
    taken = ("clip_vision_output",) if "Seen" in node_id else ("clip_vision", "image")
    found: Inputs = ALWAYS | {name: Same(name) for name in ("model", *taken, "weight")}
    plan.nodes["apply"] = (parts.APPLY, {**found, "ipadapter": Here("adapter")})
    plan.outputs = {0: Here("apply")}
    return plan


def _encode(node_id: str, inputs: Inputs, known: Known) -> Plan:
    found = {"clip_vision": Same("clip_vision"), "image": Same("image"), "crop": "center"}
    return Plan({"seen": ("CLIPVisionEncode", found)}, {0: Here("seen")})


PLANS: dict[str, Callable[[str, Inputs, Known], Plan]] = {
    "IPAdapterApply": _first,
    "IPAdapterApplyFaceID": _first,
    "IPAdapterApplySeen": _seen,
    "IPAdapterLaksjdjf": _laksjdjf,
    "IPAdapterLaksjdjfSeen": _laksjdjf,
    "IPAdapterCLIPVisionEncode": _encode,
}
