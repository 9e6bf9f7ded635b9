"""Squares around faces: a box and a padding become a square, a square becomes a crop.

Square, never stretched, antialiased when it shrinks: as the face adapters were trained
(https://github.com/tencent-ailab/IP-Adapter/issues/54).
Lengths are pixels of the original picture, pixel j covers j to j + 1. A box is whole pixels; a
square may have fractions and is never rounded, so that equal faces give equal crops at any
resolution.
H, W height and width of the picture; h, w of its mask; C channels; S side of the crop; n pixels
of an axis.
"""

from math import ceil, floor, inf
from typing import NamedTuple

import torch
from torch import Tensor


class PictureSize(NamedTuple):
    height: int
    width: int


class Box(NamedTuple):
    """The place of a face; it may reach past the picture's border."""

    x: int
    y: int
    width: int
    height: int


class Square(NamedTuple):
    """The area of a crop; it may reach past the picture's border."""

    left: float
    top: float
    side: float


def mask_box(mask: Tensor, picture_size: PictureSize) -> Box | None:
    """The box around the pixels > 0.5 of a mask [h, w], in the picture; None if there are none."""
    is_face = mask > 0.5
    face_rows, face_columns = (is_face.any(axis).nonzero() for axis in (1, 0))
    if not len(face_rows):
        return None
    mask_height, mask_width = mask.shape
    row_span = int(face_rows[0]), int(face_rows[-1]) + 1
    column_span = int(face_columns[0]), int(face_columns[-1]) + 1
    top, bottom = _scale_span(row_span, mask_height, picture_size.height)
    left, right = _scale_span(column_span, mask_width, picture_size.width)
    return Box(left, top, right - left, bottom - top)


def visible_part(box: Box, picture_size: PictureSize) -> Box:
    """The part of the box inside the picture; of width or height 0 if it lies outside."""
    left, right = (min(max(x, 0), picture_size.width) for x in (box.x, box.x + box.width))
    top, bottom = (min(max(y, 0), picture_size.height) for y in (box.y, box.y + box.height))
    return Box(left, top, right - left, bottom - top)


def square_of(corners: tuple[float, float, float, float]) -> Square:
    """The square around a box of left, top, right and bottom, as wide as its longer side."""
    left, top, right, bottom = corners
    side = max(right - left, bottom - top)
    return Square((left + right - side) / 2, (top + bottom - side) / 2, side)


def centre_square(picture_size: PictureSize) -> Square:
    """The largest square in the middle of the picture, on whole pixels."""
    side = min(picture_size)
    return Square((picture_size.width - side) // 2, (picture_size.height - side) // 2, side)


def shift_inside(square: Square, picture_size: PictureSize) -> Square:
    """The square moved into the picture; it shrinks, about its centre, only where it is larger
    than the picture."""
    height, width = picture_size
    side = min(square.side, height, width)
    left, top = square.left + (square.side - side) / 2, square.top + (square.side - side) / 2
    return Square(min(max(left, 0), width - side), min(max(top, 0), height - side), side)


def crop(picture: Tensor, square: Square, crop_side: int, repeat_edge: bool = False) -> Tensor:
    """The square of a picture [H, W, C] resampled to [S, S, C]; past the border black, or the
    edge repeated.

    On whole pixels this is cutting out, padding and torch's antialiased bicubic `interpolate`,
    and the pixels themselves where square and crop have the same side. Nothing outside of the
    square has a part in it.
    """
    for start in (square.top, square.left):
        source_rows, shares = _resampling(
            (start, square.side), crop_side, picture.shape[0], repeat_edge
        )
        picture_part = picture[source_rows].float()
        crop_rows = shares.to(picture_part).to_sparse() @ picture_part.flatten(1)
        # [W, S, C] after the first pass, [S, S, C] after the second
        picture = crop_rows.reshape(crop_side, *picture_part.shape[1:]).transpose(0, 1)
    return picture.clamp(0, 1)


def box_mask(box: Box, picture_size: PictureSize, softness: float = 0.0) -> Tensor:
    """1 in the box and 0 outside, [H, W]; the edge is a ramp of `softness` times the shorter
    side, one pixel at least.

    The ramp is centred on the edge, so that the pixels > 0.5 are the box whatever the softness;
    where the box meets the picture's border it stays 1.
    """
    ramp_width = max(1.0, softness * min(box.width, box.height))
    row_shares = _span_shares((box.y, box.y + box.height), picture_size.height, ramp_width)
    column_shares = _span_shares((box.x, box.x + box.width), picture_size.width, ramp_width)
    return torch.minimum(row_shares[:, None], column_shares)


def _resampling(
    span: tuple[float, float], crop_side: int, axis_length: int, repeat_edge: bool
) -> tuple[slice, Tensor]:
    """For a span (start, side) of an axis: the pixels it needs, and the share of each of them in
    each pixel of the crop [S, n]."""
    start, side = span
    pixels = torch.arange(floor(start), ceil(start + side), dtype=torch.float64)
    coverage = (pixels + 1).clamp(max=start + side) - pixels.clamp(min=start)
    scale = side / crop_side
    crop_centres = start + (torch.arange(crop_side, dtype=torch.float64) + 0.5) * scale
    shares = _cubic((pixels + 0.5 - crop_centres[:, None]) / max(scale, 1.0)) * coverage
    shares = shares / shares.sum(1, keepdim=True)

    nearest_pixels = pixels.clamp(0, axis_length - 1)
    if not repeat_edge:
        shares = shares * (nearest_pixels == pixels)
    first, last = int(nearest_pixels[0]), int(nearest_pixels[-1])
    folded_shares = shares.new_zeros(crop_side, last + 1 - first)
    folded_shares.index_add_(1, nearest_pixels.long() - first, shares)
    return slice(first, last + 1), folded_shares


def _cubic(distances: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5: the bicubic of PIL, and of torch where it is antialiased."""
    x = distances.abs()
    near_values = (1.5 * x - 2.5) * x * x + 1
    far_values = ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, near_values, torch.where(x < 2, far_values, 0.0))


def _scale_span(span: tuple[int, int], mask_length: int, axis_length: int) -> tuple[int, int]:
    """A span of a mask's axis on the picture's axis; outward to whole pixels."""
    start, end = span
    return start * axis_length // mask_length, -(-end * axis_length // mask_length)


def _span_shares(span: tuple[float, float], axis_length: int, ramp_width: float) -> Tensor:
    """How far each pixel of an axis lies in a span, 0 to 1 over a ramp centred on both ends."""
    pixel_centres = torch.arange(axis_length) + 0.5
    start, end = span
    start, end = (start if start > 0 else -inf), (end if end < axis_length else inf)
    inward = torch.minimum(pixel_centres - start, end - pixel_centres)
    return (0.5 + inward / ramp_width).clamp(0, 1)
