"""IPAdapter_plus's weight types become weight maps: one weight for each block, the same at every moment.

Formulas: what IPAdapter_plus computes. t is a block's number in a forward pass. Its releases since September
2024 never reach the middle block, so that these graphs were made without it.
"""

from collections.abc import Mapping, Sequence

from ....ipadapter_core.weights.blocks import Block
from ....ipadapter_core.weights.presets import TAKES, base_of
from ....ipadapter_core.weights.weight_map import STEPS, WeightMap, block_names

LINEAR, PRECISE_STYLE, PRECISE_LAYOUT = "linear", "style transfer precise", "composition precise"
NEW_TAKES = {  # as the widget lists them -> what they take
    LINEAR: "balanced",
    "ease in": "ease in",
    "ease out": "ease out",
    "ease in-out": "ease in-out",
    "reverse in-out": "reverse in-out",
    "weak input": "weak input",
    "weak output": "weak output",
    "weak middle": "weak middle",
    "strong middle": "strong middle",
    "style transfer": "style",
    "composition": "layout",
    "strong style transfer": "strong style",
    "style and composition": "style and layout",
    PRECISE_STYLE: "precise style",
    PRECISE_LAYOUT: "precise layout",
}
STRONG_BOTH = "strong style and composition"  # only of the style and composition node
RENAMED_TYPES = {  # names that saved graphs still have -> today's
    "original": LINEAR,
    "channel penalty": LINEAR,
    "standard": LINEAR,
    "prompt is more important": "ease out",
    "style transfer (SDXL)": "style transfer",
    "composition (SDXL)": "composition",
    "style transfer and composition": "style and composition",
}
V_ONLY, K_V, PENALTY, MEAN_PENALTY = (
    "V only",
    "K+V",
    "K+V w/ C penalty",
    "K+mean(V) w/ C penalty",
)
NEW_SCALINGS = {  # as the widget lists them -> ours
    V_ONLY: V_ONLY,
    K_V: K_V,
    PENALTY: "K+V with C penalty",
    MEAN_PENALTY: "K+mean(V) with C penalty",
}
SCALINGS_BEFORE_MARCH_2024 = {
    "original": V_ONLY,
    "linear": K_V,
    "channel penalty": MEAN_PENALTY,
}  # before 2024-03


def current_type(name: str, node: str) -> str:
    """Today's name of a weight type. Raises ValueError for one that no release had."""
    found = RENAMED_TYPES.get(name, name)
    if found not in NEW_TAKES and found != STRONG_BOTH:
        raise ValueError(
            f"{node} has the unknown weight_type '{name}': choose one of {', '.join(NEW_TAKES)}."
        )
    return found


def current_scaling(weight_type: str, embeds_scaling: str, node: str) -> str:
    """Our name of a scaling; `channel penalty` as a weight type was one."""
    if weight_type == "channel penalty":
        return NEW_SCALINGS[MEAN_PENALTY]
    if embeds_scaling not in NEW_SCALINGS:
        raise ValueError(
            f"{node} has the unknown embeds_scaling '{embeds_scaling}': choose one of {', '.join(NEW_SCALINGS)}."
        )
    return NEW_SCALINGS[embeds_scaling]


def old_weight_map(
    blocks: Sequence[Block],
    kind: str,
    weight: float,
    second: float = 1.0,
    layers: Mapping[int, float] | None = None,
    middle: bool = False,
) -> WeightMap:
    """second: the composition's weight, or the boost of a precise kind; layers: t -> factor, in place of the kind's."""
    if layers:
        toward, against = _by_layer(blocks, kind, weight, layers)
    elif kind == STRONG_BOTH:
        toward, against = TAKES["strong style and layout"](blocks, weight, second)
    else:
        toward, against = TAKES[NEW_TAKES[kind]](blocks, weight, second)
    factors = [float(middle or block[0] != "middle") for block in blocks]
    sides = (
        tuple(one * factor for one, factor in zip(side, factors, strict=True))
        for side in (toward, against)
    )
    toward, against = ((row,) * (STEPS + 1) for row in sides)
    return WeightMap(tuple(blocks), toward, against)


def parse_layer_weights(text: str, blocks: Sequence[Block], node: str) -> dict[int, float]:
    """`3:1.0, 6:0.5`; numbers that the model does not have are ignored, as before. Raises ValueError."""
    found: dict[int, float] = {}
    for entry in (part.strip() for part in text.replace("\n", ",").split(",")):
        if not entry:
            continue
        place, colon, value = entry.partition(":")
        try:
            if not colon:
                raise ValueError
            found[int(place)] = float(value)
        except ValueError:
            raise ValueError(
                f"{node}'s 'layer_weights' has the entry '{entry}', which is no 'number:weight': write for example '3:1.0, 6:0.5'; this model has {block_names(blocks)}, numbered from 0."
            ) from None
    return found


def _by_layer(
    blocks: Sequence[Block], kind: str, weight: float, layers: Mapping[int, float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A precise kind keeps which side of guidance a block stands on."""
    row = tuple(layers.get(t, 0.0) * weight for t in range(len(blocks)))
    none = (0.0,) * len(row)
    if kind not in (PRECISE_STYLE, PRECISE_LAYOUT):
        return row, none
    layout = {"sd15": (4, 5), "sdxl": (3,)}[base_of(blocks)]
    turned = [(t in layout) == (kind == PRECISE_STYLE) for t in range(len(blocks))]
    toward = tuple(0.0 if turn else one for one, turn in zip(row, turned, strict=True))
    against = tuple(one if turn else 0.0 for one, turn in zip(row, turned, strict=True))
    return toward, against
