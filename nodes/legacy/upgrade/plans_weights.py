"""Lists of weights: read without running the graph where they are typed, and typed into the nodes that use them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..ids.node_table import BY_ID
from .graph import Graph
from .plan import Here, Inputs, Kept, Known, Plan, is_link

LISTS = {
    id: BY_ID[id]
    for id in (
        "IPAdapterWeights",
        "IPAdapterWeightsFromStrategy",
        "IPAdapterCombineWeights",
        "IPAdapterPromptScheduleFromWeightsStrategy",
    )
}
STRATEGY, IMAGES = 5, (3, 4)  # outputs of the weights nodes


def listed(graph: Graph, link: Any) -> list[float] | None:
    """The list that a weights node gives, or None where a link comes from elsewhere. Raises Kept."""
    node = graph.source(link)
    if node is None or node.kind not in LISTS or link[1] > 1:
        return None
    found = _outputs(graph, link)[link[1]]
    if not found:
        raise Kept("its list of weights is empty")
    return found


def typed(frames: Sequence[float]) -> str:
    """A list as text, without what only repeats its last weight."""
    frames = list(frames)
    while len(frames) > 1 and frames[-1] == frames[-2]:
        frames.pop()
    return ", ".join(f"{one:.9g}" for one in frames)


def _outputs(graph: Graph, link: Any) -> Sequence[Any]:
    """What a weights node gives. Raises Kept where that is known only when the graph runs."""
    node = graph.source(link)
    if node is None or node.kind not in LISTS:
        raise Kept("its weights come from a node that has to run first")
    if node.inputs.get("timing") == "random":
        raise Kept("its weights are random")
    given = dict(node.inputs)
    if is_link(given.get("image")):
        count = graph.count(given["image"])
        if count is None:
            raise Kept("its list of weights depends on how many pictures there are")
        given["image"] = torch.zeros(count, 1, 1, 3)
    for name, value in given.items():
        if is_link(value):
            given[name] = _outputs(graph, value)[value[1]]
    made = LISTS[node.kind]()
    try:
        return getattr(made, made.FUNCTION)(**given)
    except (ValueError, TypeError, KeyError) as error:
        raise Kept(f"its weights cannot be read: {error}") from None


def _weights(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """Every list is typed where it is used, so that nothing is left to do."""
    if known.used & {*IMAGES}:
        raise Kept("it turns pictures into one for each frame, which has no counterpart")
    found = _outputs(known.graph, [known.key, 0])
    plan = Plan(handed=frozenset({0, 1, STRATEGY}))
    plan.notes = ["its list is typed in 'frame_weights' of the nodes that use it"]
    return _counted(plan, 2, len(found[0]), known)


def _combined(node_id: str, inputs: Inputs, known: Known) -> Plan:
    found = _outputs(known.graph, [known.key, 0])
    plan = Plan(handed=frozenset({0}))
    plan.notes = ["its list is typed in 'frame_weights' of the nodes that use it"]
    return _counted(plan, 1, len(found[0]), known)


def _counted(plan: Plan, slot: int, count: int, known: Known) -> Plan:
    if slot in known.used:
        plan.nodes["count"] = ("PrimitiveInt", {"value": count})
        plan.outputs[slot] = Here("count")
    return plan


def _schedule(node_id: str, inputs: Inputs, known: Known) -> Plan:
    (text,) = _outputs(known.graph, [known.key, 0])
    plan = Plan({"text": ("PrimitiveStringMultiline", {"value": text})})
    plan.outputs = {0: Here("text")}
    plan.notes = ["the schedule is typed"]
    return plan


PLANS: dict[str, Callable[[str, Inputs, Known], Plan]] = {
    "IPAdapterWeights": _weights,
    "IPAdapterWeightsFromStrategy": _weights,
    "IPAdapterCombineWeights": _combined,
    "IPAdapterPromptScheduleFromWeightsStrategy": _schedule,
}
