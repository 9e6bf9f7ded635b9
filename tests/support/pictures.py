"""Photographs of `tests/data`."""

from pathlib import Path

import numpy
import torch
from PIL import Image

from support.graphs import PORTRAIT

FACES = Path(__file__).parent.parent / "data" / "faces"


def photograph(height, width):
    """A smooth picture with detail, [1, H, W, 3], in steps of 1/255 as from a file."""
    picture = Image.open(PORTRAIT).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(numpy.asarray(picture, dtype=numpy.float32) / 255)[None]


def face_photograph(name):
    return torch.from_numpy(numpy.array(Image.open(FACES / f"{name}.jpg")))[None].float() / 255
