"""Small pictures with five factors that a person sees at a glance, drawn in plain torch: the same
on every machine.

Letters: B pictures. A scene is a row of whole numbers, one per factor; its jitter is a row of four
numbers in -1..1 (two for the place, one for the size, one for the light). Layout is shape and
place; style the rest.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SIDE = 64
SHAPES = ("circle", "square", "triangle", "cross", "ring")
COLOURS = {
    "red": (214, 48, 49),
    "orange": (243, 140, 30),
    "yellow": (248, 218, 50),
    "green": (46, 165, 70),
    "blue": (40, 95, 220),
    "purple": (140, 60, 180),
}
GROUNDS = {
    "cream": (243, 236, 220),
    "dark": (38, 41, 54),
    "grey": (155, 160, 166),
    "sky": (180, 214, 242),
}
TEXTURES = ("plain", "stripes", "checks", "dots")
PLACES = {  # centre x, centre y, radius
    "centre": (32, 32, 21),
    "top left": (20, 20, 14),
    "top right": (44, 20, 14),
    "bottom left": (20, 44, 14),
    "bottom right": (44, 44, 14),
}
FACTORS = ("shape", "colour", "ground", "texture", "place")
COUNTS = (len(SHAPES), len(COLOURS), len(GROUNDS), len(TEXTURES), len(PLACES))
LAYOUT = (0, 4)  # columns of a scene
CONTRAST = 0.12  # of the ground's texture


@dataclass(frozen=True)
class Scenes:
    """factors: [B, 5] whole numbers; jitter: [B, 4] in -1..1."""

    factors: Tensor
    jitter: Tensor

    def __len__(self) -> int:
        return len(self.factors)

    def __getitem__(self, index) -> "Scenes":
        return Scenes(self.factors[index], self.jitter[index])

    def where(self, choice: Tensor, scenes: "Scenes") -> "Scenes":
        """These where the choice is True, [B], the others elsewhere."""
        choice = choice[:, None]
        return Scenes(
            torch.where(choice, self.factors, scenes.factors),
            torch.where(choice, self.jitter, scenes.jitter),
        )

    def with_layout_of(self, scenes: "Scenes") -> "Scenes":
        """Shape, place and size of the other, the rest as here."""
        factors, jitter = self.factors.clone(), self.jitter.clone()
        factors[:, list(LAYOUT)] = scenes.factors[:, list(LAYOUT)]
        jitter[:, :3] = scenes.jitter[:, :3]
        return Scenes(factors, jitter)


def held_out(factors: Tensor) -> Tensor:
    """Which scenes training never shows: one combination of factors in ten, [B] bool."""
    number = torch.zeros(len(factors), dtype=torch.long)
    for column, count in enumerate(COUNTS):
        number = number * count + factors[:, column]
    return (number * 2654435761 % 4294967296) // 65536 % 10 == 0


def draw_scenes(count: int, source: torch.Generator, is_held_out: bool = False) -> Scenes:
    """Random scenes, all of them held out from training or none."""
    columns = [torch.randint(0, top, (16 * count,), generator=source) for top in COUNTS]
    factors = torch.stack(columns, 1)
    factors = factors[held_out(factors) == is_held_out][:count]
    if len(factors) < count:
        raise ValueError(f"only {len(factors)} of {count} scenes found: draw fewer at once")
    return Scenes(factors, 2 * torch.rand(count, 4, generator=source) - 1)


def render(scenes: Scenes) -> Tensor:
    """RGB in 0..1, [B, 3, 64, 64]."""
    ground = _textured(scenes)
    colour = _table(COLOURS)[scenes.factors[:, 1]] + 0.04 * scenes.jitter[:, 3:]
    cover = shape_cover(scenes)
    return (ground * (1 - cover) + colour[:, :, None, None] * cover).clamp(0, 1)


def render_pairs(first: Scenes, second: Scenes) -> Tensor:
    """The shapes of both on the mean of their grounds, [B, 3, 64, 64]: small shapes in front."""
    picture = (_textured(first) + _textured(second)) / 2
    is_large = first.factors[:, 4] == list(PLACES).index("centre")
    front, back = first.where(~is_large, second), second.where(~is_large, first)
    for scenes in (back, front):
        colour = _table(COLOURS)[scenes.factors[:, 1]] + 0.04 * scenes.jitter[:, 3:]
        cover = shape_cover(scenes)
        picture = picture * (1 - cover) + colour[:, :, None, None] * cover
    return picture.clamp(0, 1)


def shape_cover(scenes: Scenes) -> Tensor:
    """How much of each pixel the shape covers, [B, 1, 64, 64]."""
    place = torch.tensor(list(PLACES.values()), dtype=torch.float32)[scenes.factors[:, 4]]
    middle = place[:, :2] + 2.5 * scenes.jitter[:, :2]
    radius = (place[:, 2] * (1 + 0.1 * scenes.jitter[:, 2]))[:, None, None]
    axis = torch.arange(SIDE) + 0.5
    x = (axis[None, None, :] - middle[:, 0, None, None]) / radius
    y = (axis[None, :, None] - middle[:, 1, None, None]) / radius
    distance = torch.stack(_distances(x.expand(-1, SIDE, -1), y.expand(-1, -1, SIDE)), 1)
    chosen = distance[torch.arange(len(scenes)), scenes.factors[:, 0]]
    return (0.5 - chosen * radius).clamp(0, 1)[:, None]


def _distances(x: Tensor, y: Tensor) -> list[Tensor]:
    """Of every shape in turn, below 0 inside; y grows downwards."""
    far = (x * x + y * y).sqrt()
    across, along = x.abs(), y.abs()
    arm = 0.34
    return [
        far - 1,
        torch.maximum(across, along) - 0.86,
        torch.maximum(y - 0.6, 0.866 * across - 0.5 * y - 0.57),
        torch.minimum(
            torch.maximum(across - 1, along - arm), torch.maximum(along - 1, across - arm)
        ),
        (far - 0.74).abs() - 0.26,
    ]


def _textured(scenes: Scenes) -> Tensor:
    ground = _table(GROUNDS)[scenes.factors[:, 2]] + 0.02 * scenes.jitter[:, 3:]
    pattern = _patterns()[scenes.factors[:, 3]][:, None]
    sign = torch.where(ground.mean(1) > 0.4, -1.0, 1.0)[:, None, None, None]
    return ground[:, :, None, None] + CONTRAST * sign * pattern


def _patterns() -> Tensor:
    """0..1, [4, 64, 64], in the order of TEXTURES."""
    axis = torch.arange(SIDE)
    band = (axis // 8) % 2
    off = (axis % 8) - 3.5
    dots = (2.9 - (off[:, None] ** 2 + off[None, :] ** 2).sqrt()).clamp(0, 1)
    stripes = band[:, None].expand(SIDE, SIDE)
    checks = (band[:, None] + band[None, :]) % 2
    return torch.stack([torch.zeros(SIDE, SIDE), stripes.float(), checks.float(), 2 * dots])


def _table(colours: dict[str, tuple[int, int, int]]) -> Tensor:
    return torch.tensor(list(colours.values()), dtype=torch.float32) / 255
