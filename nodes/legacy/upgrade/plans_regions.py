"""The regions of IPAdapter_plus: each becomes an apply node with its mask, one after the other."""

from collections.abc import Callable
from typing import Any

from . import parts
from .graph import Graph
from .plan import Here, Inputs, Kept, Known, Plan, Same
from .plans_apply import applied

PARAMS = frozenset({0})
TEXTS = ((1, "positive"), (2, "negative"))
SETTINGS = ("weight_type", "start_at", "end_at")


def _regional(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """Its texts; what it says of the picture is read by the node that used it."""
    plan = Plan(handed=PARAMS, notes=["its picture is on an Apply IPAdapter of its own"])
    for slot, name in TEXTS:
        if slot not in known.used:
            continue
        if name not in inputs:
            raise Kept(f"its output '{name}' is used, and is empty")
        plan.outputs[slot] = Same(name)
        if "mask" in inputs:
            given = {"conditioning": Same(name), "mask": Same("mask")}
            given |= {"strength": Same("prompt_weight"), "set_cond_area": "default"}
            plan.nodes[name] = ("ConditioningSetMask", given)
            plan.outputs[slot] = Here(name)
    return plan


def _combine(node_id: str, inputs: Inputs, known: Known) -> Plan:
    return Plan(handed=PARAMS, notes=["each region is on an Apply IPAdapter of its own"])


def _apply(node_id: str, inputs: Inputs, known: Known) -> Plan:
    if 1 in known.used:
        raise Kept("its second output is used")
    plan = Plan()
    regions = _regions(known.graph, inputs.get("ipadapter_params"))
    found: Inputs = {"model": Same("model"), "ipadapter": Same("ipadapter")}
    found["clip_vision"] = parts.encoder(plan, inputs)
    found |= parts.negative(plan, inputs, known)
    for number, region in enumerate(regions, 1):
        here = {**found, "image": region.get("image")}
        if "mask" in region:
            here |= parts.mask(plan, region["mask"])
        own: dict[str, Any] = {name: region[name] for name in SETTINGS if name in region}
        given = {**inputs, **own, "weight": region.get("image_weight", 1.0)}
        name = "apply" if number == len(regions) else f"region{number}"
        applied(plan, name, node_id, given, here, known)
        found["model"] = Here(name)
    plan.outputs = {0: Here("apply")}
    return plan


def _regions(graph: Graph, link: Any) -> list[Inputs]:
    """The inputs of every region on a link, in order. Raises Kept."""
    node = graph.source(link)
    if node is None or node.kind not in PLANS or node.kind == "IPAdapterFromParams":
        raise Kept("its regions come from a node that has to run first")
    if node.kind == "IPAdapterRegionalConditioning":
        return [node.inputs]
    names = [f"params_{number}" for number in range(1, 6)]
    return [
        region
        for name in names
        if name in node.inputs
        for region in _regions(graph, node.inputs[name])
    ]


PLANS: dict[str, Callable[[str, Inputs, Known], Plan]] = {
    "IPAdapterRegionalConditioning": _regional,
    "IPAdapterCombineParams": _combine,
    "IPAdapterFromParams": _apply,
}
