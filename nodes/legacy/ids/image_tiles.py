"""The tiles of one large reference, and an attention mask for each."""

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...pictures import rgb
from .image_nodes import resize_by_pillow, sharpen

TILE_SIZE, MOST_TILES = 256, 4  # pixels of a tile, tiles along a side
FIRST_TILE_SIZE = 224  # before March 2024


def cut_tiles(
    image: Tensor, mask: Tensor | None, sharpening: float, node_name: str
) -> tuple[list[Tensor], list[Tensor]]:
    """Tiles [B, 256, 256, 3] by row, and masks [M, H, W]; where tiles overlap they add up."""
    from torchvision.transforms import InterpolationMode, functional as vision

    channels = rgb(image, node_name, "image").movedim(-1, 1)
    height, width = channels.shape[-2:]
    area = torch.ones(1, height, width) if mask is None else mask.reshape(-1, *mask.shape[-2:])
    area = area[:, None].to(channels)

    def resize_area(size: tuple[int, int]) -> Tensor:
        return vision.resize(area, list(size), InterpolationMode.BICUBIC, antialias=True)

    area = resize_area((height, width))
    if 0.75 < height / width < 1.33:  # nearly a square: 2 x 2
        square = [min(height, width)] * 2
        channels, area = vision.center_crop(channels, square), vision.center_crop(area, square)
        size = 2 * TILE_SIZE, 2 * TILE_SIZE
    elif height < width:
        size = int(TILE_SIZE * width / height), TILE_SIZE
    else:
        size = TILE_SIZE, int(TILE_SIZE * height / width)
    channels = resize_by_pillow(channels, size, "LANCZOS")
    area = resize_area((size[1], size[0]))
    if not 1 / MOST_TILES <= height / width <= MOST_TILES:
        longest = MOST_TILES * TILE_SIZE
        crop = [TILE_SIZE, longest] if height < width else [longest, TILE_SIZE]
        channels, area = vision.center_crop(channels, crop), vision.center_crop(area, crop)
    row_slices, column_slices = (_evenly(length) for length in channels.shape[-2:])
    return _cut(
        sharpen(channels, sharpening).movedim(1, -1), area[:, 0].cpu(), row_slices, column_slices
    )


def _cut(
    pictures: Tensor, area: Tensor, row_slices: list[slice], column_slices: list[slice]
) -> tuple[list[Tensor], list[Tensor]]:
    """The tiles of pictures [B, H, W, 3] row by row, and for each the area [M, H, W] within it."""
    places = [(slice(None), row, column) for row in row_slices for column in column_slices]
    masks = [torch.zeros_like(area) for _ in places]
    for mask, place in zip(masks, places, strict=True):
        mask[place] = area[place]
    return [pictures[place] for place in places], masks


def _evenly(length: int) -> list[slice]:
    """Tiles along a side, overlapping alike."""
    count = ceil(length / TILE_SIZE)
    step = TILE_SIZE - max(0.0, (count * TILE_SIZE - length) / max(1, count - 1))
    starts = [int(number * step) for number in range(count)]
    return [slice(start, start + TILE_SIZE) for start in starts]


def cut_masked_tiles(pictures: Tensor, short_side: int, weight: float) -> tuple[Tensor, Tensor]:
    """Before March 2024: tiles [T, h, w, 3] of the first picture, and their masks [T, H, W].

    Several rows and columns bring one more, coarse look.
    """
    enlarged, tiles, masks = _cut_enlarged(pictures, short_side, weight)
    if 1 in [len(_places(length)) for length in enlarged.shape[1:3]]:
        return tiles, masks
    _, coarse, coarse_masks = _cut_enlarged(enlarged, 1, 1.0)
    coarse = _resize(coarse.movedim(-1, 1), tiles.shape[1:3]).movedim(1, -1)
    coarse_masks = _resize(coarse_masks[:, None], masks.shape[1:])[:, 0]
    return torch.cat((coarse, tiles)), torch.cat((coarse_masks, masks))


def _cut_enlarged(
    pictures: Tensor, short_side: int, weight: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The picture enlarged, its tiles, and where each lies."""
    height, width = pictures.shape[1:3]
    scale = short_side * FIRST_TILE_SIZE
    size = (height * scale // width, scale) if width < height else (scale, width * scale // height)
    places = [_places(length) for length in size]
    weight = 1.0 if 1 in map(len, places) else weight
    enlarged = interpolate(pictures.movedim(-1, 1), size, mode="bicubic").movedim(1, -1)
    tiles, masks = _cut(enlarged[:1], torch.full((1, *size), weight), *places)
    return enlarged, torch.cat(tiles), torch.cat(masks)


def _places(length: int) -> list[slice]:
    """Where tiles lie along a side. A small rest, split to both ends, makes all of them larger."""
    count, rest = divmod(length, FIRST_TILE_SIZE)
    margin = rest // 2
    if rest >= FIRST_TILE_SIZE // 4:
        count, margin = count + 1, 0
    ends = [(number + 1) * FIRST_TILE_SIZE + 2 * margin for number in range(count)]
    last = slice(length - FIRST_TILE_SIZE, length)
    return [last if end > length else slice(end - FIRST_TILE_SIZE - margin, end) for end in ends]


def _resize(batch: Tensor, size: Sequence[int]) -> Tensor:
    if batch.shape[-2:] == tuple(size):
        return batch
    return interpolate(batch, tuple(size), mode="bicubic")
