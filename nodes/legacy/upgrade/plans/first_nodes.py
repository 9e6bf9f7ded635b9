"""The apply nodes of before March 2024 and laksjdjf's: they reached every layer."""

from dataclasses import replace

from .....ipadapter_core.adapter.families import SDXL
from ..facts.graph import Inputs
from ..plan import Fragment, NewNode, NewOutput, NodeContext, OldInput, Plan
from ..report import CannotUpgrade
from . import apply_inputs, faces
from .embeds import first_settings

ALWAYS: Inputs = {"start_at": 0.0, "end_at": 1.0}
OTHER_MASKS = "it resizes masks differently"
APPLIED_OUTPUT = {0: NewOutput()}


def plan_apply(old_node: NodeContext) -> Plan:
    if apply_inputs.is_set(old_node.inputs.get("noise"), 0):
        raise CannotUpgrade("no new node makes its noise")
    if "attn_mask" in old_node.inputs and not old_node.follows_paper:
        raise CannotUpgrade(OTHER_MASKS)
    old_node = replace(
        old_node,
        inputs=first_settings(old_node.inputs),
        by_frame=old_node.inputs.get("unfold_batch") is True,
        follows_paper=False,  # these nodes always had a black image
    )
    has_faces = old_node.adapter.face_spec is not None
    connections = _face_connections(old_node) if has_faces else _image_connections(old_node)
    settings = apply_inputs.settings(old_node, OldInput("weight"))
    apply_node = NewNode(apply_inputs.APPLY_ID, {**connections.inputs, **settings})
    return Plan(
        apply_node,
        connections.helpers,
        APPLIED_OUTPUT,
        notes=connections.notes,
        needs_new_sources=faces.needs_new_loader(old_node) if has_faces else (),
    )


def _image_connections(old_node: NodeContext) -> Fragment:
    return apply_inputs.connections(old_node) | Fragment({"image": OldInput("image")})


def _face_connections(old_node: NodeContext) -> Fragment:
    return faces.connections(replace(old_node, inputs={"weight_v2": 1.0, **old_node.inputs}))


def plan_apply_clip_vision_output(old_node: NodeContext) -> Plan:
    """Of September 2023; on SDXL it left out the middle block by mistake."""
    if "mask" in old_node.inputs:
        raise CannotUpgrade(OTHER_MASKS)
    if old_node.adapter.base_model is None:
        raise CannotUpgrade.of(apply_inputs.unknown_adapter(old_node))
    weight_map = Fragment()
    if old_node.adapter.base_model == SDXL and not old_node.follows_paper:
        weight_map = apply_inputs.weight_map(old_node, "map", "balanced")
    input_names = ("model", "ipadapter", "clip_vision_output", "weight")
    new_inputs = {
        **ALWAYS,
        **{input_name: OldInput(input_name) for input_name in input_names},
        **weight_map.inputs,
    }
    apply_node = NewNode(apply_inputs.APPLY_ID, new_inputs)
    return Plan(apply_node, weight_map.helpers, APPLIED_OUTPUT, notes=weight_map.notes)


def plan_laksjdjf(old_node: NodeContext) -> Plan:
    return _plan_laksjdjf(old_node, ("clip_vision", "image"))


def plan_laksjdjf_clip_vision_output(old_node: NodeContext) -> Plan:
    return _plan_laksjdjf(old_node, ("clip_vision_output",))


def _plan_laksjdjf(old_node: NodeContext, references: tuple[str, ...]) -> Plan:
    if 1 in old_node.used_outputs:
        raise CannotUpgrade("its second output, the image as the encoder sees it, is in use")
    if "mask" in old_node.inputs:
        raise CannotUpgrade(OTHER_MASKS)
    file = old_node.adapter.file or old_node.inputs.get("model_name") or ""
    adapter = NewNode("LoadIPAdapter", {"ipadapter_file": file})
    input_names = ("model", *references, "weight")
    new_inputs: Inputs = {
        **ALWAYS,
        **{input_name: OldInput(input_name) for input_name in input_names},
    }
    apply_node = NewNode(apply_inputs.APPLY_ID, {**new_inputs, "ipadapter": NewOutput("adapter")})
    return Plan(apply_node, {"adapter": adapter}, APPLIED_OUTPUT)


def plan_encode(old_node: NodeContext) -> Plan:
    new_inputs: Inputs = {
        input_name: OldInput(input_name) for input_name in ("clip_vision", "image")
    }
    return Plan(
        NewNode("CLIPVisionEncode", {**new_inputs, "crop": "center"}), outputs={0: NewOutput()}
    )


PLANS = {
    "IPAdapterApply": plan_apply,
    "IPAdapterApplyFaceID": plan_apply,
    "IPAdapterApplySeen": plan_apply_clip_vision_output,
    "IPAdapterLaksjdjf": plan_laksjdjf,
    "IPAdapterLaksjdjfSeen": plan_laksjdjf_clip_vision_output,
    "IPAdapterCLIPVisionEncode": plan_encode,
}
