"""Turned squares: the area of a crop that turns with the face; its five landmarks say how.

The template is ArcFace's, as insightface's `norm_crop` places it on 112 px: what the face adapters
were trained on (https://github.com/tencent-ailab/IP-Adapter/issues/54).
H, W height and width of the picture; S side of the crop; P points.
"""

from math import atan2, ceil, cos, pi, sin, sqrt
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from . import face_square
from .face_square import PictureSize, Square

# eye on the picture's left, eye on its right, nose, corners of the mouth
TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
TEMPLATE_SIDE = 112
CUBIC_REACH = 4  # pixels beyond a crop that the bicubic sampling of its turned copy touches


class TurnedSquare(NamedTuple):
    """The area of a crop: a square about a centre, turned clockwise by `angle` radians."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def upright(self, side: float) -> Square:
        """The square of another side about the same centre, not turned."""
        return Square(self.x - side / 2, self.y - side / 2, side)

    def spread(self) -> float:
        """The side of the upright square around it, in its own sides."""
        return abs(sin(self.angle)) + abs(cos(self.angle)) if self.angle else 1.0


def as_floats(values: Tensor) -> list[float]:
    """The numbers of a tensor [N]; torch does not say what its own list holds."""
    return cast("list[float]", values.tolist())  # type: ignore[reportUnknownMemberType]


def roll_angle(landmarks: Tensor) -> float:
    """By how much a face [5, 2] is turned clockwise: the angle of the line through its eyes."""
    x, y = as_floats(landmarks[1] - landmarks[0])
    return atan2(y, x)


def angle_difference(angle: float, start_angle: float) -> float:
    """The smallest turn from `start_angle` to `angle`, in radians."""
    return (angle - start_angle + pi) % (2 * pi) - pi


def template_points(crop_side: int) -> Tensor:
    """Where `norm_crop(image_size=crop_side)` puts the landmarks [5, 2]: sides that only 128
    divides have its wider rim."""
    has_rim = crop_side % 112 != 0 and crop_side % 128 == 0
    template = torch.tensor(TEMPLATE, dtype=torch.float64) * crop_side
    template /= 128 if has_rim else TEMPLATE_SIDE
    template[:, 0] += crop_side / 16 if has_rim else 0
    return template


def arcface_square(landmarks: Tensor, crop_side: int) -> TurnedSquare:
    """The square that `norm_crop(image_size=crop_side)` cuts, the best fit in the picture."""
    turn, shift = fit_similarity(template_points(crop_side), landmarks.double())
    crop_centre = torch.full((2,), crop_side / 2, dtype=torch.float64)
    x, y = as_floats(turn @ crop_centre + shift)
    scale = sqrt(float(turn.det()))
    return TurnedSquare(x, y, scale * crop_side, atan2(float(turn[1, 0]), float(turn[0, 0])))


def fit_similarity(points: Tensor, target_points: Tensor) -> tuple[Tensor, Tensor]:
    """The turn with scale [2, 2] and the shift [2] that bring points [P, 2] nearest to others:
    target = turn @ point + shift.

    Umeyama 1991, in two dimensions: the complex number z that solves the least squares.
    """
    centre, target_centre = points.mean(0), target_points.mean(0)
    a = torch.view_as_complex((points - centre).contiguous())
    b = torch.view_as_complex((target_points - target_centre).contiguous())
    z = (a.conj() * b).sum() / a.abs().square().sum()
    turn = torch.stack((torch.stack((z.real, -z.imag)), torch.stack((z.imag, z.real))))
    return turn, target_centre - turn @ centre


def shift_inside(square: TurnedSquare, picture_size: PictureSize) -> TurnedSquare:
    """The square moved into the picture; it shrinks, about its centre, only where it is larger
    than the picture."""
    spread = square.spread()
    inside = face_square.shift_inside(square.upright(square.side * spread), picture_size)
    half = inside.side / 2
    return TurnedSquare(inside.left + half, inside.top + half, inside.side / spread, square.angle)


def to_picture(square: TurnedSquare, crop_points: Tensor, crop_side: int) -> Tensor:
    """Points [..., 2] of the square's crop of S pixels -> the picture's."""
    x, y = ((crop_points - crop_side / 2) * (square.side / crop_side)).unbind(-1)
    c, s = cos(square.angle), sin(square.angle)
    return torch.stack((square.x + c * x - s * y, square.y + s * x + c * y), -1)


def crop(
    picture: Tensor, square: TurnedSquare, crop_side: int, repeat_edge: bool = False
) -> Tensor:
    """The square of a picture [H, W, C], upright, [S, S, C]; past the border black, or the edge
    repeated.

    Not turned, it is `face_square.crop`; turned, the upright square around it is, at the same
    scale, and then turned.
    """
    if square.angle == 0:
        return face_square.crop(picture, square.upright(square.side), crop_side, repeat_edge)
    upright_side = ceil(crop_side * square.spread()) + CUBIC_REACH
    upright_square = square.upright(square.side * upright_side / crop_side)
    upright_crop = face_square.crop(picture, upright_square, upright_side, repeat_edge)
    centre = upright_side / 2
    turned_square = square._replace(x=centre, y=centre, side=crop_side)
    return sample(upright_crop, turned_square, crop_side, "bicubic").clamp(0, 1)


def sample(picture: Tensor, square: TurnedSquare, crop_side: int, mode: str = "bilinear") -> Tensor:
    """The square of a picture [H, W, C] sampled point by point, [S, S, C]; black outside. Not
    antialiased."""
    pixel_centres = torch.arange(crop_side, dtype=torch.float32, device=picture.device) + 0.5
    crop_points = torch.stack(torch.meshgrid(pixel_centres, pixel_centres, indexing="xy"), -1)
    width_height = torch.tensor([picture.shape[1], picture.shape[0]], dtype=torch.float32)
    picture_points = to_picture(square, crop_points, crop_side)
    grid = picture_points * 2 / width_height.to(picture.device) - 1
    channels_first = picture.movedim(-1, 0)[None].float()
    sampled = grid_sample(channels_first, grid[None], mode=mode, align_corners=False)
    return sampled[0].movedim(0, -1)
