"""The tasks of a node, `style` and the like: each is a kind of weight map."""

from collections.abc import Sequence

from ...ipadapter_core.weights.blocks import Block
from ...ipadapter_core.weights.presets import BALANCED_TAKE
from ...ipadapter_core.weights.weight_map import MapSettings, WeightMap, make_map

WHOLE_IMAGE, STYLE, COMPOSITION = "whole image", "style", "composition"
STYLE_AND_COMPOSITION, SUBJECT = "style and composition", "subject"
TAKES_BY_TASK = {
    WHOLE_IMAGE: BALANCED_TAKE,
    STYLE: "style",
    COMPOSITION: "layout",
    STYLE_AND_COMPOSITION: "style and layout",
    SUBJECT: "subject",
}
LAYER_TASKS = list(TAKES_BY_TASK)


def task_map(
    blocks: Sequence[Block], task: str, node: str, weight_map: WeightMap | None = None
) -> WeightMap | None:
    """The weights of a task, times a map; the map itself for the whole image.

    blocks: of the model. Raises ValueError where none of them is known to carry the task.
    """
    if task == WHOLE_IMAGE:
        return weight_map
    layers_map = make_map(blocks, MapSettings(take=TAKES_BY_TASK[task]))
    if not any(layers_map.positive[0]):
        raise ValueError(
            f"{node}'s 'task' is '{task}', but it is not known which layers of this model carry "
            f"that: choose '{WHOLE_IMAGE}'."
        )
    return layers_map.times(weight_map) if weight_map else layers_map
