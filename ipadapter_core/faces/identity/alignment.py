"""Alignment: the five landmarks of a face brought to the template that recognisers were trained
with, as insightface's `norm_crop` does it.

The crop is sampled from the full picture by a bilinear kernel without antialiasing, black outside:
a crop of a crop, or a smoother one, would be another picture for the net.
S side of the crop.
"""

from math import atan2, hypot

import torch
from torch import Tensor

from ..turned_square import (
    TEMPLATE_SIDE,
    TurnedSquare,
    as_floats,
    fit_similarity,
    sample,
    template_points,
)

PIXEL_CENTRE = 0.5  # insightface counts from the middle of the first pixel, `sample` from its edge


def identity_square(landmarks: Tensor, crop_side: int = TEMPLATE_SIDE) -> TurnedSquare:
    """The square that `norm_crop` cuts for landmarks [5, 2].

    Its similarity is the best in the crop's pixels, while that of `arcface_square` is the best in
    the picture's: for landmarks that do not fit the template exactly it is a little larger.
    """
    turn, shift = fit_similarity(landmarks.double(), template_points(crop_side))
    crop_middle = torch.full((2,), crop_side / 2 - PIXEL_CENTRE, dtype=torch.float64)
    x, y = as_floats(turn.T @ (crop_middle - shift) / turn.det() + PIXEL_CENTRE)
    cosine, sine = float(turn[0, 0]), float(turn[1, 0])
    return TurnedSquare(x, y, crop_side / hypot(cosine, sine), -atan2(sine, cosine))


def align_face(picture: Tensor, landmarks: Tensor, crop_side: int = TEMPLATE_SIDE) -> Tensor:
    """The aligned crop [S, S, 3] of the face with those landmarks [5, 2] in a picture [H, W, 3];
    in steps of 1/255, as in a picture of 8 bits."""
    crop = sample(picture, identity_square(landmarks, crop_side), crop_side)
    return (crop.clamp(0, 1) * 255).round() / 255
