"""Pictures of the first nodes: the shuffled negative one, and the tiles of a large reference."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .image_nodes import small_square

TILE = 224


def shuffled(pictures: Tensor, noise: float) -> Tensor:
    """The negative picture of the first nodes, [B, 224, 224, 3]: moved about, turned over, with noise; always the same."""
    from torchvision import transforms

    small = small_square(pictures.cpu()).movedim(-1, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        moved = transforms.ElasticTransform(alpha=75.0, sigma=noise * 3.5)(small)
        torch.rand(1)
        torch.rand(1)
        turned = moved.flip(-2, -1).movedim(1, -1)
        return turned + (0.25 * (1 - noise) + 0.05) * torch.randn_like(turned)


def masked_tiles(pictures: Tensor, short_side: int, weight: float) -> tuple[Tensor, Tensor]:
    """Tiles [T, h, w, 3] of the first picture and their masks [T, H, W]; several rows and columns bring one more coarse look."""
    large, tiles, masks = _tiles_once(pictures, short_side, weight)
    if min(map(len, _places(large.shape[1:3]))) < 2:
        return tiles, masks
    _, coarse, wide = _tiles_once(large, 1, 1.0)
    coarse = _resized(coarse.movedim(-1, 1), tiles.shape[1:3]).movedim(1, -1)
    wide = _resized(wide[:, None], masks.shape[1:])[:, 0]
    return torch.cat((coarse, tiles)), torch.cat((wide, masks))


def _tiles_once(pictures: Tensor, short_side: int, weight: float) -> tuple[Tensor, Tensor, Tensor]:
    """The picture enlarged, its tiles, and where each lies."""
    height, width = pictures.shape[1:3]
    scale = short_side * TILE
    size = (height * scale // width, scale) if width < height else (scale, width * scale // height)
    places = _places(size)
    weight = 1.0 if 1 in map(len, places) else weight
    large = interpolate(pictures.movedim(-1, 1), size, mode="bicubic").movedim(1, -1)
    tiles: list[Tensor] = []
    masks: list[Tensor] = []
    for rows in places[0]:
        for columns in places[1]:
            tiles.append(large[0, rows, columns])
            mask = torch.zeros(size)
            mask[rows, columns] = weight
            masks.append(mask)
    return large, torch.stack(tiles), torch.stack(masks)


def _places(size: Sequence[int]) -> list[list[slice]]:
    """Where tiles lie along both sides. A little that is left over at both ends makes all of them larger."""
    places: list[list[slice]] = []
    for length in size:
        left = length % TILE
        count, start = (length // TILE + 1, 0) if left >= TILE // 4 else (length // TILE, left // 2)
        ends = [number * TILE + TILE + 2 * start for number in range(count)]
        places.append(
            [
                slice(length - TILE, length) if end > length else slice(end - TILE - start, end)
                for end in ends
            ]
        )
    return places


def _resized(batch: Tensor, size: Sequence[int]) -> Tensor:
    if batch.shape[-2:] == tuple(size):
        return batch
    return interpolate(batch, tuple(size), mode="bicubic")
