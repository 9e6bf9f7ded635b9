"""Batches as sequences: a reference, a weight and a mask for each frame."""

import logging

import torch
from torch import Tensor

from ...ipadapter_core.messages import Message, Predicate
from ...ipadapter_core.weights.curves import Keyframe, numbers, parse, value_at
from .settings import NODE

LAST_FRAME = 99_999  # that keyframes can have
LARGEST_MASK = 2**28  # values of all frames together: 1 GB
log = logging.getLogger("ipadapter")


def mask_per_frame(mask: Tensor | None, text: str) -> Tensor | None:
    """A checked mask times one weight for each frame; a mask of one pixel where there is none."""
    weights = frame_weights(text)
    if not weights:
        return mask
    for note in frame_weight_notes(text):
        log.warning(note)
    factors = torch.tensor(weights).view(-1, 1, 1)
    if mask is None:
        return factors
    count, (height, width) = max(len(mask), len(factors)), mask.shape[1:]
    if count * height * width > LARGEST_MASK:
        raise ValueError(
            f"{NODE}'s 'frame_weights' has {len(weights)} frames, which is too many for "
            f"an 'attn_mask' of {width} x {height} pixels: use a smaller mask (any size works), "
            "or fewer frames."
        )
    return _repeat_last(mask, count) * _repeat_last(factors, count)


def frame_weight_notes(text: str) -> list[Message]:
    """The notes of Apply IPAdapter on a checked text."""
    weights = frame_weights(text)
    if not weights or any(weights):
        return []
    return [
        Message("Apply IPAdapter's 'frame_weights' are 0 throughout: the reference has no effect.")
    ]


def frame_weights(text: str) -> list[float]:
    """One weight for each frame; the last one goes on. Raises ValueError for any other text."""
    weights = _parsed(text)
    if isinstance(weights, list):
        return weights
    return [value_at(weights, frame) for frame in range(int(weights[-1].time) + 1)]


def frame_weights_problem(text: object) -> str | None:
    """The sentence for a text that is none; a linked text is unknown before the graph runs."""
    try:
        _parsed(text if isinstance(text, str) else "")
    except ValueError as error:
        return str(error)
    return None


def _parsed(text: str) -> list[float] | tuple[Keyframe, ...]:
    """A list of weights, or keyframes: the work does not grow with their times."""
    try:
        if ":" in text:
            return parse(text, LAST_FRAME)
        return numbers(text) if text.strip() else []
    except Predicate as error:
        raise error.about(f"{NODE}'s 'frame_weights'") from None


def _repeat_last(batch: Tensor, count: int) -> Tensor:
    """A batch that is too short goes on with its last one."""
    return torch.cat((batch, batch[-1:].expand(count - len(batch), -1, -1)))
