#!/usr/bin/env python3
"""Draws the pack's icon and banner for the registry: a picture, and the tokens it becomes.

scripts/brand.py [FOLDER]    icon.png and banner.png, into docs/ if no folder is named
"""

import sys
from pathlib import Path

import picture_list
from PIL import Image, ImageDraw

PACK = Path(__file__).resolve().parent.parent
ICON, BANNER = (400, 400), (1260, 540)
FINE = 4  # drawn so many times larger: smooth edges
NIGHT, PAPER, SUN, HILL, NEAR = "#17202e", "#f4efe6", "#f2a33a", "#3d7f8c", "#245a68"
TOKENS = ["#f2a33a", "#3d7f8c", "#245a68", "#f4efe6"]  # as many as a base adapter has


def icon() -> Image.Image:
    canvas, draw = _canvas(ICON)
    _picture(draw, 80, 38, 240)
    _tokens(draw, 81, 308, 46, 18, across=True)
    return canvas.resize(ICON, Image.Resampling.LANCZOS)


def banner() -> Image.Image:
    canvas, draw = _canvas(BANNER)
    _picture(draw, 130, 130, 280)
    _arrow(draw, 440, 270, 90)
    _tokens(draw, 570, 139, 52, 18)
    _arrow(draw, 660, 270, 90)
    _picture(draw, 790, 80, 380)
    return canvas.resize(BANNER, Image.Resampling.LANCZOS)


def _canvas(size: tuple[int, int]) -> tuple[Image.Image, "Fine"]:
    image = Image.new("RGB", (size[0] * FINE, size[1] * FINE), NIGHT)
    return image, Fine(image)


class Fine:
    """Drawing in the pixels of the finished picture."""

    def __init__(self, image: Image.Image):
        self._draw = ImageDraw.Draw(image)

    def box(self, x: float, y: float, width: float, height: float, colour: str, round: float = 0):
        corners = [x * FINE, y * FINE, (x + width) * FINE - 1, (y + height) * FINE - 1]
        self._draw.rounded_rectangle(corners, round * FINE, colour)

    def disc(self, x: float, y: float, radius: float, colour: str):
        edges = [x - radius, y - radius, x + radius, y + radius]
        self._draw.ellipse([edge * FINE for edge in edges], colour)

    def shape(self, points: list[tuple[float, float]], colour: str):
        self._draw.polygon([(x * FINE, y * FINE) for x, y in points], colour)


def _picture(draw: Fine, x: float, y: float, side: float) -> None:
    """A framed view: sun over hills."""
    edge = side * 0.05
    draw.box(x, y, side, side, PAPER, side * 0.06)
    inner, left, top = side - 2 * edge, x + edge, y + edge
    draw.box(left, top, inner, inner, "#cfe3e6", side * 0.03)
    draw.disc(left + inner * 0.7, top + inner * 0.3, inner * 0.13, SUN)
    ground = top + inner
    far = [(0.0, 1.0), (0.0, 0.72), (0.34, 0.42), (0.62, 0.78), (0.62, 1.0)]
    near = [(0.28, 1.0), (0.66, 0.56), (1.0, 0.86), (1.0, 1.0)]
    for points, colour in ((far, HILL), (near, NEAR)):
        draw.shape([(left + inner * a, ground - inner * (1 - b)) for a, b in points], colour)


def _tokens(draw: Fine, x: float, y: float, side: float, gap: float, across: bool = False) -> None:
    for number, colour in enumerate(TOKENS):
        step = number * (side + gap)
        draw.box(x + step * across, y + step * (not across), side, side, colour, side * 0.2)


def _arrow(draw: Fine, x: float, y: float, length: float) -> None:
    head = length * 0.4
    draw.box(x, y - 4, length - head, 8, PAPER)
    draw.shape(
        [(x + length - head, y - head * 0.7), (x + length, y), (x + length - head, y + head * 0.7)],
        PAPER,
    )


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PACK / "docs"
    for name, image in (("icon", icon()), ("banner", banner())):
        image.save(folder / f"{name}.png", optimize=True)
        if folder == PACK / "docs":
            picture_list.record(folder / f"{name}.png", __file__, None)
        print(folder / f"{name}.png")


if __name__ == "__main__":
    main()
