"""Frames: squares that may be turned; the five landmarks of a face say how.

The template is ArcFace's, as insightface's `norm_crop` places it on 112 px: what the face adapters were trained on
(https://github.com/tencent-ailab/IP-Adapter/issues/54).
H, W height and width of the picture; S side of the crop; P points.
"""

from math import atan2, ceil, cos, pi, sin, sqrt
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from . import face_square

# eye on the picture's left, eye on its right, nose, corners of the mouth
TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)


class Frame(NamedTuple):
    """What a crop shows: a square about a centre, turned clockwise by `angle` radians."""

    x: float
    y: float
    side: float
    angle: float = 0.0


def numbers(row: Tensor) -> list[float]:
    """The numbers of a tensor [N]; torch does not say what its own list holds."""
    return cast("list[float]", row.tolist())  # type: ignore[reportUnknownMemberType]


def roll(landmarks: Tensor) -> float:
    """By how much a face [5, 2] is turned clockwise: the angle of the line through its eyes, in radians."""
    x, y = numbers(landmarks[1] - landmarks[0])
    return atan2(y, x)


def turn_between(angle: float, other: float) -> float:
    """The smallest turn from `other` to `angle`, in radians."""
    return (angle - other + pi) % (2 * pi) - pi


def arcface(landmarks: Tensor, size: int) -> Frame:
    """The frame that `norm_crop(image_size=size)` cuts: sizes that only 128 divides have its wider rim."""
    rim = size % 112 != 0 and size % 128 == 0
    template = torch.tensor(TEMPLATE, dtype=torch.float64) * size / (128 if rim else 112)
    template[:, 0] += size / 16 if rim else 0
    turn, centre = _similarity(template, landmarks.double())
    x, y = numbers(turn @ torch.full((2,), size / 2, dtype=torch.float64) + centre)
    scale = sqrt(float(turn.det()))
    return Frame(x, y, scale * size, atan2(float(turn[1, 0]), float(turn[0, 0])))


def shift_inside(frame: Frame, height: int, width: int) -> Frame:
    """The frame moved into the picture; it shrinks, about its centre, only where it is larger than the picture."""
    spread = abs(sin(frame.angle)) + abs(cos(frame.angle)) if frame.angle else 1.0
    square = face_square.shift_inside(_around(frame, frame.side * spread), height, width)
    half = square.side / 2
    return Frame(square.left + half, square.top + half, square.side / spread, frame.angle)


def to_picture(frame: Frame, points: Tensor, size: int) -> Tensor:
    """Points [..., 2] of the frame's crop of S pixels -> the picture's."""
    offset = (points - size / 2) * (frame.side / size)
    x, y = offset.unbind(-1)
    c, s = cos(frame.angle), sin(frame.angle)
    return torch.stack((frame.x + c * x - s * y, frame.y + s * x + c * y), -1)


def crop(picture: Tensor, frame: Frame, size: int, repeat_edge: bool = False) -> Tensor:
    """The frame of a picture [H, W, C], upright, [S, S, C]; past the border black, or the edge repeated.

    Not turned, it is `face.crop`; turned, the square around it is, at the same scale, and then turned.
    """
    if frame.angle == 0:
        return face_square.crop(picture, _around(frame, frame.side), size, repeat_edge)
    whole = ceil(size * (abs(sin(frame.angle)) + abs(cos(frame.angle)))) + 4  # 4: the cubic's reach
    upright = face_square.crop(
        picture, _around(frame, frame.side * whole / size), whole, repeat_edge
    )
    return turned(
        upright, frame._replace(x=whole / 2, y=whole / 2, side=size), size, "bicubic"
    ).clamp(0, 1)


def turned(picture: Tensor, frame: Frame, size: int, mode: str = "bilinear") -> Tensor:
    """The frame of a picture [H, W, C] sampled point by point, [S, S, C]; black outside. Not antialiased."""
    centres = torch.arange(size, dtype=torch.float32, device=picture.device) + 0.5
    grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1)
    extent = torch.tensor([picture.shape[1], picture.shape[0]], dtype=torch.float32)
    places = to_picture(frame, grid, size) * 2 / extent.to(picture.device) - 1
    channels_first = picture.movedim(-1, 0)[None].float()
    return grid_sample(channels_first, places[None], mode=mode, align_corners=False)[0].movedim(
        0, -1
    )


def _around(frame: Frame, side: float) -> face_square.Square:
    return face_square.Square(frame.x - side / 2, frame.y - side / 2, side)


def _similarity(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The turn, scale and shift that bring points [P, 2] nearest to others: target = turn @ source + shift.

    Umeyama 1991, in two dimensions: the complex number that solves the least squares.
    """
    middle, aim = source.mean(0), target.mean(0)
    a, b = (
        torch.view_as_complex(points.contiguous()) for points in (source - middle, target - aim)
    )
    z = (a.conj() * b).sum() / a.abs().square().sum()
    turn = torch.stack((torch.stack((z.real, -z.imag)), torch.stack((z.imag, z.real))))
    return turn, aim - turn @ middle
