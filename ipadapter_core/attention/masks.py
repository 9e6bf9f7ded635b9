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
    mask: Tensor,
    grid: tuple[int, int],
    area: Area | None = None,
    latent: tuple[int, int] | None = None,
    mode: str = "bilinear",
) -> Tensor:
    """mask [M, H, W] of the whole image -> [M, N, 1] for a layer of the given grid.

    area, latent: the part of the latent that the layer works on, and the size of the whole; None for all of it.
    """
    if area is not None and latent is not None:
        (height, width, top, left), (full_height, full_width) = area, latent
        row_scale, column_scale = mask.shape[-2] / full_height, mask.shape[-1] / full_width
        y0, x0 = round(top * row_scale), round(left * column_scale)
        y1 = max(y0 + 1, round((top + height) * row_scale))
        x1 = max(x0 + 1, round((left + width) * column_scale))
        mask = mask[:, y0:y1, x0:x1]
    return interpolate(mask[:, None], size=grid, mode=mode).flatten(2).transpose(1, 2)


def to_guessed_grid(mask: Tensor, tokens: int, latent: tuple[int, int], mode: str) -> Tensor:
    """mask [M, H, W] -> [M, N, 1] as IPAdapter_plus makes it, which knows only how many tokens a layer has.

    Its guess of the grid is wrong for some sizes that are no multiple of 32 pixels: the mask then shears.
    """
    height = latent[0] / sqrt(latent[0] * latent[1] / tokens)
    rows = int(height) + int(tokens % int(height) != 0)
    flat = to_grid(mask, (rows, tokens // rows), mode=mode)
    surplus = flat.shape[1] - tokens
    if surplus > 0:
        return flat[:, surplus // 2 : surplus // 2 + tokens]
    return pad(flat, (0, 0, -surplus // 2, -surplus - -surplus // 2))


def pick_masks(mask: Tensor, count: int, indices: Sequence[int] | None = None) -> Tensor:
    """One mask per image [count, ...] out of a batch [M, ...]; a single mask stays single.

    indices: which images of the whole batch these are (context windows), else the first `count`.
    A shorter batch repeats its last mask.
    """
    if len(mask) == 1:
        return mask
    indices = range(count) if indices is None else indices
    return mask[[min(index, len(mask) - 1) for index in indices]]


def stack_row_masks(masks: Sequence[Tensor], count: int) -> Tensor:
    """One mask tensor [1 or R * B, N, 1] out of one per row [1 or B, N, 1]."""
    if all(mask is masks[0] for mask in masks) and len(masks[0]) == 1:
        return masks[0]
    return torch.cat([mask.expand(count, -1, -1) for mask in masks])
