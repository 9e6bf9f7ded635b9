"""The regions of IPAdapter_plus: each becomes an apply node with its mask, one after the other."""

from dataclasses import replace

from .....ipadapter_core.messages import Message
from ..facts.graph import Graph, Inputs
from ..plan import Fragment, NewNode, NewOutput, NodeContext, OldInput, Plan
from ..report import CannotUpgrade
from . import apply_inputs
from .weight_kinds import apply_nodes

REGION_ID, COMBINE_PARAMS_ID = "IPAdapterRegionalConditioning", "IPAdapterCombineParams"
MOST_REGIONS = 100
PARAMS_OUTPUT = frozenset({0})
TEXT_OUTPUTS = {1: "positive", 2: "negative"}
REGION_SETTINGS = ("weight_type", "start_at", "end_at")
PARAMS_INPUTS = tuple(f"params_{number}" for number in range(1, 6))
ONE_REGION_NOTE = Message("its image goes to a separate Apply IPAdapter")
REGIONS_NOTE = Message("each region goes to a separate Apply IPAdapter")


def plan_regional_conditioning(old_node: NodeContext) -> Plan:
    """Its texts; its image and mask are read by the node that used them."""
    texts = _used_texts(old_node)
    chain = Plan(notes=(ONE_REGION_NOTE,), needs_new_readers=PARAMS_OUTPUT)
    outputs: dict[int, NewOutput | OldInput] = {
        slot: OldInput(text_name) for slot, text_name in texts.items()
    }
    if "mask" not in old_node.inputs or not texts:
        return replace(chain, outputs=outputs)
    masked_texts = {text_name: _masked_text(text_name) for text_name in texts.values()}
    outputs = {slot: NewOutput(text_name) for slot, text_name in texts.items()}
    last_slot = max(texts)
    replacement = masked_texts.pop(texts[last_slot])
    outputs[last_slot] = NewOutput()
    return replace(chain, replacement=replacement, helpers=masked_texts, outputs=outputs)


def _used_texts(old_node: NodeContext) -> dict[int, str]:
    """The text outputs that are read. Raises CannotUpgrade where their texts are missing."""
    texts = {
        slot: text_name for slot, text_name in TEXT_OUTPUTS.items() if slot in old_node.used_outputs
    }
    for text_name in texts.values():
        if text_name not in old_node.inputs:
            raise CannotUpgrade("its output '<1>' is in use, but always empty", text_name)
    return texts


def _masked_text(input_name: str) -> NewNode:
    new_inputs: Inputs = {"conditioning": OldInput(input_name), "mask": OldInput("mask")}
    settings: Inputs = {"strength": OldInput("prompt_weight"), "set_cond_area": "default"}
    return NewNode("ConditioningSetMask", {**new_inputs, **settings})


def plan_combine_params(old_node: NodeContext) -> Plan:
    return Plan(notes=(REGIONS_NOTE,), needs_new_readers=PARAMS_OUTPUT)


def plan_apply_params(old_node: NodeContext) -> Plan:
    """IPAdapter from Params: an apply node for each region."""
    if 1 in old_node.used_outputs:
        raise CannotUpgrade("its second output is in use")
    regions = _regions(old_node.graph, old_node.inputs.get("ipadapter_params"))
    if not regions:
        raise CannotUpgrade("its inputs cannot be read")
    connections = Fragment({"model": OldInput("model"), "ipadapter": OldInput("ipadapter")})
    connections |= apply_inputs.encoder(old_node)
    connections |= apply_inputs.negative_image(old_node)
    plan = Plan()
    for number, region in enumerate(regions, 1):
        node_name = "apply" if number == len(regions) else f"region{number}"
        plan = _plan_region(old_node, region, node_name, connections)
        helpers = (
            {**plan.helpers, node_name: plan.replacement} if plan.replacement else plan.helpers
        )
        new_inputs = {**connections.inputs, "model": NewOutput(node_name)}
        connections = Fragment(new_inputs, helpers, plan.notes)
    return replace(plan, outputs={0: NewOutput()})


def _plan_region(
    old_node: NodeContext, region: Inputs, node_name: str, connections: Fragment
) -> Plan:
    """connections: model and adapter, after the regions before."""
    connections |= Fragment({"image": region.get("image")})
    if "mask" in region:
        connections |= apply_inputs.mask(region["mask"])
    settings = {
        input_name: region[input_name] for input_name in REGION_SETTINGS if input_name in region
    }
    settings["weight"] = region.get("image_weight", 1.0)
    return apply_nodes(
        replace(old_node, inputs={**old_node.inputs, **settings}), node_name, connections
    )


def _regions(graph: Graph, region_link: object) -> list[Inputs]:
    """The inputs of every region on a link, in order. Raises CannotUpgrade."""
    return graph.once("regions", region_link, lambda: _read_regions(graph, region_link), [])


def _read_regions(graph: Graph, region_link: object) -> list[Inputs]:
    node = graph.source(region_link)
    if node is None or node.kind not in (REGION_ID, COMBINE_PARAMS_ID):
        raise CannotUpgrade("its regions come from a node that must run first")
    if node.kind == REGION_ID:
        return [node.inputs]
    parts = [
        _regions(graph, node.inputs[input_name])
        for input_name in PARAMS_INPUTS
        if input_name in node.inputs
    ]
    if not 0 < sum(map(len, parts)) <= MOST_REGIONS:
        raise CannotUpgrade("its inputs cannot be read")
    return [region for part in parts for region in part]


PLANS = {
    REGION_ID: plan_regional_conditioning,
    COMBINE_PARAMS_ID: plan_combine_params,
    "IPAdapterFromParams": plan_apply_params,
}
