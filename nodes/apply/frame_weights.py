"""Batches as sequences: a reference, a weight and a mask for each picture."""

import torch
from torch import Tensor

from ...ipadapter_core.weights.curves import numbers, parse, value_at
from ..sampling.image_prompt import checked_mask

TOGETHER, EACH = "together", "one for each picture"
WAYS = [TOGETHER, EACH]


def framed_mask(mask: Tensor | None, weights: str) -> Tensor | None:
    """The mask times one weight for each picture; a mask of one pixel where there is none."""
    found = frame_weights(weights)
    mask = checked_mask(mask)
    if not found:
        return mask
    factors = torch.tensor(found).view(-1, 1, 1)
    if mask is None:
        return factors
    count = max(len(mask), len(factors))
    return _longer(mask, count) * _longer(factors, count)


def frame_weights(text: str) -> list[float]:
    """One weight for each picture; the last one goes on. Raises ValueError for what is neither list nor key frames."""
    if not text.strip():
        return []
    try:
        if ":" not in text:
            return numbers(text)
        keys = parse(text)
    except ValueError as error:
        raise ValueError(f"Apply IPAdapter's 'frame_weights' {error}.") from None
    return [value_at(keys, frame) for frame in range(int(keys[-1].time) + 1)]


def _longer(batch: Tensor, count: int) -> Tensor:
    """A batch that is too short goes on with its last one."""
    return torch.cat((batch, batch[-1:].expand(count - len(batch), -1, -1)))
