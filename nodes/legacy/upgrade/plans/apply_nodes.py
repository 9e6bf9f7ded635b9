"""The apply nodes of IPAdapter_plus since March 2024."""

from dataclasses import replace

from ..facts.graph import Inputs
from ..facts.weight_lists import find_weight_list
from ..plan import Fragment, NewNode, NewOutput, NodeContext, OldInput, Plan
from ..report import CannotUpgrade
from . import apply_inputs, faces
from .pictures import tiled_references
from .weight_kinds import apply_nodes

APPLY_IDS = (
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
)
STYLE_COMPOSITION_IDS = ("IPAdapterStyleComposition", "IPAdapterStyleCompositionBatch")


def plan_apply(old_node: NodeContext) -> Plan:
    old_node = replace(
        old_node, inputs={**old_node.inputs, "weight": old_node.inputs.get("weight", 1.0)}
    )
    if old_node.adapter.face_spec is not None:
        return _plan_faces(old_node)
    if 1 in old_node.used_outputs:
        raise CannotUpgrade("its second output, the face, is in use")
    connections = apply_inputs.connections(old_node)
    tiled = tiled_references(old_node, connections.inputs["clip_vision"])
    connections |= tiled or Fragment({"image": OldInput("image")})
    return replace(apply_nodes(old_node, "apply", connections), outputs={0: NewOutput()})


def _plan_faces(old_node: NodeContext) -> Plan:
    return replace(
        apply_nodes(old_node, "apply", faces.connections(old_node)),
        outputs=faces.face_outputs(old_node),
        needs_new_sources=faces.needs_new_loader(old_node),
    )


def plan_style_and_composition(old_node: NodeContext) -> Plan:
    """Two apply nodes, one after the other: style, then composition."""
    connections = apply_inputs.connections(old_node)
    is_strong = old_node.inputs.get("expand_style") is True
    style_take = "strong style" if is_strong else "style"
    has_composition = "image_composition" in old_node.inputs
    composition_image = "image_composition" if has_composition else "image_style"
    style, style_map = _one_aspect(old_node, "style", style_take, "image_style")
    layout, layout_map = _one_aspect(old_node, "composition", "layout", composition_image)
    style_node = NewNode(apply_inputs.APPLY_ID, {**connections.inputs, **style})
    layout_inputs = {**connections.inputs, **layout, "model": NewOutput("style")}
    return Plan(
        NewNode(apply_inputs.APPLY_ID, layout_inputs),
        {
            **connections.helpers,
            **style_map.helpers,
            "style": style_node,
            **layout_map.helpers,
        },
        outputs={0: NewOutput()},
        notes=connections.notes + style_map.notes + layout_map.notes,
    )


def _one_aspect(
    old_node: NodeContext, aspect: str, take: str, image: str
) -> tuple[Inputs, Fragment]:
    """Inputs for the style or only the composition, and the weight map among them."""
    weight = f"weight_{aspect}"
    if find_weight_list(old_node.graph, old_node.inputs.get(weight)) is not None:
        raise CannotUpgrade("its weights are a list")
    map_name = "style_map" if aspect == "style" else "apply_map"
    weight_map = apply_inputs.weight_map(old_node, map_name, take)
    settings = apply_inputs.settings(old_node, OldInput(weight))
    return {**settings, "image": OldInput(image), **weight_map.inputs}, weight_map


PLANS = {
    **dict.fromkeys(APPLY_IDS, plan_apply),
    **dict.fromkeys(STYLE_COMPOSITION_IDS, plan_style_and_composition),
}
