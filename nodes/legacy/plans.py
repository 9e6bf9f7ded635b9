"""What each old node becomes: a few new nodes with their inputs, or the reason why it stays.

Pure data in and out: an old node's inputs as a prompt has them, and what is known of its adapter. Results stay equal.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import kinds
from .load import COMMUNITY, PRESETS

MIDDLE = "middle:0, rest:1"  # IPAdapter_plus does not reach the middle block
EACH = "one for each picture"
NORM = "norm average (IPAdapter_plus)"
FIRST, SECOND = "mapped", "composition"  # names of nodes within a plan
Inputs = dict[str, Any]


@dataclass(frozen=True)
class Here:
    """A link to another node of the same plan."""

    key: str
    slot: int = 0


@dataclass(frozen=True)
class Same:
    """The old node's own input, linked or typed: what came in there goes on."""

    name: str


@dataclass
class Plan:
    """New nodes by key -> class and inputs, the last one in the old one's place; old output -> what gives it now."""

    nodes: dict[str, tuple[str, Inputs]] = field(default_factory=dict)
    outputs: dict[int, Here | Same] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """What the graph says of the adapter on a node, and which of its outputs are used."""

    kind: str | None = None  # base, plus, full-face
    file: str | None = None
    used: frozenset[int] = frozenset()


class Kept(Exception):
    """The node stays as it is; the message says why."""


def plan_of(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """The new nodes of an old one. Raises Kept where no new nodes give the same picture."""
    make = PLANS.get(node_id)
    if make is None:
        raise Kept("it works as before")
    return make(node_id, inputs, known)


def _loader(node_id: str, inputs: Inputs, known: Known) -> Plan:
    file = known.file or inputs.get("ipadapter_file") or ""
    plan = Plan({"adapter": ("LoadIPAdapter", {"ipadapter_file": file})})
    plan.outputs = {0: Here("adapter")}
    return plan


def _unified(node_id: str, inputs: Inputs, known: Known) -> Plan:
    if known.file is None:
        raise Kept(
            "which adapter its preset means depends on the model, and no file of that kind is here"
        )
    plan = Plan({"adapter": ("LoadIPAdapter", {"ipadapter_file": known.file})})
    plan.outputs = {0: Same("model"), 1: Here("adapter")}
    plan.notes = [f"the preset '{inputs.get('preset')}' is the file '{known.file}'"]
    return plan


def _apply(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """IPAdapter, Advanced, Batch, FaceID without a face, Mad Scientist, precise ones."""
    if 1 in known.used:
        raise Kept("its second output, the face, is used")
    if _is_link(inputs.get("enhance_tiles")) or inputs.get("enhance_tiles", 1) != 1:
        raise Kept("its tiles are mixed in another way than the new nodes do")
    by_frame = "Batch" in node_id
    kind, second = _kind(node_id, inputs)
    layers = str(inputs.get("layer_weights") or "")
    weight = inputs.get("weight", 1.0)
    if _is_link(weight) and (by_frame or second is not None):
        raise Kept("its weight comes from another node and may be a list")
    if layers.strip():
        if kind in (kinds.PRECISE_STYLE, kinds.PRECISE_LAYOUT):
            raise Kept("its layer weights with a precise type have no counterpart")
        kind, second = kinds.LINEAR, None
    plan = Plan()
    _encoder(plan, inputs)
    _negative(plan, inputs, known)
    amounts = (1.0, 1.0) if second is None else (weight, second)
    _map(plan, FIRST, kinds.TYPES[kind], amounts, layers)
    settings = _settings(inputs, by_frame, Same("weight") if second is None else 1.0)
    plan.nodes["apply"] = ("ApplyIPAdapter", {**_sources(plan, inputs), **settings})
    plan.nodes["apply"][1].update(image=Same("image"), weight_map=Here(FIRST))
    plan.outputs = {0: Here("apply")}
    return plan


def _two(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """Style and composition: two nodes, one after the other."""
    plan = Plan()
    _encoder(plan, inputs)
    _negative(plan, inputs, known)
    strong = inputs.get("expand_style") is True
    _map(plan, FIRST, "strong style" if strong else "style", (1.0, 1.0), "")
    _map(plan, SECOND, "layout", (1.0, 1.0), "")
    by_frame = "Batch" in node_id
    layout = "image_composition" if "image_composition" in inputs else "image_style"
    for key, image, weight, chosen in (
        ("style", "image_style", "weight_style", FIRST),
        ("apply", layout, "weight_composition", SECOND),
    ):
        settings = _settings(inputs, by_frame, Same(weight))
        given = {**_sources(plan, inputs), **settings, "image": Same(image)}
        plan.nodes[key] = ("ApplyIPAdapter", {**given, "weight_map": Here(chosen)})
    plan.nodes["apply"][1]["model"] = Here("style")
    plan.outputs = {0: Here("apply")}
    return plan


def _first(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """Apply IPAdapter of before March 2024, which reached every layer."""
    if _is_link(inputs.get("noise")) or inputs.get("noise"):
        raise Kept("its noise has no counterpart")
    if "attn_mask" in inputs:
        raise Kept("it resizes masks in another way")
    plan = Plan()
    _encoder(plan, inputs)
    _negative(plan, inputs, known)
    first = kinds.FIRST_TYPES.get(str(inputs.get("weight_type", "original")), kinds.V_ONLY)
    given = {**inputs, "embeds_scaling": first, "weight_type": kinds.LINEAR}
    settings = _settings(given, inputs.get("unfold_batch") is True, Same("weight"))
    sources = {**_sources(plan, inputs), **settings, "image": Same("image")}
    plan.nodes["apply"] = ("ApplyIPAdapter", sources)
    plan.outputs = {0: Here("apply")}
    return plan


def _laksjdjf(node_id: str, inputs: Inputs, known: Known) -> Plan:
    if 1 in known.used:
        raise Kept("its second output, what the encoder saw, is used")
    if "mask" in inputs:
        raise Kept("it resizes masks in another way")
    file = known.file or inputs.get("model_name") or ""
    plan = Plan({"adapter": ("LoadIPAdapter", {"ipadapter_file": file})})
    sources = {name: Same(name) for name in ("model", "clip_vision", "image", "weight")}
    plan.nodes["apply"] = ("ApplyIPAdapter", {**sources, "ipadapter": Here("adapter")})
    plan.outputs = {0: Here("apply")}
    return plan


def _kind(node_id: str, inputs: Inputs) -> tuple[str, Any]:
    """The kind, and its second amount where that is not simply the weight."""
    for name, kind in (
        ("style_boost", kinds.PRECISE_STYLE),
        ("composition_boost", kinds.PRECISE_LAYOUT),
    ):
        if name in inputs:
            return kind, Same(name)
    name = str(inputs.get("weight_type", kinds.LINEAR))
    if node_id == "IPAdapter" and name.startswith("style"):
        name = "style transfer"
    kind = kinds.OLD_TYPES.get(name, name)
    if kind not in kinds.TYPES:
        raise Kept(f"its weight type '{name}' is unknown")
    return kind, 1.0 if kind == "style and composition" else None


def _map(plan: Plan, key: str, take: str, amounts: tuple[Any, Any], layers: str) -> None:
    text = f"{layers.strip().rstrip(',')}, middle:0" if layers.strip() else MIDDLE
    given = {
        "model": Same("model"),
        "take": take,
        "amount": amounts[0],
        "second_amount": amounts[1],
        "layers": text,
    }
    plan.nodes[key] = ("IPAdapterWeightMap", given)
    plan.notes.append(
        "the weight map leaves out the middle block, as IPAdapter_plus did (empty its 'layers' to use it)"
    )


def _encoder(plan: Plan, inputs: Inputs) -> None:
    if "clip_vision" not in inputs:
        given = {"clip_name": "auto", "ipadapter": Same("ipadapter")}
        plan.nodes["encoder"] = ("LoadCLIPVision", given)


def _negative(plan: Plan, inputs: Inputs, known: Known) -> None:
    """Plus and full-face adapters got a black picture where nothing was connected."""
    if "image_negative" in inputs or known.kind == "base":
        return
    if known.kind is None:
        raise Kept("which kind of adapter it has is not to be seen: its file is not here")
    black = {"width": 224, "height": 224, "batch_size": 1, "color": 0}
    plan.nodes["black"] = ("EmptyImage", black)
    plan.notes.append(
        "a black picture is the negative, as IPAdapter_plus has it (without it the adapter sees nothing, as it was trained)"
    )


def _sources(plan: Plan, inputs: Inputs) -> Inputs:
    found: Inputs = {"model": Same("model"), "ipadapter": Same("ipadapter")}
    found["clip_vision"] = Here("encoder") if "encoder" in plan.nodes else Same("clip_vision")
    if "black" in plan.nodes:
        found["image_negative"] = Here("black")
    elif "image_negative" in inputs:
        found["image_negative"] = Same("image_negative")
    if "attn_mask" in inputs:
        found["attn_mask"] = Same("attn_mask")
        plan.notes.append(
            "masks lie exactly now: the same for pictures of a multiple of 64 pixels, straight where IPAdapter_plus sheared them"
        )
    return found


def _settings(inputs: Inputs, by_frame: bool, weight: Any) -> Inputs:
    name = str(inputs.get("weight_type", ""))
    scaling = kinds.MEAN_PENALTY if name == "channel penalty" else inputs.get("embeds_scaling")
    combine = inputs.get("combine_embeds", "concat")
    return {
        "weight": weight,
        "start_at": inputs.get("start_at", 0.0),
        "end_at": inputs.get("end_at", 1.0),
        "scaling": kinds.SCALINGS.get(str(scaling), kinds.V_ONLY),
        "combine": NORM if combine == "norm average" else combine,
        "batch": EACH if by_frame else "together",
    }


def _is_link(value: Any) -> bool:
    return isinstance(value, list)


PLANS: dict[str, Callable[[str, Inputs, Known], Plan]] = {
    "IPAdapterModelLoader": _loader,
    "IPAdapterUnifiedLoader": _unified,
    "IPAdapterUnifiedLoaderCommunity": _unified,
    "IPAdapterApply": _first,
    "IPAdapterLaksjdjf": _laksjdjf,
    **dict.fromkeys(("IPAdapterStyleComposition", "IPAdapterStyleCompositionBatch"), _two),
    **dict.fromkeys(
        (
            "IPAdapter",
            "IPAdapterAdvanced",
            "IPAdapterBatch",
            "IPAdapterFaceID",
            "IPAAdapterFaceIDBatch",
            "IPAdapterMS",
            "IPAdapterClipVisionEnhancer",
            "IPAdapterClipVisionEnhancerBatch",
            "IPAdapterPreciseStyleTransfer",
            "IPAdapterPreciseStyleTransferBatch",
            "IPAdapterPreciseComposition",
            "IPAdapterPreciseCompositionBatch",
        ),
        _apply,
    ),
}
PRESET_KINDS = {  # preset -> kind of adapter, the same for both base models
    preset: next(one.row.kind for one in pair if one)
    for preset, pair in (PRESETS | COMMUNITY).items()
    if any(pair)
}
