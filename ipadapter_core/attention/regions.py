"""Several masks in one picture: soft edges, shares where they overlap; a large reference cut into tiles.

M pictures of a batch, H, W size of the masks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

ADDED, NORMALISED = "added", "normalised"
OVERLAPS = [NORMALISED, ADDED]
SQUARE = 1.15  # a picture no longer than this is cut 2 x 2


def arranged(masks: Sequence[Tensor], feather: int, overlap: str) -> list[Tensor]:
    """Masks [M, H, W] of any sizes -> all of one size, soft within what they cover together.

    What lies outside of every mask stays 0; masks that cover the picture without gaps still add up to 1 there.
    """
    height, width = (max(mask.shape[axis] for mask in masks) for axis in (1, 2))
    count = max(map(len, masks))
    sized = [_sized(mask.clamp(0, 1), count, height, width) for mask in masks]
    if feather:
        union = torch.stack(sized).amax(0)
        inside = (2 * blurred(union, feather) - 1).clamp(0, 1) * union
        sized = [blurred(mask, feather) * inside for mask in sized]
    if overlap == NORMALISED:
        total = torch.stack(sized).sum(0).clamp(min=1)
        sized = [mask / total for mask in sized]
    return sized


def blurred(mask: Tensor, radius: int) -> Tensor:
    """[M, H, W] under a Gaussian that ends at `radius` pixels; past the border the edge goes on."""
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32, device=mask.device)
    kernel = torch.exp(-0.5 * (3 * steps / radius) ** 2)
    kernel = kernel / kernel.sum()
    edged = mask[:, None]
    for axis, shape in ((0, (1, 1, 1, -1)), (1, (1, 1, -1, 1))):
        around = (radius, radius, 0, 0) if axis == 0 else (0, 0, radius, radius)
        edged = conv2d(pad(edged, around, mode="replicate"), kernel.view(shape))
    return edged[:, 0]


def tiles_of(height: int, width: int, short_side: int) -> list[tuple[int, int, int]]:
    """top, left, side of the square tiles that cover a picture, row by row; `short_side` of them along that side.

    They are as large as can be and overlap evenly. A nearly square picture in one piece is cut 2 x 2.
    """
    if short_side == 1 and max(height, width) <= SQUARE * min(height, width):
        short_side = 2
    side = -(-min(height, width) // short_side)
    counts = [-(-length // side) for length in (height, width)]
    starts = [
        [round(number * (length - side) / max(1, count - 1)) for number in range(count)]
        for length, count in zip((height, width), counts, strict=True)
    ]
    return [(top, left, side) for top in starts[0] for left in starts[1]]


def tile_masks(height: int, width: int, tiles: Sequence[tuple[int, int, int]]) -> list[Tensor]:
    """Where each tile lies in the picture [1, H, W]; where they overlap they share."""
    masks: list[Tensor] = []
    for top, left, side in tiles:
        mask = torch.zeros(1, height, width)
        mask[:, top : top + side, left : left + side] = 1
        masks.append(mask)
    return arranged(masks, 0, NORMALISED)


def _sized(mask: Tensor, count: int, height: int, width: int) -> Tensor:
    """The last mask of a shorter batch goes on."""
    mask = torch.cat((mask, mask[-1:].expand(count - len(mask), -1, -1)))
    if mask.shape[-2:] == (height, width):
        return mask
    return interpolate(mask[:, None], (height, width), mode="bilinear")[:, 0]
