"""The faces of reference pictures for a recogniser: one of each picture, found as Face Crop finds
the largest, or marked by another node."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...ipadapter_core.faces.face_square import Box
from ...ipadapter_core.faces.identity.alignment import identity_square
from ...ipadapter_core.messages import Message
from ...ipadapter_core.references.images import to_bytes
from .host_faces import HostLandmarks
from .search import search
from .settings import ARCFACE, FaceCropSettings

# sides of an aligned face in its picture, in pixels: 112 is what the recogniser takes
TOO_SMALL_SIDE, SMALL_SIDE = 32, 80
Corners = tuple[float, float, float, float]  # left, top, right, bottom


class ReferenceFace(NamedTuple):
    picture_number: int
    landmarks: Tensor  # [5, 2], in the whole picture
    box: Corners  # there too
    is_sure: bool

    @property
    def side(self) -> float:
        return identity_square(self.landmarks).side


@dataclass(frozen=True, eq=False)
class FaceSource:
    """Where the pictures and their faces come from.

    box: the part of the pictures that is searched; None: all of it.
    is_each_needed: no picture may be without a face; may_be_faceless: all of them may.
    landmarks: of the host's nodes; analysis: an INSIGHTFACE object, which is asked for its own.
    """

    node: str
    input_name: str
    box: Box | None = None
    is_each_needed: bool = False
    may_be_faceless: bool = False
    landmarks: HostLandmarks | None = None
    analysis: Any = None


class FoundFaces(NamedTuple):
    """The faces of pictures in their order, and notes about those without one."""

    faces: list[ReferenceFace]
    notes: list[Message]


def find_reference_faces(pictures: Tensor, source: FaceSource) -> FoundFaces:
    """The largest face of each of the pictures [B, H, W, 3]; none where there is none, or where it
    is too small for a recogniser. Raises ValueError where the source asks for more."""
    if source.analysis is not None:
        faces = [
            face
            for number, picture in enumerate(pictures)
            if (face := _analysed_face(source.analysis, picture, number))
        ]
    else:
        faces = _searched_faces(pictures, source)
    large_faces = [face for face in faces if face.side >= TOO_SMALL_SIDE]
    _require_faces(large_faces, len(pictures), source)
    return FoundFaces(large_faces, _notes(faces, len(pictures), source.input_name))


def _searched_faces(pictures: Tensor, source: FaceSource) -> list[ReferenceFace]:
    box = source.box or Box(0, 0, pictures.shape[2], pictures.shape[1])
    part = pictures[:, box.y : box.y + box.height, box.x : box.x + box.width]
    settings = FaceCropSettings(align=ARCFACE)
    faces_by_picture = search(part, None, None, source.landmarks, settings, source.node)
    offset = torch.tensor([box.x, box.y])
    return [
        ReferenceFace(
            picture_number=number,
            landmarks=face.landmarks + offset,
            box=_moved(face.box, box),
            is_sure=face.is_sure,
        )
        for number, picture_faces in enumerate(faces_by_picture)
        for face in picture_faces.chosen_faces
        if face.landmarks is not None
    ]


def _moved(corners: Corners, part: Box) -> Corners:
    """The box of a face in a part of a picture, in the whole picture."""
    left, top, right, bottom = corners
    return left + part.x, top + part.y, right + part.x, bottom + part.y


def _analysed_face(analysis: Any, picture: Tensor, picture_number: int) -> ReferenceFace | None:
    """The largest face that an INSIGHTFACE object sees in a picture [H, W, 3]."""
    pixels = to_bytes(picture).cpu().numpy()
    blue_first: NDArray[numpy.uint8] = numpy.ascontiguousarray(pixels[..., ::-1])
    faces = cast("Sequence[Any]", analysis.get(blue_first))
    face = max(faces, key=_box_area, default=None)
    if face is None:
        return None
    return ReferenceFace(picture_number, analysed_landmarks(face), _corners(face), is_sure=True)


def analysed_landmarks(face: Any) -> Tensor:
    """The landmarks [5, 2] of a face of an INSIGHTFACE object."""
    return torch.as_tensor(numpy.asarray(face.kps, numpy.float32)).reshape(5, 2)


def _corners(face: Any) -> Corners:
    left, top, right, bottom = map(float, face.bbox[:4])
    return left, top, right, bottom


def _box_area(face: Any) -> float:
    left, top, right, bottom = _corners(face)
    return (right - left) * (bottom - top)


def _notes(faces: Sequence[ReferenceFace], picture_count: int, input_name: str) -> list[Message]:
    """Notes on references whose face is missing, too small, small or in doubt."""
    faceless = _faceless_pictures(faces, picture_count)
    too_small = [face.picture_number for face in faces if face.side < TOO_SMALL_SIDE]
    small = [face.picture_number for face in faces if TOO_SMALL_SIDE <= face.side < SMALL_SIDE]
    doubtful = [
        face.picture_number for face in faces if face.side >= TOO_SMALL_SIDE and not face.is_sure
    ]
    notes = {
        Message(
            "<1>: no face in image <2> of <3>, which is left out.",
            input_name,
            _listed(faceless),
            picture_count,
        ): faceless,
        Message(
            "<1>: the face in image <2> of <3> is smaller than <4> pixels and is left out.",
            input_name,
            _listed(too_small),
            picture_count,
            TOO_SMALL_SIDE,
        ): too_small,
        Message(
            "<1>: the face in image <2> of <3> is small: a larger one gives a better likeness.",
            input_name,
            _listed(small),
            picture_count,
        ): small,
        Message(
            "<1>: the face in image <2> of <3> is uncertain.",
            input_name,
            _listed(doubtful),
            picture_count,
        ): doubtful,
    }
    return [note for note, numbers in notes.items() if numbers]


def _listed(numbers: Sequence[int]) -> str:
    """Numbers of pictures, counted from 1."""
    return ", ".join(str(number + 1) for number in numbers)


def _require_faces(faces: Sequence[ReferenceFace], picture_count: int, source: FaceSource) -> None:
    """Raises ValueError if there is none, or not one in each picture where each is needed."""
    if not faces and not source.may_be_faceless:
        raise ValueError(
            f"{source.node}'s '{source.input_name}' shows no face that a recogniser can read "
            f"({picture_count} image{'s' if picture_count > 1 else ''} searched; a face must be "
            f"at least {TOO_SMALL_SIDE} pixels): connect a larger, sharper image of the face from "
            "the front."
        )
    faceless = _faceless_pictures(faces, picture_count)
    if faceless and source.is_each_needed:
        raise ValueError(
            f"{source.node}'s '{source.input_name}' shows no face that a recogniser can read in "
            f"image {_listed(faceless)} of {picture_count}, but each image of the batch must show "
            "one: leave those images out."
        )


def _faceless_pictures(faces: Sequence[ReferenceFace], picture_count: int) -> list[int]:
    with_face = {face.picture_number for face in faces}
    return [number for number in range(picture_count) if number not in with_face]
