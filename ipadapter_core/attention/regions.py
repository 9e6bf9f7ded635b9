"""Several masks in one image: soft edges, shares where they overlap; a large reference cut into
tiles.

M images of a batch, H, W size of the masks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

ADDED, NORMALISED = "added", "normalised"
OVERLAPS = [NORMALISED, ADDED]
LARGEST_SQUARE_ASPECT = 1.15  # aspect ratio up to which an image is cut 2 x 2


def arrange_masks(masks: Sequence[Tensor], feather: int, overlap: str) -> list[Tensor]:
    """Masks [M, H, W] of any sizes -> all of one size, soft within what they cover together.

    Outside of every mask all stay 0; masks that cover the image without gaps still add up to 1.
    """
    full_height, full_width = (max(mask.shape[axis] for mask in masks) for axis in (1, 2))
    mask_count = max(map(len, masks))
    resized_masks = [
        _resize(mask.clamp(0, 1), mask_count, full_height, full_width) for mask in masks
    ]
    if feather:
        union = torch.stack(resized_masks).amax(0)
        soft_inside = (2 * blur(union, feather) - 1).clamp(0, 1) * union
        resized_masks = [blur(mask, feather) * soft_inside for mask in resized_masks]
    if overlap == NORMALISED:
        mask_sum = torch.stack(resized_masks).sum(0).clamp(min=1)
        resized_masks = [mask / mask_sum for mask in resized_masks]
    return resized_masks


def blur(mask: Tensor, radius: int) -> Tensor:
    """[M, H, W] under a Gaussian that ends at `radius` pixels; past the border the edge goes on."""
    pixel_offsets = torch.arange(-radius, radius + 1, dtype=torch.float32, device=mask.device)
    gaussian = torch.exp(-0.5 * (3 * pixel_offsets / radius) ** 2)
    gaussian = gaussian / gaussian.sum()
    blurred_mask = mask[:, None]
    for padding, kernel_shape in (
        ((radius, radius, 0, 0), (1, 1, 1, -1)),
        ((0, 0, radius, radius), (1, 1, -1, 1)),
    ):
        blurred_mask = conv2d(
            pad(blurred_mask, padding, mode="replicate"), gaussian.view(kernel_shape)
        )
    return blurred_mask[:, 0]


def tile_boxes(height: int, width: int, short_side: int) -> list[tuple[int, int, int]]:
    """top, left, side of the square tiles that cover an image, row by row; `short_side` of them
    along that side.

    They are as large as can be and overlap evenly. A nearly square image in one piece is cut 2 x 2.
    """
    if short_side == 1 and max(height, width) <= LARGEST_SQUARE_ASPECT * min(height, width):
        short_side = 2
    tile_side = -(-min(height, width) // short_side)
    tile_counts = [-(-length // tile_side) for length in (height, width)]
    tile_starts = [
        [
            round(number * (length - tile_side) / max(1, tile_count - 1))
            for number in range(tile_count)
        ]
        for length, tile_count in zip((height, width), tile_counts, strict=True)
    ]
    return [(top, left, tile_side) for top in tile_starts[0] for left in tile_starts[1]]


def tile_masks(height: int, width: int, tiles: Sequence[tuple[int, int, int]]) -> list[Tensor]:
    """The area of each tile [1, H, W]; where tiles overlap they share."""
    area_masks: list[Tensor] = []
    for top, left, tile_side in tiles:
        tile_mask = torch.zeros(1, height, width)
        tile_mask[:, top : top + tile_side, left : left + tile_side] = 1
        area_masks.append(tile_mask)
    return arrange_masks(area_masks, 0, NORMALISED)


def _resize(mask: Tensor, mask_count: int, height: int, width: int) -> Tensor:
    """A shorter batch repeats its last mask."""
    mask = torch.cat((mask, mask[-1:].expand(mask_count - len(mask), -1, -1)))
    if mask.shape[-2:] == (height, width):
        return mask
    return interpolate(mask[:, None], (height, width), mode="bilinear")[:, 0]
