"""Squares around faces: a box and a padding become a square, a square becomes a crop.

Square, never stretched, antialiased when it shrinks: what the face adapters were trained to see
(https://github.com/tencent-ailab/IP-Adapter/issues/54).
Lengths are pixels of the original picture, pixel j covers j to j + 1. A box is whole pixels; a square may have
fractions and is never rounded, so that equal faces give equal crops at any resolution.
H, W height and width of the picture; h, w of its mask; C channels; S side of the crop; n pixels of an axis.
"""

from math import ceil, floor, inf
from typing import NamedTuple

import torch
from torch import Tensor


class Box(NamedTuple):
    """Where the face is; it may reach past the picture's border."""

    x: int
    y: int
    width: int
    height: int


class Square(NamedTuple):
    """What the crop shows; it may reach past the picture's border."""

    left: float
    top: float
    side: float


def mask_box(mask: Tensor, height: int, width: int) -> Box | None:
    """The box around the pixels > 0.5 of a mask [h, w], in a picture of height x width; None if there are none."""
    chosen = mask > 0.5
    rows, columns = (chosen.any(axis).nonzero() for axis in (1, 0))
    if not len(rows):
        return None
    top, bottom = _scaled(int(rows[0]), int(rows[-1]) + 1, height, mask.shape[0])
    left, right = _scaled(int(columns[0]), int(columns[-1]) + 1, width, mask.shape[1])
    return Box(left, top, right - left, bottom - top)


def visible(box: Box, height: int, width: int) -> Box:
    """The part of the box inside the picture; of width or height 0 if it lies outside."""
    left, right = (min(max(x, 0), width) for x in (box.x, box.x + box.width))
    top, bottom = (min(max(y, 0), height) for y in (box.y, box.y + box.height))
    return Box(left, top, right - left, bottom - top)


def square_around(box: Box, padding: float) -> Square:
    """The box's longer side times 1 + padding, around its centre."""
    side = max(box.width, box.height) * (1 + padding)
    return Square(box.x + (box.width - side) / 2, box.y + (box.height - side) / 2, side)


def centre_square(height: int, width: int) -> Square:
    """The largest square in the middle of the picture, on whole pixels."""
    side = min(height, width)
    return Square((width - side) // 2, (height - side) // 2, side)


def shift_inside(square: Square, height: int, width: int) -> Square:
    """The square moved into the picture; it shrinks, about its centre, only where it is larger than the picture."""
    side = min(square.side, height, width)
    left, top = square.left + (square.side - side) / 2, square.top + (square.side - side) / 2
    return Square(min(max(left, 0), width - side), min(max(top, 0), height - side), side)


def crop(picture: Tensor, square: Square, size: int, repeat_edge: bool = False) -> Tensor:
    """The square of a picture [H, W, C] resampled to [S, S, C]; past the border black, or the edge repeated.

    On whole pixels this is cutting out, padding and torch's antialiased bicubic `interpolate`, and the pixels
    themselves where side == size. Nothing outside of the square has a part in it.
    """
    for start in (square.top, square.left):
        needed, shares = _resampling(start, square.side, size, picture.shape[0], repeat_edge)
        part = picture[needed].float()
        rows = shares.to(part).to_sparse() @ part.flatten(1)
        picture = rows.reshape(size, *part.shape[1:]).transpose(0, 1)  # [W, S, C], then [S, S, C]
    return picture.clamp(0, 1)


def box_mask(box: Box, height: int, width: int, soft: float = 0.0) -> Tensor:
    """1 in the box and 0 outside, [H, W]; the edge is a ramp of `soft` times the shorter side, one pixel at least.

    The ramp is centred on the edge, so that the pixels > 0.5 are the box whatever the softness;
    where the box meets the picture's border it stays 1.
    """
    ramp = max(1.0, soft * min(box.width, box.height))
    rows = _inside(box.y, box.y + box.height, height, ramp)
    columns = _inside(box.x, box.x + box.width, width, ramp)
    return torch.minimum(rows[:, None], columns)


def _resampling(
    start: float, side: float, size: int, length: int, repeat_edge: bool
) -> tuple[slice, Tensor]:
    """The pixels of an axis that start to start + side needs, and each one's share in each of the crop's [S, n]."""
    pixels = torch.arange(floor(start), ceil(start + side), dtype=torch.float64)
    covered = (pixels + 1).clamp(max=start + side) - pixels.clamp(min=start)
    scale = side / size
    centres = start + (torch.arange(size, dtype=torch.float64) + 0.5) * scale
    shares = _cubic((pixels + 0.5 - centres[:, None]) / max(scale, 1.0)) * covered
    shares = shares / shares.sum(1, keepdim=True)

    nearest = pixels.clamp(0, length - 1)
    if not repeat_edge:
        shares = shares * (nearest == pixels)
    first, last = int(nearest[0]), int(nearest[-1])
    folded = shares.new_zeros(size, last + 1 - first)
    return slice(first, last + 1), folded.index_add_(1, nearest.long() - first, shares)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5: the bicubic of PIL, and of torch where it is antialiased."""
    x = distance.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _scaled(start: int, end: int, length: int, of: int) -> tuple[int, int]:
    """Two ends on an axis of `of` pixels, on one of `length`; outward to whole pixels."""
    return start * length // of, -(-end * length // of)


def _inside(start: float, end: float, length: int, ramp: float) -> Tensor:
    """How far each of `length` pixels lies in [start, end], 0 to 1 over a ramp centred on both ends."""
    centres = torch.arange(length) + 0.5
    start, end = (start if start > 0 else -inf), (end if end < length else inf)
    return (0.5 + torch.minimum(centres - start, end - centres) / ramp).clamp(0, 1)
