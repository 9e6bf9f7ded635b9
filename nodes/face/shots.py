"""The crops of Face Crop: a list of what to cut out, made once, and the pixels cut out of it."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...ipadapter_core.faces import turned_square
from ...ipadapter_core.faces.face_square import PictureSize, box_mask, centre_square
from ...ipadapter_core.faces.find import Face
from ...ipadapter_core.faces.turned_square import TurnedSquare, arcface_square
from .host_faces import pixel_box
from .search import PictureFaces
from .settings import (
    ARCFACE,
    EDGE,
    LANDSCAPE,
    NOT_TURNED,
    PORTRAIT,
    SHIFT,
    SKIP,
    FaceCropSettings,
)

MASK_SOFTNESS = 0.1  # of the mask output's edge, as a share of the box's shorter side


class Shot(NamedTuple):
    """One crop of a picture: the face in it, or None for the whole picture, and its square."""

    picture_number: int
    face: Face | None
    square: TurnedSquare


def list_shots(
    faces_by_picture: list[PictureFaces], picture_size: PictureSize, settings: FaceCropSettings
) -> list[list[Shot]]:
    """The crops of each picture."""
    without_face: list[Face | None] = [] if settings.on_none == SKIP else [None]
    return [
        [
            Shot(picture_number, face, crop_square(face, picture_size, settings))
            for face in picture_faces.chosen_faces or without_face
        ]
        for picture_number, picture_faces in enumerate(faces_by_picture)
    ]


def crop_square(
    face: Face | None, picture_size: PictureSize, settings: FaceCropSettings
) -> TurnedSquare:
    """The area of the crop of a face; of no face, the centre square."""
    if face is None:
        left, top, side = centre_square(picture_size)
        return TurnedSquare(left + side / 2, top + side / 2, side)
    if settings.align == ARCFACE and face.landmarks is not None:
        square = arcface_square(face.landmarks, settings.size)
    else:
        angle = 0.0 if settings.align == NOT_TURNED else face.square.angle
        side = face.square.side * (1 + settings.padding)
        square = face.square._replace(side=side, angle=angle)
    shifts = settings.border == SHIFT
    return turned_square.shift_inside(square, picture_size) if shifts else square


def crop_size(settings: FaceCropSettings) -> tuple[int, int]:
    """Height and width; the same is added or cut off on both sides."""
    extra_share = {PORTRAIT: -1 / 8, LANDSCAPE: 1 / 6}.get(settings.shape, 0)
    return settings.size, settings.size + 2 * round(settings.size * extra_share)


def cut_crop(picture: Tensor, square: TurnedSquare, settings: FaceCropSettings) -> Tensor:
    """The square of a picture [H, W, 3] in the asked-for shape: a wider one is cut out of a
    larger square, a narrower one out of this."""
    height, width = crop_size(settings)
    longer_side = max(height, width)
    larger_square = square._replace(side=square.side * longer_side / height)
    crop = turned_square.crop(picture, larger_square, longer_side, settings.border == EDGE)
    top, left = (longer_side - height) // 2, (longer_side - width) // 2
    return crop[top : top + height, left : left + width]


def cut_shots(
    pictures: Tensor, shots_by_picture: list[list[Shot]], settings: FaceCropSettings
) -> tuple[Tensor, Tensor]:
    """Crops [N, h, w, 3] and masks of the faces [N, H, W], each written in its place: nothing
    else grows with the number of pictures. Without a crop the mask is one, all black."""
    picture_size = PictureSize(*pictures.shape[1:3])
    shots = [shot for picture_shots in shots_by_picture for shot in picture_shots]
    crops = torch.empty(len(shots), *crop_size(settings), 3)
    masks = torch.zeros(max(len(shots), 1), *picture_size)
    for shot_number, shot in enumerate(shots):
        crops[shot_number] = cut_crop(pictures[shot.picture_number], shot.square, settings)
        masks[shot_number] = box_mask(
            pixel_box(shot.face, picture_size), picture_size, MASK_SOFTNESS
        )
    return crops, masks
