"""Several masks in one image: soft edges, shares where they overlap; a large reference cut into tiles.

M images of a batch, H, W size of the masks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

ADDED, NORMALISED = "added", "normalised"
OVERLAPS = [NORMALISED, ADDED]
NEARLY_SQUARE = 1.15  # aspect ratio up to which an image is cut 2 x 2


def arrange_masks(masks: Sequence[Tensor], feather: int, overlap: str) -> list[Tensor]:
    """Masks [M, H, W] of any sizes -> all of one size, soft within what they cover together.

    Outside of every mask all stay 0; masks that cover the image without gaps still add up to 1.
    """
    height, width = (max(mask.shape[axis] for mask in masks) for axis in (1, 2))
    count = max(map(len, masks))
    resized = [_resize(mask.clamp(0, 1), count, height, width) for mask in masks]
    if feather:
        union = torch.stack(resized).amax(0)
        inside = (2 * blur(union, feather) - 1).clamp(0, 1) * union
        resized = [blur(mask, feather) * inside for mask in resized]
    if overlap == NORMALISED:
        total = torch.stack(resized).sum(0).clamp(min=1)
        resized = [mask / total for mask in resized]
    return resized


def blur(mask: Tensor, radius: int) -> Tensor:
    """[M, H, W] under a Gaussian that ends at `radius` pixels; past the border the edge goes on."""
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32, device=mask.device)
    kernel = torch.exp(-0.5 * (3 * steps / radius) ** 2)
    kernel = kernel / kernel.sum()
    blurred = mask[:, None]
    for padding, kernel_shape in (
        ((radius, radius, 0, 0), (1, 1, 1, -1)),
        ((0, 0, radius, radius), (1, 1, -1, 1)),
    ):
        blurred = conv2d(pad(blurred, padding, mode="replicate"), kernel.view(kernel_shape))
    return blurred[:, 0]


def tile_boxes(height: int, width: int, short_side: int) -> list[tuple[int, int, int]]:
    """top, left, side of the square tiles that cover an image, row by row; `short_side` of them along that side.

    They are as large as can be and overlap evenly. A nearly square image in one piece is cut 2 x 2.
    """
    if short_side == 1 and max(height, width) <= NEARLY_SQUARE * min(height, width):
        short_side = 2
    side = -(-min(height, width) // short_side)
    counts = [-(-length // side) for length in (height, width)]
    starts = [
        [round(number * (length - side) / max(1, count - 1)) for number in range(count)]
        for length, count in zip((height, width), counts, strict=True)
    ]
    return [(top, left, side) for top in starts[0] for left in starts[1]]


def tile_masks(height: int, width: int, tiles: Sequence[tuple[int, int, int]]) -> list[Tensor]:
    """The area of each tile [1, H, W]; where tiles overlap they share."""
    masks: list[Tensor] = []
    for top, left, side in tiles:
        mask = torch.zeros(1, height, width)
        mask[:, top : top + side, left : left + side] = 1
        masks.append(mask)
    return arrange_masks(masks, 0, NORMALISED)


def _resize(mask: Tensor, count: int, height: int, width: int) -> Tensor:
    """A shorter batch repeats its last mask."""
    mask = torch.cat((mask, mask[-1:].expand(count - len(mask), -1, -1)))
    if mask.shape[-2:] == (height, width):
        return mask
    return interpolate(mask[:, None], (height, width), mode="bilinear")[:, 0]
