"""What each old node becomes: a few new nodes with their inputs, or the reason why it stays.

Pure data in and out: an old node's inputs as a prompt has them, and what is known of it. Results stay equal. Here
the loaders and apply nodes; embeds, regions, pictures, weights and the first nodes have files of their own.
"""

from collections.abc import Callable

from . import parts, plans_embeds, plans_first, plans_pictures, plans_regions, plans_weights
from .plan import Here, Inputs, Kept, Known, Plan, Same, is_link
from .plans_apply import applied
from .plans_weights import listed


def plan_of(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """The new nodes of an old one. Raises Kept where no new nodes give the same picture."""
    make = PLANS.get(node_id)
    if make is None:
        raise Kept(WHY.get(node_id, "it works as before"))
    linked = [name for name in MEANT if is_link(inputs.get(name))]
    if linked:
        raise Kept(f"its '{linked[0]}' comes from another node")
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


def _nothing(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """The loaders of InsightFace, which nothing here uses."""
    return Plan(notes=["nothing here uses InsightFace"], handed=frozenset({0}))


def _apply(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """IPAdapter, Advanced, Batch, FaceID without a face, Mad Scientist, precise ones."""
    if 1 in known.used:
        raise Kept("its second output, the face, is used")
    plan = Plan()
    found = parts.sources(plan, inputs, known)
    found |= plans_pictures.enhanced(plan, inputs, known, found) or {"image": Same("image")}
    applied(plan, "apply", node_id, {**inputs, "weight": inputs.get("weight", 1.0)}, found, known)
    plan.outputs = {0: Here("apply")}
    return plan


def _two(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """Style and composition: two nodes, one after the other."""
    plan = Plan()
    found = parts.sources(plan, inputs, known)
    strong = inputs.get("expand_style") is True
    by_frame = "Batch" in node_id
    layout = "image_composition" if "image_composition" in inputs else "image_style"
    for key, image, weight, take in (
        ("style", "image_style", "weight_style", "strong style" if strong else "style"),
        ("apply", layout, "weight_composition", "layout"),
    ):
        if listed(known.graph, inputs.get(weight)) is not None:
            raise Kept("its weights are a list")
        chosen = parts.weight_map(plan, known, f"{key}_map", take)
        settings = parts.settings(inputs, by_frame, Same(weight), known.paper)
        given = {**found, **settings, "image": Same(image), "weight_map": chosen}
        plan.nodes[key] = (parts.APPLY, given)
    plan.nodes["apply"][1]["model"] = Here("style")
    plan.outputs = {0: Here("apply")}
    return plan


PLANS: dict[str, Callable[[str, Inputs, Known], Plan]] = {
    "IPAdapterModelLoader": _loader,
    **dict.fromkeys(("IPAdapterUnifiedLoader", "IPAdapterUnifiedLoaderCommunity"), _unified),
    **dict.fromkeys(("IPAdapterInsightFaceLoader", "InsightFaceLoader"), _nothing),
    **dict.fromkeys(("IPAdapterStyleComposition", "IPAdapterStyleCompositionBatch"), _two),
    **dict.fromkeys(
        (
            "IPAdapter",
            "IPAdapterAdvanced",
            "IPAdapterBatch",
            "IPAdapterFaceID",
            "IPAdapterFaceIDKolors",
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
    **plans_embeds.PLANS,
    **plans_first.PLANS,
    **plans_pictures.PLANS,
    **plans_regions.PLANS,
    **plans_weights.PLANS,
}
MEANT = (  # inputs that say which nodes there are, or what they are called now
    *("weight_type", "embeds_scaling", "combine_embeds", "method", "layer_weights"),
    *("unfold_batch", "ipadapter_plus", "expand_style", "add_weight"),
)
WHY = {  # what stays whatever its inputs are
    "IPAdapterTiledBatch": "IPAdapter Tiles takes one picture, not one for each frame",
    "IPAdapterTilesMasked": "its tiles overlap, with weights of their own",
    "PrepImageForInsightFace": "Face Crop frames faces in another way",
    "IPAdapterUnifiedLoaderFaceID": "FaceID needs InsightFace, which this pack does not run",
}
