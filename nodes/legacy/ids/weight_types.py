"""IPAdapter_plus's weight types and scalings, and the weight maps that they mean.

Formulas: those of IPAdapter_plus. t is a block's number in a forward pass. Its releases since
September 2024 never reach the middle block, so graphs of that time were made without it.
"""

from collections.abc import Mapping, Sequence

from ....ipadapter_core.attention.scaling import K_MEAN_V_PENALTY, K_V, K_V_PENALTY, V_ONLY
from ....ipadapter_core.weights.blocks import Block
from ....ipadapter_core.weights.presets import TAKES, BlockWeights, base_of
from ....ipadapter_core.weights.weight_map import STEPS, WeightMap, block_names

LINEAR, PRECISE_STYLE, PRECISE_LAYOUT = "linear", "style transfer precise", "composition precise"
PRECISE_TYPES = PRECISE_STYLE, PRECISE_LAYOUT  # also lead away from what they do not take
NEW_TAKES = {  # weight types as the widget lists them -> kinds of IPAdapter Weight Map
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
STYLE_AND_COMPOSITION = "style and composition"
STRONG_STYLE_AND_COMPOSITION = "strong style and composition"  # only of the node for two pictures
RENAMED_TYPES = {  # names that saved graphs still have -> names of the last release
    "original": LINEAR,
    "channel penalty": LINEAR,
    "standard": LINEAR,
    "prompt is more important": "ease out",
    "style transfer (SDXL)": "style transfer",
    "composition (SDXL)": "composition",
    "style transfer and composition": STYLE_AND_COMPOSITION,
}
PENALTY, MEAN_PENALTY = "K+V w/ C penalty", "K+mean(V) w/ C penalty"
NEW_SCALINGS = {  # scalings as the widget lists them -> those of Apply IPAdapter
    V_ONLY: V_ONLY,
    K_V: K_V,
    PENALTY: K_V_PENALTY,
    MEAN_PENALTY: K_MEAN_V_PENALTY,
}
# The weight types of that time were scalings.
SCALINGS_BEFORE_MARCH_2024 = {"original": V_ONLY, "linear": K_V, "channel penalty": MEAN_PENALTY}


def simple_weight_type(name: str) -> str:
    """A weight type of the simple node, which called one `style transfer (SDXL)` and the like."""
    return "style transfer" if name.startswith("style") else name


def old_weight_map(
    blocks: Sequence[Block],
    weight_type: str,
    weight: float,
    second_weight: float = 1.0,
    layer_weights: Mapping[int, float] | None = None,
    with_middle: bool = False,
) -> WeightMap:
    """The weight map of a weight type.

    second_weight: the composition's, or the boost of a precise type;
    layer_weights: t -> factor, in place of the type's own factors.
    """
    if layer_weights:
        toward, against = _by_layer(blocks, weight_type, weight, layer_weights)
    elif weight_type == STRONG_STYLE_AND_COMPOSITION:
        toward, against = TAKES["strong style and layout"](blocks, weight, second_weight)
    else:
        toward, against = TAKES[NEW_TAKES[weight_type]](blocks, weight, second_weight)
    reached = [float(with_middle or block[0] != "middle") for block in blocks]

    def at_every_moment(block_weights: BlockWeights) -> tuple[BlockWeights, ...]:
        weights = tuple(
            weight * factor for weight, factor in zip(block_weights, reached, strict=True)
        )
        return (weights,) * (STEPS + 1)

    return WeightMap(tuple(blocks), at_every_moment(toward), at_every_moment(against))


def parse_layer_weights(text: str, blocks: Sequence[Block], node_name: str) -> dict[int, float]:
    """`3:1.0, 6:0.5`, without numbers that the model does not have. Raises ValueError."""
    layer_weights: dict[int, float] = {}
    for entry in (part.strip() for part in text.replace("\n", ",").split(",")):
        if not entry:
            continue
        number, colon, weight = entry.partition(":")
        try:
            if not colon:
                raise ValueError
            layer_weights[int(number)] = float(weight)
        except ValueError:
            raise ValueError(
                f"{node_name}'s 'layer_weights' has the entry '{entry}', which is not of the form "
                "'number:weight': write for example '3:1.0, 6:0.5'; this model has "
                f"{block_names(blocks)}, numbered from 0."
            ) from None
    return layer_weights


def _by_layer(
    blocks: Sequence[Block], weight_type: str, weight: float, layer_weights: Mapping[int, float]
) -> tuple[BlockWeights, BlockWeights]:
    """Typed factors; a precise type still decides on which side of guidance a block stands."""
    block_weights = tuple(layer_weights.get(t, 0.0) * weight for t in range(len(blocks)))
    if weight_type not in PRECISE_TYPES:
        return block_weights, (0.0,) * len(block_weights)
    layout_blocks = {"sd15": (4, 5), "sdxl": (3,)}[base_of(blocks)]
    is_negative = [
        (t in layout_blocks) == (weight_type == PRECISE_STYLE) for t in range(len(block_weights))
    ]
    sides = list(zip(block_weights, is_negative, strict=True))
    toward = tuple(0.0 if negative else weight for weight, negative in sides)
    return toward, tuple(weight if negative else 0.0 for weight, negative in sides)
