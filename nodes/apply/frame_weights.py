"""Batches as sequences: a reference, a weight and a mask for each frame."""

import logging

import torch
from torch import Tensor

from ...ipadapter_core.messages import Predicate
from ...ipadapter_core.weights.curves import numbers, parse, value_at

TOGETHER, PER_FRAME = "together", "one for each picture"
BATCH_MODES = [TOGETHER, PER_FRAME]
log = logging.getLogger("ipadapter")


def mask_per_frame(mask: Tensor | None, text: str) -> Tensor | None:
    """A checked mask times one weight for each frame; a mask of one pixel where there is none."""
    weights = frame_weights(text)
    if not weights:
        return mask
    if not any(weights):
        log.warning("Apply IPAdapter's 'frame_weights' are 0 throughout: the picture never acts.")
    factors = torch.tensor(weights).view(-1, 1, 1)
    if mask is None:
        return factors
    count = max(len(mask), len(factors))
    return _repeat_last(mask, count) * _repeat_last(factors, count)


def frame_weights(text: str) -> list[float]:
    """One weight for each frame; the last one goes on. Raises ValueError for any other text."""
    if not text.strip():
        return []
    try:
        if ":" not in text:
            return numbers(text)
        keyframes = parse(text)
    except Predicate as error:
        raise error.about("Apply IPAdapter's 'frame_weights'") from None
    return [value_at(keyframes, frame) for frame in range(int(keyframes[-1].time) + 1)]


def _repeat_last(batch: Tensor, count: int) -> Tensor:
    """A batch that is too short goes on with its last one."""
    return torch.cat((batch, batch[-1:].expand(count - len(batch), -1, -1)))


def frame_weights_problem(text: object) -> str | None:
    """The sentence for a text that is none; a linked text is unknown before the graph runs."""
    try:
        frame_weights(text if isinstance(text, str) else "")
    except ValueError as error:
        return str(error)
    return None
