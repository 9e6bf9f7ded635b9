"""Weight, type and layers of an old apply node: new apply nodes with their weight maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .....ipadapter_core.adapter.families import KOLORS, SD15, SDXL
from .....ipadapter_core.attention.scaling import V_ONLY
from .....ipadapter_core.messages import Message
from .....ipadapter_core.weights.presets import TAKES
from .....ipadapter_core.weights.weight_map import SD15_BLOCKS, SDXL_BLOCKS
from ...ids import weight_types
from ..facts.graph import Inputs
from ..facts.weight_lists import as_text, find_weight_list
from ..links import is_link
from ..plan import Fragment, NewNode, NewOutput, NodeContext, OldInput, Plan
from ..report import CannotUpgrade
from . import apply_inputs

BLOCKS = {SD15: SD15_BLOCKS, SDXL: SDXL_BLOCKS, KOLORS: SDXL_BLOCKS}
BOOSTS = {
    "style_boost": weight_types.PRECISE_STYLE,
    "composition_boost": weight_types.PRECISE_LAYOUT,
}
MAYBE_A_LIST = Message("its weight comes from another node and may be a list")
TYPED_LIST_NOTE = Message("the list of weights is written into the node")


class WeightKind(NamedTuple):
    """A weight type, and its second amount where that is not simply the weight."""

    name: str
    second_amount: object = None


@dataclass(frozen=True)
class OldWeights:
    """How an old node weighs its references. frame_weights: a list as text, empty without one."""

    kind: WeightKind
    amount: object
    frame_weights: str = ""
    layers: str = ""


class Share(NamedTuple):
    """The weights of one new apply node: its weight map, its weight, and its list of weights."""

    weight_map: Fragment
    weight: object
    frame_weights: str = ""


def apply_nodes(old_node: NodeContext, last_name: str, connections: Fragment) -> Plan:
    """The new apply nodes for an old one, the last as replacement. Raises CannotUpgrade.

    last_name: of the last node; the names of its helpers begin with it.
    connections: model, adapter and references.
    """
    weights, notes = _read_weights(old_node)
    settings = apply_inputs.settings(old_node, weights.amount)
    if weights.frame_weights and settings["scaling"] != V_ONLY:
        raise CannotUpgrade("its list of weights also scales the keys, frame by frame")
    shares = _shares(old_node, last_name, weights)
    parts = Fragment(helpers=connections.helpers, notes=connections.notes + notes)
    for share in shares:
        parts |= Fragment(helpers=share.weight_map.helpers, notes=share.weight_map.notes)
    new_nodes: list[NewNode] = []
    model: Inputs = {}
    for share in shares:
        new_inputs = {**connections.inputs, **settings, **model, "weight": share.weight}
        new_inputs |= share.weight_map.inputs
        new_inputs |= {"frame_weights": share.frame_weights} if share.frame_weights else {}
        new_nodes.append(NewNode(apply_inputs.APPLY_ID, new_inputs))
        model = {"model": NewOutput(f"{last_name}_first")}
    first_nodes = {f"{last_name}_first": new_node for new_node in new_nodes[:-1]}
    return Plan(new_nodes[-1], {**parts.helpers, **first_nodes}, notes=parts.notes)


def _read_weights(old_node: NodeContext) -> tuple[OldWeights, tuple[Message, ...]]:
    """Weight type, amounts, list and layers of an old node, with notes on them."""
    amount = old_node.inputs["weight"]
    frames = find_weight_list(old_node.graph, amount)
    kind = read_kind(old_node)
    layers = str(old_node.inputs.get("layer_weights") or "").strip()
    if layers:
        kind = WeightKind(
            kind.name if kind.name in weight_types.PRECISE_TYPES else weight_types.LINEAR
        )
    if frames is None:
        if is_link(amount) and (old_node.by_frame or kind.second_amount is not None):
            raise CannotUpgrade.of(MAYBE_A_LIST)
        return OldWeights(kind, amount, layers=layers), ()
    if old_node.by_frame:
        weights = OldWeights(kind, 1.0, frame_weights=as_text(frames), layers=layers)
        return weights, (TYPED_LIST_NOTE,)
    return OldWeights(kind, frames[0], layers=layers), (TYPED_LIST_NOTE,)


def read_kind(old_node: NodeContext) -> WeightKind:
    """The weight type of an old node, as it is called today. Raises CannotUpgrade."""
    for input, precise_kind in BOOSTS.items():
        if input in old_node.inputs:
            return WeightKind(precise_kind, OldInput(input))
    type_name = str(old_node.inputs.get("weight_type", weight_types.LINEAR))
    if old_node.kind == "IPAdapter":
        type_name = weight_types.simple_weight_type(type_name)
    kind = weight_types.RENAMED_TYPES.get(type_name, type_name)
    if kind not in weight_types.NEW_TAKES:
        raise CannotUpgrade("its weight type '<1>' is unknown", type_name)
    has_second = kind == weight_types.STYLE_AND_COMPOSITION and not old_node.follows_paper
    return WeightKind(kind, 1.0 if has_second else None)


def _shares(old_node: NodeContext, last_name: str, weights: OldWeights) -> list[Share]:
    """One share, or two where a list of weights goes to the first amount of a kind alone."""
    take, map_name = weight_types.NEW_TAKES[weights.kind.name], f"{last_name}_map"
    amount, second_amount = weights.amount, weights.kind.second_amount
    if weights.layers and weights.kind.name != weight_types.LINEAR:
        layered = _precise_layers(old_node, map_name, weights)
        return [Share(layered, amount, weights.frame_weights)]
    if weights.layers:
        layers = weights.layers.rstrip(",") + ("" if old_node.follows_paper else ", middle:0")
        layered = apply_inputs.weight_map(old_node, map_name, take, layers=layers)
        return [Share(layered, amount, weights.frame_weights)]
    if second_amount is None:
        plain = apply_inputs.weight_map(old_node, map_name, take)
        return [Share(plain, amount, weights.frame_weights)]
    if not weights.frame_weights:
        both = apply_inputs.weight_map(old_node, map_name, take, (amount, second_amount))
        return [Share(both, 1.0)]
    first = apply_inputs.weight_map(old_node, map_name, take, (1.0, 0.0))
    second = apply_inputs.weight_map(
        old_node, f"{last_name}_second_map", take, (0.0, second_amount)
    )
    return [Share(first, 1.0, weights.frame_weights), Share(second, 1.0)]


def _precise_layers(old_node: NodeContext, map_name: str, weights: OldWeights) -> Fragment:
    """A precise kind keeps the side of guidance of a block, whatever the layers weigh."""
    blocks = BLOCKS.get(old_node.adapter.base_model or "")
    if blocks is None:
        raise CannotUpgrade(
            "which layers its weight type stands for depends on the adapter, whose file is not "
            "installed"
        )
    kind = weights.kind.name
    take = weight_types.NEW_TAKES[kind]
    try:
        layer_weights = weight_types.parse_layer_weights(weights.layers, blocks, "It")
    except ValueError:
        raise CannotUpgrade("its layer weights cannot be read") from None
    layer_map = weight_types.old_weight_map(
        blocks, kind, 1.0, layer_weights=layer_weights, with_middle=old_node.follows_paper
    )
    unweighted = TAKES[take](blocks, 0.0, 1.0)[1]
    factors = [
        weight / base if base else 0.0
        for weight, base in zip(layer_map.negative[0], unweighted, strict=True)
    ]
    against_name = f"{map_name}_against"
    against = apply_inputs.weight_map(
        old_node, against_name, take, (0.0, 1.0), _number_list(factors)
    )
    toward = apply_inputs.weight_map(
        old_node,
        map_name,
        "balanced",
        layers=_number_list(layer_map.positive[0]),
        added_map=against_name,
    )
    return against | toward


def _number_list(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:.6g}" for number in numbers)
