"""The tasks of a node, `style` and the like: each is a kind of weight map."""

from collections.abc import Sequence
from functools import reduce

from ...ipadapter_core.messages import Message, Predicate
from ...ipadapter_core.weights.blocks import Block
from ...ipadapter_core.weights.presets import BALANCED_TAKE, is_known_for
from ...ipadapter_core.weights.weight_map import MapSettings, WeightMap, make_map
from ..sockets import LoadedAdapter

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
PARTS = {STYLE_AND_COMPOSITION: (STYLE, COMPOSITION)}  # of tasks that are two at once


def task_map(
    blocks: Sequence[Block],
    task: str,
    adapter: LoadedAdapter,
    node: str,
    weight_map: WeightMap | None = None,
) -> WeightMap | None:
    """The weights of a task, times a map; the map itself for the whole image.

    blocks: of the model. Raises ValueError where none of them is known to carry the task.
    """
    if task == WHOLE_IMAGE:
        return weight_map
    layers_map = _adapters_map(blocks, task, adapter)
    if layers_map is None:
        take = TAKES_BY_TASK[task]
        if not is_known_for(take, blocks):
            raise ValueError(
                f"{node}'s 'task' is '{task}', but it is not known which layers of this model "
                f"carry that: choose '{WHOLE_IMAGE}'."
            )
        layers_map = make_map(blocks, MapSettings(take=take))
    return layers_map.times(weight_map) if weight_map else layers_map


def _adapters_map(blocks: Sequence[Block], task: str, adapter: LoadedAdapter) -> WeightMap | None:
    """The weights that the adapter's file names for a task, if it does."""
    layer_texts = [adapter.layers_by_task.get(part, "") for part in PARTS.get(task, (task,))]
    if not all(layer_texts):
        return None
    try:
        maps = [make_map(blocks, MapSettings(layers=text)) for text in layer_texts]
    except Predicate as error:
        subject = Message("In the metadata of the adapter file '<1>',", adapter.name)
        raise error.about(subject) from None
    return reduce(WeightMap.plus, maps)
