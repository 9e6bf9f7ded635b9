"""An old apply node's weight, kind and layers: one or two new apply nodes with their weight maps."""

from collections.abc import Sequence
from typing import Any

from ....ipadapter_core.weights.presets import TAKES
from ....ipadapter_core.weights.weight_map import SD15, SDXL
from ..ids import weight_types
from . import parts
from .plan import Here, Inputs, Kept, Known, Plan, is_link
from .plans_weights import listed, typed

BLOCKS = {"SD1.5": SD15, "SDXL": SDXL}
TWO_NODES = "its weight comes from another node and may be a list"


def applied(
    plan: Plan, name: str, node_id: str, inputs: Inputs, found: Inputs, known: Known
) -> None:
    """Adds the apply nodes, the last one under that name. inputs: with the weight; found: pictures, embeds, adapter.

    Raises Kept.
    """
    by_frame, linked = "Batch" in node_id, is_link(inputs["weight"])
    frames = listed(known.graph, inputs["weight"])
    kind, second = parts.kind_of(node_id, inputs, known)
    layers = str(inputs.get("layer_weights") or "").strip()
    if layers:
        kind, second = kind if "precise" in kind else weight_types.LINEAR, None
    weight = inputs["weight"]
    if frames is not None:
        plan.notes.append("the list of weights is typed")
        weight = 1.0 if by_frame else frames[0]
    elif linked and (by_frame or second is not None):
        raise Kept(TWO_NODES)
    framed = typed(frames) if frames is not None and by_frame else ""
    settings = parts.settings(inputs, by_frame, weight, known.paper)
    if framed and settings["scaling"] != weight_types.V_ONLY:
        raise Kept("its list of weights changes the keys as well, frame by frame")
    before: Inputs = {}
    for key, chosen, amount, weights in _shares(
        plan, name, kind, second, layers, known, weight, framed
    ):
        given = {**found, **settings, **before, "weight": amount, "weight_map": chosen}
        plan.nodes[key] = (parts.APPLY, given | ({"frame_weights": weights} if weights else {}))
        before = {"model": Here(key)}


def _shares(
    plan: Plan,
    name: str,
    kind: str,
    second: Any,
    layers: str,
    known: Known,
    weight: Any,
    framed: str,
) -> list[tuple[str, Here, Any, str]]:
    """Name, map, weight and list of weights of each new apply node."""
    take, key = weight_types.NEW_TAKES[kind], f"{name}_map"
    if layers and kind != weight_types.LINEAR:
        return [(name, _precise_layers(plan, key, take, layers, known), weight, framed)]
    if layers:
        text = layers.rstrip(",") + ("" if known.paper else ", middle:0")
        return [(name, parts.weight_map(plan, known, key, take, layers=text), weight, framed)]
    if second is None:
        return [(name, parts.weight_map(plan, known, key, take), weight, framed)]
    if not framed:
        return [(name, parts.weight_map(plan, known, key, take, (weight, second)), 1.0, "")]
    first = parts.weight_map(plan, known, key, take, (1.0, 0.0))
    other = parts.weight_map(plan, known, f"{name}_second_map", take, (0.0, second))
    return [(f"{name}_first", first, 1.0, framed), (name, other, 1.0, "")]


def _precise_layers(plan: Plan, key: str, take: str, layers: str, known: Known) -> Here:
    """A precise kind keeps which side of guidance a block stands on, whatever numbers its layers have."""
    if known.base not in BLOCKS:
        raise Kept("which layers its kind means depends on the adapter, whose file is not here")
    blocks = BLOCKS[known.base]
    name = next(one for one, other in weight_types.NEW_TAKES.items() if other == take)
    try:
        wanted = weight_types.parse_layer_weights(layers, blocks, "It")
    except ValueError:
        raise Kept("its layer weights cannot be read") from None
    made = weight_types.old_weight_map(
        blocks, name, 1.0, layer_weights=wanted, with_middle=known.paper
    )
    against = TAKES[take](blocks, 0.0, 1.0)[1]
    turned = [a / b if b else 0.0 for a, b in zip(made.negative[0], against, strict=True)]
    other = parts.weight_map(plan, known, f"{key}_against", take, (0.0, 1.0), _list(turned))
    first = parts.weight_map(plan, known, key, "balanced", layers=_list(made.positive[0]))
    plan.nodes[key][1]["add"] = other
    return first


def _list(numbers: Sequence[float]) -> str:
    return ", ".join(f"{one:.6g}" for one in numbers)
