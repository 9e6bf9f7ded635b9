"""Small pictures that nodes show: heat maps and labelled grids, drawn with PIL's own font."""

from collections.abc import Sequence

import numpy
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

TEXT, PAPER = (230, 230, 230), (24, 24, 28)
COLD, ZERO, WARM = (60, 120, 255), (24, 24, 28), (255, 170, 40)


def heat_map(rows: Sequence[Sequence[float]], labels: Sequence[str], title: str) -> Tensor:
    """rows [L][T], one label each -> a picture [1, H, W, 3]; blue is below 0, orange above."""
    cell, left, top, wide = 22, 92, 26, 4
    largest = max((abs(v) for row in rows for v in row), default=0.0) or 1.0
    columns = len(rows[0])
    page = Image.new("RGB", (left + columns * wide + 48, top + len(rows) * cell + 24), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((left, 8), title, TEXT)
    for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
        y = top + number * cell
        draw.text((8, y + 5), label, TEXT)
        for column, value in enumerate(row):
            x = left + column * wide
            draw.rectangle((x, y, x + wide - 1, y + cell - 2), _colour(value / largest))
        draw.text((left + columns * wide + 6, y + 5), f"{row[-1]:.2f}", TEXT)
    foot = top + len(rows) * cell + 5
    for part, x in (("0", left), ("time", left + columns * wide // 2 - 10), ("1", page.width - 54)):
        draw.text((x, foot), part, TEXT)
    return _tensor(page)


def labelled_grid(pictures: Tensor, labels: Sequence[str], columns: int) -> Tensor:
    """pictures [B, H, W, 3] with a line of text above each -> one picture [1, H', W', 3]."""
    count, height, width = pictures.shape[:3]
    size = max(12, height // 24)
    line, font = size + 10, ImageFont.load_default(size)
    rows = -(-count // columns)
    page = Image.new("RGB", (columns * width, rows * (height + line)), PAPER)
    draw = ImageDraw.Draw(page)
    for number, picture in enumerate(pictures):
        x, y = number % columns * width, number // columns * (height + line)
        label = labels[number] if number < len(labels) else ""
        draw.text((x + 6, y + 4), label, TEXT, font=font)
        pixels = (picture[..., :3].float().cpu().clamp(0, 1) * 255).round().byte().numpy()
        page.paste(Image.fromarray(pixels), (x, y + line))
    return _tensor(page)


def over(picture: Tensor, heat: Tensor) -> Tensor:
    """A picture [H, W, 3] darkened where the heat [H, W], 0 to 1, is low, and warm where it is high."""
    warm = picture.new_tensor(WARM) / 255
    strength = heat[..., None].clamp(0, 1)
    return picture * 0.35 * (1 - strength) + strength * (0.45 * picture + 0.55 * warm)


def _colour(value: float) -> tuple[int, ...]:
    towards = WARM if value > 0 else COLD
    share = min(abs(value), 1.0)
    return tuple(round(a + (b - a) * share) for a, b in zip(ZERO, towards, strict=True))


def _tensor(page: Image.Image) -> Tensor:
    return torch.from_numpy(numpy.asarray(page).copy()).float()[None] / 255
