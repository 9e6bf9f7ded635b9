"""What several plans have in common: the encoder, the negative side, the weight map, the settings of Apply IPAdapter."""

from typing import Any

from ....ipadapter_core.adapter.features import Unconditional
from ..ids import weight_types
from .plan import Behind, Here, Inputs, Kept, Known, Plan, Same, is_link

APPLY = "ApplyIPAdapter"
MIDDLE = "middle:0, rest:1"  # IPAdapter_plus does not reach the middle block
TOGETHER, EACH = "together", "one for each picture"
NORM = "norm average (IPAdapter_plus)"
UNSEEN = "which kind of adapter it has is not to be seen: its file is not here"
Source = Here | Same | Behind | list[Any]


def encoder(plan: Plan, inputs: Inputs) -> Source:
    """The encoder of a node, else the installed one that fits."""
    if "clip_vision" in inputs:
        return Same("clip_vision")
    given = {"clip_name": "auto", "ipadapter": Same("ipadapter")}
    plan.nodes.setdefault("encoder", ("LoadCLIPVision", given))
    return Here("encoder")


def takes_nothing(known: Known) -> bool:
    """Whether the new nodes do the same where there is no negative picture; plus and full-face adapters got a black one."""
    if known.paper:
        return True
    if known.unconditional is None:
        raise Kept(UNSEEN)
    return known.unconditional is Unconditional.ZERO_FEATURES


def negative(plan: Plan, inputs: Inputs, known: Known) -> Inputs:
    """Plus and full-face adapters got a black picture where nothing was connected."""
    if "image_negative" in inputs:
        return {"image_negative": Same("image_negative")}
    if takes_nothing(known):
        return {}
    black = {"width": 224, "height": 224, "batch_size": 1, "color": 0}
    plan.nodes["black"] = ("EmptyImage", black)
    plan.notes.append(
        "a black picture is the negative, as IPAdapter_plus has it (without it the adapter sees nothing, as it was trained)"
    )
    return {"image_negative": Here("black")}


def unseen(kind: str, ipadapter: Source, clip_vision: Source, **more: Any) -> tuple[str, Inputs]:
    """IPAdapter Negative Reference of a kind."""
    sides = {"ipadapter": ipadapter, "clip_vision": clip_vision}
    return "IPAdapterNegativeReference", {
        **sides,
        "kind": kind,
        "strength": 1.0,
        "seed": 0,
        "blur": 0,
        **more,
    }


def mask(plan: Plan, value: Any) -> Inputs:
    plan.notes.append(
        "masks lie exactly now: the same for pictures of a multiple of 64 pixels, straight where IPAdapter_plus sheared them"
    )
    return {"attn_mask": value}


def sources(plan: Plan, inputs: Inputs, known: Known) -> Inputs:
    """Model, adapter, encoder, negative side and mask of an old apply node."""
    found: Inputs = {"model": Same("model"), "ipadapter": Same("ipadapter")}
    found["clip_vision"] = encoder(plan, inputs)
    found |= negative(plan, inputs, known)
    return found | (mask(plan, Same("attn_mask")) if "attn_mask" in inputs else {})


def weight_map(
    plan: Plan,
    known: Known,
    key: str,
    take: str,
    amounts: tuple[Any, Any] = (1.0, 1.0),
    layers: str = "",
) -> Here:
    """layers: those of the old node, else all but the middle block."""
    if not known.paper:
        layers = layers or MIDDLE
        plan.notes.append(
            "the weight map leaves out the middle block, as IPAdapter_plus did (empty its 'layers' to use it)"
        )
    given = {
        "model": Same("model"),
        "take": take,
        "amount": amounts[0],
        "second_amount": amounts[1],
        "layers": layers,
    }
    plan.nodes[key] = ("IPAdapterWeightMap", given)
    return Here(key)


def kind_of(node_id: str, inputs: Inputs, known: Known) -> tuple[str, Any]:
    """The kind, and its second amount where that is not simply the weight."""
    for name, kind in (
        ("style_boost", weight_types.PRECISE_STYLE),
        ("composition_boost", weight_types.PRECISE_LAYOUT),
    ):
        if name in inputs:
            return kind, Same(name)
    name = str(inputs.get("weight_type", weight_types.LINEAR))
    if node_id == "IPAdapter" and name.startswith("style"):
        name = "style transfer"
    kind = weight_types.RENAMED_TYPES.get(name, name)
    if kind not in weight_types.NEW_TAKES:
        raise Kept(f"its weight type '{name}' is unknown")
    return kind, 1.0 if kind == "style and composition" and not known.paper else None


def settings(inputs: Inputs, by_frame: bool, weight: Any, paper: bool = False) -> Inputs:
    name = str(inputs.get("weight_type", ""))
    scaling = (
        weight_types.MEAN_PENALTY if name == "channel penalty" else inputs.get("embeds_scaling")
    )
    combine = inputs.get("combine_embeds", "concat")
    return {
        "weight": weight,
        "start_at": inputs.get("start_at", 0.0),
        "end_at": inputs.get("end_at", 1.0),
        "scaling": weight_types.NEW_SCALINGS.get(str(scaling), weight_types.V_ONLY),
        "combine": NORM if combine == "norm average" and not paper else combine,
        "batch": EACH if by_frame else TOGETHER,
    }


def is_set(value: Any, otherwise: Any) -> bool:
    """Whether an input is linked, or typed as something else."""
    return is_link(value) or (value is not None and value != otherwise)
