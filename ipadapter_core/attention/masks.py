"""Attention masks: a mask of any size becomes one weight per latent token of a layer.

M masks, B images, R rows; h, w grid of the layer, N = h * w.
"""

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

Area = tuple[int, int, int, int]  # height, width, top, left, in latent pixels


def to_grid(
    image_mask: Tensor,
    grid_size: tuple[int, int],
    area: Area | None = None,
    latent_size: tuple[int, int] | None = None,
    resize_mode: str = "bilinear",
) -> Tensor:
    """mask [M, H, W] of the whole image -> [M, N, 1] for a layer of the given grid.

    area, latent_size: the part of the latent that the layer works on, and the size of the whole;
    None for all of it.
    """
    if area is not None and latent_size is not None:
        (height, width, top, left), (full_height, full_width) = area, latent_size
        row_scale, column_scale = (
            image_mask.shape[-2] / full_height,
            image_mask.shape[-1] / full_width,
        )
        first_row, first_column = round(top * row_scale), round(left * column_scale)
        end_row = max(first_row + 1, round((top + height) * row_scale))
        end_column = max(first_column + 1, round((left + width) * column_scale))
        image_mask = image_mask[:, first_row:end_row, first_column:end_column]
    return (
        interpolate(image_mask[:, None], size=grid_size, mode=resize_mode)
        .flatten(2)
        .transpose(1, 2)
    )


def to_guessed_grid(
    image_mask: Tensor, token_count: int, latent_size: tuple[int, int], resize_mode: str
) -> Tensor:
    """mask [M, H, W] -> [M, N, 1] as IPAdapter_plus makes it, which knows only how many tokens a
    layer has.

    Its guess of the grid is wrong for some sizes that are no multiple of 32 pixels: the mask then
    shears.
    """
    grid_height = latent_size[0] / sqrt(latent_size[0] * latent_size[1] / token_count)
    grid_rows = int(grid_height) + int(token_count % int(grid_height) != 0)
    token_weights = to_grid(
        image_mask, (grid_rows, token_count // grid_rows), resize_mode=resize_mode
    )
    surplus = token_weights.shape[1] - token_count
    if surplus > 0:
        return token_weights[:, surplus // 2 : surplus // 2 + token_count]
    return pad(token_weights, (0, 0, -surplus // 2, -surplus - -surplus // 2))


def pick_masks(
    mask_batch: Tensor, image_count: int, image_indices: Sequence[int] | None = None
) -> Tensor:
    """One mask per image [count, ...] out of a batch [M, ...]; a single mask stays single.

    image_indices: which images of the whole batch these are (context windows), else the first
    `image_count`. A shorter batch repeats its last mask.
    """
    if len(mask_batch) == 1:
        return mask_batch
    image_indices = range(image_count) if image_indices is None else image_indices
    return mask_batch[[min(image_index, len(mask_batch) - 1) for image_index in image_indices]]


def stack_row_masks(row_masks: Sequence[Tensor], image_count: int) -> Tensor:
    """One mask tensor [1 or R * B, N, 1] out of one per row [1 or B, N, 1]."""
    if all(row_mask is row_masks[0] for row_mask in row_masks) and len(row_masks[0]) == 1:
        return row_masks[0]
    return torch.cat([row_mask.expand(image_count, -1, -1) for row_mask in row_masks])
