"""Small pictures that nodes show: heat maps and labelled grids, drawn with PIL's own font, and the
picture for the box editor."""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import pad

from comfy_api.latest import ui

from ..ipadapter_core.references.images import scale_to_side, to_bytes

TEXT_COLOR, PAGE_COLOR = (230, 230, 230), (24, 24, 28)
COLD_COLOR, ZERO_COLOR, WARM_COLOR = (60, 120, 255), (24, 24, 28), (255, 170, 40)
ROW_HEIGHT, CELL_WIDTH = 22, 4  # of a heat map
LABEL_MARGIN, LABEL_WIDTH = 6, 1024  # of a grid
EDITOR_SIDE = 768  # longer side of the picture in the box editor, at most
LEFT_MARGIN, TOP_MARGIN, RIGHT_MARGIN, BOTTOM_MARGIN = 92, 26, 48, 24


def draw_heat_map(
    heat_rows: Sequence[Sequence[float]], labels: Sequence[str], title: str
) -> Tensor:
    """heat_rows [L][T], one label each -> a picture [1, H, W, 3]; blue is below 0, orange above."""
    largest = max((abs(value) for row in heat_rows for value in row), default=0.0) or 1.0
    right, bottom = (
        LEFT_MARGIN + len(heat_rows[0]) * CELL_WIDTH,
        TOP_MARGIN + len(heat_rows) * ROW_HEIGHT,
    )
    page = Image.new("RGB", (right + RIGHT_MARGIN, bottom + BOTTOM_MARGIN), PAGE_COLOR)
    draw = ImageDraw.Draw(page)
    draw.text((LEFT_MARGIN, 8), title, TEXT_COLOR)
    for number, (row, label) in enumerate(zip(heat_rows, labels, strict=True)):
        y = TOP_MARGIN + number * ROW_HEIGHT
        draw.text((8, y + 5), label, TEXT_COLOR)
        for column, value in enumerate(row):
            x = LEFT_MARGIN + column * CELL_WIDTH
            cell_box = (x, y, x + CELL_WIDTH - 1, y + ROW_HEIGHT - 2)
            draw.rectangle(cell_box, _heat_color(value / largest))
        draw.text((right + 6, y + 5), f"{row[-1]:.2f}", TEXT_COLOR)
    middle = LEFT_MARGIN + len(heat_rows[0]) * CELL_WIDTH // 2 - 10
    for tick, x in (("0", LEFT_MARGIN), ("time", middle), ("1", page.width - 54)):
        draw.text((x, bottom + 5), tick, TEXT_COLOR)
    return _to_tensor(page)


def draw_labelled_grid(pictures: Tensor, labels: Sequence[str], columns: int) -> Tensor:
    """pictures [B, H, W, 3] with a line of text above each -> one picture [1, H', W', 3].

    Columns are as wide as the pictures, or as the longest label up to LABEL_WIDTH.
    """
    count, height, width = pictures.shape[:3]
    font_size = max(12, height // 24)
    line_height, font = font_size + 10, ImageFont.load_default(font_size)
    labels = [*labels[:count], *[""] * (count - len(labels))]
    label_width = max(math.ceil(font.getlength(label)) for label in labels) + 2 * LABEL_MARGIN
    column_width = max(width, min(label_width, LABEL_WIDTH))
    row_count = -(-count // columns)
    page_size = (columns * column_width, row_count * (height + line_height))
    page = Image.new("RGB", page_size, PAGE_COLOR)
    draw = ImageDraw.Draw(page)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        x, y = number % columns * column_width, number // columns * (height + line_height)
        draw.text((x + LABEL_MARGIN, y + 4), label, TEXT_COLOR, font=font)
        pixels = to_bytes(picture[..., :3].float().cpu()).numpy()
        page.paste(Image.fromarray(pixels), (x, y + line_height))
    return _to_tensor(page)


def draw_rows(picture_rows: Sequence[Tensor], columns: int) -> Tensor:
    """Each row's pictures [N, H, W, 3] beside each other, at most so many, then below each other;
    one picture [1, H', W', 3], black where there is none."""
    lines = [
        row[start : start + columns]
        for row in picture_rows
        for start in range(0, len(row), columns)
    ]
    longest = max(len(line) for line in lines)
    padded = (pad(line, (0, 0) * 3 + (0, longest - len(line))) for line in lines)
    return torch.cat([line.movedim(0, 1).flatten(1, 2) for line in padded])[None]


def overlay_heat(picture: Tensor, heat: Tensor) -> Tensor:
    """A picture [H, W, 3], dark where the heat [H, W], 0 to 1, is low and warm where it is high."""
    warm_color = picture.new_tensor(WARM_COLOR) / 255
    share = heat[..., None].clamp(0, 1)
    return picture * 0.35 * (1 - share) + share * (0.45 * picture + 0.55 * warm_color)


def editor_picture(image: Tensor) -> dict[str, Any]:
    """For a node's `ui`: a picture [H, W, C] as a small file, with its full size."""
    height, width = image.shape[:2]
    picture = image[None, ..., :3].float()
    if max(height, width) > EDITOR_SIDE:
        picture = scale_to_side(picture, EDITOR_SIDE, "area")
    file = cast("dict[str, Any]", ui.PreviewImage(picture).as_dict()["images"][0])
    return {"source": ({**file, "width": width, "height": height},)}


def _heat_color(value: float) -> tuple[int, ...]:
    extreme_color = WARM_COLOR if value > 0 else COLD_COLOR
    share = min(abs(value), 1.0)
    channels = zip(ZERO_COLOR, extreme_color, strict=True)
    return tuple(round(zero + (extreme - zero) * share) for zero, extreme in channels)


def _to_tensor(page: Image.Image) -> Tensor:
    return torch.as_tensor(numpy.asarray(page).copy()).float()[None] / 255
