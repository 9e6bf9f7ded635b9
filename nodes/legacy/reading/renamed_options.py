"""Options of older releases, as the last one says the same."""

from typing import Any

from ..ids.old_node import InputValues, OldNode
from ..ids.weight_lists import REVERSE_IN_OUT, WeightsList, transition
from ..ids.weight_types import LINEAR, MEAN_PENALTY, RENAMED_TYPES

RENAMED_OPTIONS: dict[str, dict[str, dict[str, str]]] = {  # input -> option -> inputs
    "weight_type": {
        **{name: {"weight_type": renamed} for name, renamed in RENAMED_TYPES.items()},
        "channel penalty": {"weight_type": LINEAR, "embeds_scaling": MEAN_PENALTY},
        "style transfer (SDXL only)": {"weight_type": "style transfer"},
    }
}
RAMP_FRAMES = "frames", "start_frame", "end_frame"
MOST_TYPED_FRAMES = 10_000  # of a list that is typed into a graph


def current_options(old_node: type[OldNode], inputs: InputValues) -> dict[str, Any]:
    """Typed inputs with renamed options under their names in the last release; others stay."""
    if issubclass(old_node, WeightsList):
        return _typed_transition(old_node, inputs)
    types = old_node.INPUT_TYPES()
    specs = {**types["required"], **types.get("optional", {})}
    renamed = dict(inputs)
    for name, options in RENAMED_OPTIONS.items():
        replacement = options.get(str(inputs.get(name)))
        if replacement is None or name not in specs or inputs[name] in specs[name][0]:
            continue
        if replacement[name] in specs[name][0]:
            renamed |= {key: option for key, option in replacement.items() if key in specs}
    return renamed


def _typed_transition(old_node: type[OldNode], inputs: InputValues) -> dict[str, Any]:
    """A timing that was taken back becomes the weights that it makes."""
    ramp: dict[str, Any] = {name: inputs.get(name) for name in ("weights", "timing", *RAMP_FRAMES)}
    is_typed = isinstance(ramp["weights"], str) and all(
        isinstance(ramp[n], int) for n in RAMP_FRAMES
    )
    if ramp["timing"] != REVERSE_IN_OUT or not is_typed or ramp["frames"] > MOST_TYPED_FRAMES:
        return dict(inputs)
    try:
        weights = transition(ramp, old_node.NAME)
    except ValueError:  # the node itself says what it cannot read
        return dict(inputs)
    return {**inputs, "timing": "custom", "weights": ", ".join(map(str, weights))}
