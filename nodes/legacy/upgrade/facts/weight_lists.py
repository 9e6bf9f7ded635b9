"""Lists of weights, one for each frame, computed where all they depend on is typed."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .....ipadapter_core.messages import message_of
from ...ids.node_table import BY_ID
from ...ids.weight_lists import CombineWeights, PromptSchedule, WeightsList
from ..links import is_link, is_number, parse_link
from ..report import CannotUpgrade
from .graph import Graph, GraphNode, Inputs
from .images import image_count

WEIGHTS_NODES = {
    node_id: node_class
    for node_id, node_class in BY_ID.items()
    if issubclass(node_class, WeightsList | CombineWeights | PromptSchedule)
}
MOST_TRANSITION_FRAMES = 9999  # as the widgets of one allow
MOST_WEIGHTS = 200_000  # of all transitions together
LIST_OUTPUTS = (0, 1)  # of a weights node


def find_weight_list(graph: Graph, link: object) -> list[float] | None:
    """The list that a weights node gives, None for links from elsewhere. Raises CannotUpgrade."""
    node, old_link = graph.source(link), parse_link(link)
    if node is None or old_link is None or node.kind not in WEIGHTS_NODES:
        return None
    if old_link.slot not in LIST_OUTPUTS:
        return None
    weights = _output(run_weights_node(graph, link), old_link.slot)
    if not weights:
        raise CannotUpgrade("its list of weights is empty")
    if not isinstance(weights, list) or not all(map(is_number, weights)):
        raise CannotUpgrade("its inputs cannot be read")
    return weights


def run_weights_node(graph: Graph, link: object) -> Sequence[Any]:
    """All outputs of a weights node. Raises CannotUpgrade where only running the graph tells."""
    outputs = graph.once("weights", link, lambda: _run_weights_node(graph, link), None)
    if outputs is None:
        raise CannotUpgrade("its weights come from a node that must run first")
    return outputs


def _run_weights_node(graph: Graph, link: object) -> Sequence[Any] | None:
    node = graph.source(link)
    if node is None or node.kind not in WEIGHTS_NODES:
        return None
    if node.inputs.get("timing") == "random":
        raise CannotUpgrade("its weights are random")
    inputs = _weights_inputs(graph, node)
    if any(is_number(value) and value > MOST_TRANSITION_FRAMES for value in inputs.values()):
        raise CannotUpgrade("its list of weights is too long")
    outputs = _call_weights_node(node.kind, inputs)
    if isinstance(outputs[0], list) and len(outputs[0]) > MOST_WEIGHTS:
        raise CannotUpgrade("its list of weights is too long")
    return outputs


def _weights_inputs(graph: Graph, node: GraphNode) -> dict[str, Any]:
    """The inputs of a node, those from further weights nodes computed."""
    inputs = {**node.inputs, **_counted_images(graph, node)}
    for input_name, value in inputs.items():
        if source := parse_link(value):
            inputs[input_name] = _output(run_weights_node(graph, value), source.slot)
    return inputs


def _call_weights_node(kind: str, inputs: Mapping[str, Any]) -> Sequence[Any]:
    weights_node = WEIGHTS_NODES[kind]()
    try:
        return getattr(weights_node, weights_node.FUNCTION)(**inputs)
    except ValueError as error:
        raise CannotUpgrade("its weights cannot be read: <1>", message_of(error)) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError):
        raise CannotUpgrade("its inputs cannot be read") from None


def _output(outputs: Sequence[Any], slot: int) -> Any:
    if slot >= len(outputs):
        raise CannotUpgrade("its inputs cannot be read")
    return outputs[slot]


def _counted_images(graph: Graph, node: GraphNode) -> Inputs:
    """The smallest images in place of those that are linked: only their number counts."""
    image = node.inputs.get("image")
    if not is_link(image):
        return {}
    count = image_count(graph, image)
    if count is None:
        raise CannotUpgrade("its list of weights depends on the number of images")
    if not 0 <= count <= MOST_TRANSITION_FRAMES:
        raise CannotUpgrade("its list of weights is too long")
    return {"image": torch.zeros(count, 1, 1, 3)}


def as_text(weights: Sequence[float]) -> str:
    """A list as a widget takes it, without what only repeats its last weight."""
    shortest = list(weights)
    while len(shortest) > 1 and shortest[-1] == shortest[-2]:
        shortest.pop()
    return ", ".join(f"{weight:.9g}" for weight in shortest)
