"""The visible contents of one of the demo's pictures, by plain measures that know nothing of any
model.

Every pixel has the palette colour nearest to it; the pixels of the most frequent colour that is not
a ground's are the shape. Cut out and brought to one size, they are compared with the five shapes.
"""

from dataclasses import dataclass

import pictures
import torch
from torch import Tensor

CUT = 24  # side of a shape brought to one size
LEAST = 40  # pixels; below that there is no shape


@dataclass(frozen=True)
class Judgement:
    """Numbers as in a scene's factors, [B]; -1 where nothing is seen. clean: how well the shape
    fits, 0 to 1.
    """

    shape: Tensor
    colour: Tensor
    ground: Tensor
    place: Tensor
    clean: Tensor


def judge(picture: Tensor) -> Judgement:
    """[B, 3, 64, 64] in 0..1."""
    labels = _labels(picture)
    counts = torch.nn.functional.one_hot(labels, len(pictures.COLOURS) + len(pictures.GROUNDS))
    counts = counts.sum((1, 2))
    colours = counts[:, : len(pictures.COLOURS)]
    has_colour = colours.amax(1) >= LEAST
    colour = torch.where(has_colour, colours.argmax(1), -1)
    ground = counts[:, len(pictures.COLOURS) :].argmax(1)
    masks = labels == colour[:, None, None]
    shapes, places, clean = zip(*(_shape(mask) for mask in masks), strict=True)
    return Judgement(
        torch.tensor(shapes), colour, ground, torch.tensor(places), torch.tensor(clean)
    )


def colour_within(picture: Tensor, cover: Tensor) -> Tensor:
    """The most frequent of the palette's kinds where cover [B, 64, 64] is True, [B]."""
    counts = torch.nn.functional.one_hot(_labels(picture)) * cover[..., None]
    return counts.sum((1, 2)).argmax(1)


def _labels(picture: Tensor) -> Tensor:
    """Each pixel's kind in the palette, [B, 64, 64]."""
    palette, kind = _palette()
    flat = picture.movedim(1, -1).flatten(1, 2)
    label = torch.cdist(flat, palette.expand(len(flat), -1, -1)).argmin(-1)
    return kind[label].unflatten(1, picture.shape[-2:])


def _palette() -> tuple[Tensor, Tensor]:
    """Colours [P, 3], and of each its kind: a shape's colour, or after those a ground, plain or
    textured.
    """
    colours = torch.tensor(list(pictures.COLOURS.values())) / 255
    grounds = torch.tensor(list(pictures.GROUNDS.values())) / 255
    sign = torch.where(grounds.mean(1) > 0.4, -1.0, 1.0)[:, None]
    textured = grounds + sign * pictures.CONTRAST
    kind = torch.arange(len(colours) + len(grounds))
    return torch.cat([colours, grounds, textured]), torch.cat([kind, kind[len(colours) :]])


def _shape(mask: Tensor) -> tuple[int, int, float]:
    """Its number, the number of its place, and how well it fits."""
    if mask.sum() < LEAST:
        return -1, -1, 0.0
    cut, middle, radius = _cut_out(mask)
    templates = _templates()
    intersection, union = (templates * cut).sum((1, 2)), torch.maximum(templates, cut).sum((1, 2))
    fit = intersection / union
    where = torch.tensor(list(pictures.PLACES.values()), dtype=torch.float32)
    distances = ((where[:, :2] - middle) ** 2).sum(1) + (where[:, 2] - radius) ** 2
    return int(fit.argmax()), int(distances.argmin()), float(fit.max())


def _cut_out(mask: Tensor) -> tuple[Tensor, Tensor, float]:
    """The mask's extent at one size, its middle (x, y), and half its size; lone pixels do not
    count.
    """
    rows, columns = (_extent(mask.sum(axis)) for axis in (1, 0))
    part = mask[rows[0] : rows[1], columns[0] : columns[1]].float()
    cut = torch.nn.functional.interpolate(part[None, None], (CUT, CUT), mode="bilinear")[0, 0]
    middle = torch.tensor([sum(columns) / 2, sum(rows) / 2])
    return cut, middle, (rows[1] - rows[0] + columns[1] - columns[0]) / 4


def _extent(counts: Tensor) -> tuple[int, int]:
    positions = (counts >= 3).nonzero().flatten()
    if not len(positions):
        positions = counts.nonzero().flatten()
    return int(positions[0]), int(positions[-1]) + 1


def _templates() -> Tensor:
    count = len(pictures.SHAPES)
    factors = torch.zeros(count, 5, dtype=torch.long)
    factors[:, 0] = torch.arange(count)
    cover = pictures.shape_cover(pictures.Scenes(factors, torch.zeros(count, 4)))
    return torch.stack([_cut_out(mask[0] > 0.5)[0] for mask in cover])


def interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a rate."""
    z, rate = 1.96, hits / count
    middle = (rate + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (rate * (1 - rate) / count + z * z / (4 * count**2)) ** 0.5
    return middle - half, middle + half
