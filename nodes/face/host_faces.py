"""Faces as the host's nodes know them: BOUNDING_BOX and FACE_LANDMARKS, read and written."""

from collections.abc import Iterable
from math import cos, isfinite, sin
from typing import TypedDict

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...ipadapter_core.faces.face_square import Box, PictureSize, visible_part
from ...ipadapter_core.faces.find import Face, face_in_box
from ...ipadapter_core.faces.turned_square import TurnedSquare, as_floats, roll_angle

# of MediaPipe's mesh: corners of the eye on the picture's left and right, tip of the nose,
# corners of the mouth
MESH_POINTS = ((33, 133), (362, 263), (1, 1), (61, 61), (291, 291))
# connections of the five points in the host's terms: a face oval through eyes and mouth, the
# nose, the mouth
CONNECTIONS: dict[str, frozenset[tuple[int, int]]] = {
    "face_oval": frozenset({(0, 1), (1, 4), (4, 3), (3, 0)}),
    "nose": frozenset({(0, 2), (1, 2), (2, 3), (2, 4)}),
    "lips": frozenset({(3, 4)}),
    **{f"{side}_{part}": frozenset() for side in ("left", "right") for part in ("eye", "eyebrow")},
    "irises": frozenset(),
}


class PlainBox(TypedDict):
    x: float
    y: float
    width: float
    height: float


class HostBox(PlainBox, total=False):
    """The host's BOUNDING_BOX."""

    label: str
    score: float


class PlainMarks(TypedDict):
    landmarks_xy: NDArray[numpy.float32]  # [P, 2 or 3]: MediaPipe's 478 or the five points
    bbox_xyxy: NDArray[numpy.float32]


class FaceMarks(PlainMarks, total=False):
    """One face of the host's FACE_LANDMARKS."""

    landmarks_3d: NDArray[numpy.float32]
    blendshapes: dict[str, float]
    presence: float
    score: float


class HostLandmarks(TypedDict):
    """The host's FACE_LANDMARKS."""

    frames: list[list[FaceMarks]]
    image_size: tuple[int, int]  # height, width
    connection_sets: dict[str, frozenset[tuple[int, int]]]


HostBoxes = HostBox | list[HostBox] | list[list[HostBox]]


def read_box(box: HostBox, picture_size: PictureSize, node: str) -> Face:
    """A box of another node. Raises ValueError if it is empty or lies outside of the picture."""
    x, y, width, height = (float(box[side]) for side in ("x", "y", "width", "height"))
    is_area = isfinite(x + y + width + height) and width > 0 and height > 0
    if not is_area or not _touches_picture(x, y, width, height, picture_size):
        raise ValueError(
            f"{node}'s 'bboxes' hold a box (x {x:g}, y {y:g}, width {width:g}, height {height:g}) "
            f"that is empty or lies outside the image of {picture_size.width} x "
            f"{picture_size.height} pixels: connect boxes of faces in the image on 'image'."
        )
    face = face_in_box(x, y, x + width, y + height)
    return face._replace(score=float(box.get("score", face.score)))


def read_landmarks(marks: FaceMarks, scale: Tensor, node: str) -> Face:
    """A face of another node, of MediaPipe's mesh or of the five points, at a scale [2] (across,
    down). Raises ValueError for numbers that are none."""
    points = torch.as_tensor(marks["landmarks_xy"], dtype=torch.float32)[:, :2] * scale
    corners = torch.as_tensor(marks["bbox_xyxy"], dtype=torch.float32).view(2, 2) * scale
    if not (points.isfinite().all() and corners.isfinite().all()):
        raise ValueError(
            f"{node}'s 'face_landmarks' hold NaN or infinite values: detect the landmarks again, "
            "or disconnect them."
        )
    is_mesh = len(points) != 5
    landmarks = _five_points(points) if is_mesh else points
    angle = roll_angle(landmarks)
    left, top, right, bottom = as_floats(corners.flatten())
    face = face_in_box(left, top, right, bottom)
    square = _square_around(points, angle) if is_mesh else face.square._replace(angle=angle)
    score = float(marks.get("score", 1.0))
    return face._replace(square=square, landmarks=landmarks, score=score)


def pixel_box(face: Face | None, picture_size: PictureSize) -> Box:
    """The face's box in whole pixels; without a face the whole picture's."""
    if face is None:
        return Box(0, 0, picture_size.width, picture_size.height)
    left, top, right, bottom = (round(side) for side in face.box)
    return Box(left, top, max(1, right - left), max(1, bottom - top))


def write_box(face: Face | None, picture_size: PictureSize) -> HostBox:
    """The host's box of a face; a detected one says so, and how surely."""
    x, y, width, height = visible_part(pixel_box(face, picture_size), picture_size)
    box: HostBox = {"x": x, "y": y, "width": width, "height": height}
    if face is None or not face.is_detected:
        return box
    label = "face" if face.is_sure else "face?"
    return {**box, "label": label, "score": round(face.score, 3)}


def write_landmarks(
    faces_by_picture: Iterable[Iterable[Face]], picture_size: PictureSize
) -> HostLandmarks:
    """The host's landmarks of the five points: eyes, nose and corners of the mouth, each from the
    picture's left."""
    return {
        "frames": [
            [_write_marks(face) for face in faces if face.landmarks is not None]
            for faces in faces_by_picture
        ],
        "image_size": (picture_size.height, picture_size.width),
        "connection_sets": CONNECTIONS,
    }


def _write_marks(face: Face) -> FaceMarks:
    points = numpy.asarray(face.landmarks, dtype=numpy.float32)
    return {
        "bbox_xyxy": numpy.asarray(face.box, dtype=numpy.float32),
        "landmarks_xy": points,
        "landmarks_3d": numpy.pad(points, ((0, 0), (0, 1))),
        "blendshapes": {},
        "presence": face.score,
        "score": face.score,
    }


def _touches_picture(
    x: float, y: float, width: float, height: float, picture_size: PictureSize
) -> bool:
    right, bottom = min(x + width, picture_size.width), min(y + height, picture_size.height)
    return right > max(x, 0) and bottom > max(y, 0)


def _five_points(mesh: Tensor) -> Tensor:
    return torch.stack([mesh[list(numbers)].mean(0) for numbers in MESH_POINTS])


def _square_around(points: Tensor, angle: float) -> TurnedSquare:
    """The square around points [P, 2], turned."""
    turn = torch.tensor([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    upright_points = points @ turn
    low, high = upright_points.amin(0), upright_points.amax(0)
    x, y = as_floats(turn @ ((low + high) / 2))
    return TurnedSquare(x, y, float((high - low).max()), angle)
