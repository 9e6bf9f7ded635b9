"""Faces that need no looking: a typed box, a mask, another node's boxes or landmarks."""

from collections.abc import Sequence
from math import cos, isfinite, sin
from typing import Any

import torch
from torch import Tensor

from ...ipadapter_core.faces import face_square, turned_square
from ...ipadapter_core.faces.find import Face, boxed
from ..pictures import check_finite
from .settings import NODE, Settings

Extent = tuple[int, int]  # height, width
# of MediaPipe's mesh: corners of the eye on the picture's left and right, tip of the nose, corners of the mouth
MESH = ((33, 133), (362, 263), (1, 1), (61, 61), (291, 291))


def typed(settings: Settings, extent: Extent) -> Face | None:
    """The typed box. Raises ValueError if it lies outside of the picture."""
    box = face_square.Box(settings.x, settings.y, settings.width, settings.height)
    if box.width <= 0 or box.height <= 0:
        return None
    if 0 in face_square.visible(box, *extent)[2:]:
        raise ValueError(
            f"{NODE}'s box (x {box.x}, y {box.y}, width {box.width}, height {box.height}) lies outside the picture of {extent[1]} x {extent[0]} pixels: type where the face is in the picture connected to 'image', or width 0 for no box."
        )
    return _of(box)


def painted(mask: Tensor, extent: Extent) -> Face | None:
    box = face_square.mask_box(mask, *extent)
    return _of(box) if box else None


def masks(mask: Tensor | None, count: int) -> Tensor:
    """One mask per picture [count, h, w]; no mask is an empty one."""
    given = torch.zeros(1, 1, 1) if mask is None else mask
    if 0 in given.shape:
        raise ValueError(
            f"{NODE}'s 'mask' holds no pixels: its shape is {list(given.shape)}. Connect the MASK output of another node, or none."
        )
    every = given.reshape(-1, *given.shape[-2:])
    if len(every) not in (1, count):
        raise ValueError(
            f"{NODE} has {count} pictures in 'image' but {len(every)} masks in 'mask': connect one mask for all, or one for each picture."
        )
    check_finite(every, NODE, "mask")
    return every.expand(count, -1, -1)


def from_boxes(bboxes: Any, count: int, extent: Extent) -> list[list[Face]]:
    """The host's BOUNDING_BOX - one box, one picture's list, or a list for each picture - as faces of each picture."""
    frames = bboxes if isinstance(bboxes, list) else [bboxes]
    if any(isinstance(one, dict) for one in frames):
        frames = [frames]
    return [[_from_box(box, extent) for box in boxes] for boxes in _each(frames, count, "bboxes")]


def from_landmarks(landmarks: Any, count: int, extent: Extent) -> list[list[Face]]:
    """The host's FACE_LANDMARKS, of MediaPipe's mesh or of the five points, as faces of each picture."""
    frames = _each(landmarks["frames"], count, "face_landmarks")
    of = landmarks.get("image_size", extent)
    scale = torch.tensor([extent[1] / of[1], extent[0] / of[0]])
    return [[_from_points(one, scale) for one in frame_] for frame_ in frames]


def _each(frames: Sequence[Any], count: int, name: str) -> list[Any]:
    if len(frames) not in (0, 1, count):
        raise ValueError(
            f"{NODE} has {count} pictures in 'image' but '{name}' is for {len(frames)}: connect what was found in the same pictures, or in one for all."
        )
    return list(frames) * (count if len(frames) == 1 else 1) or [[]] * count


def _from_box(box: dict[str, Any], extent: Extent) -> Face:
    x, y, width, height = (float(box[name]) for name in ("x", "y", "width", "height"))
    whole = isfinite(x + y + width + height) and width > 0 and height > 0
    if not whole or 0 in face_square.visible(face_square.Box(x, y, width, height), *extent)[2:]:  # type: ignore[arg-type]
        raise ValueError(
            f"{NODE}'s 'bboxes' hold a box (x {x:g}, y {y:g}, width {width:g}, height {height:g}) that is empty or lies outside the picture of {extent[1]} x {extent[0]} pixels: connect boxes found in the picture connected to 'image'."
        )
    found = boxed(x, y, x + width, y + height)
    return found._replace(score=float(box.get("score", found.score)))


def _from_points(one: dict[str, Any], scale: Tensor) -> Face:
    points = torch.as_tensor(one["landmarks_xy"], dtype=torch.float32)[:, :2] * scale
    corners = torch.as_tensor(one["bbox_xyxy"], dtype=torch.float32).view(2, 2) * scale
    if not (points.isfinite().all() and corners.isfinite().all()):
        raise ValueError(
            f"{NODE}'s 'face_landmarks' hold NaN or infinite values: detect the landmarks anew, or disconnect them."
        )
    five = points if len(points) == 5 else torch.stack([points[list(p)].mean(0) for p in MESH])
    left, top, right, bottom = corners.flatten().tolist()
    found = boxed(left, top, right, bottom)._replace(landmarks=five)
    angle = turned_square.roll(five)
    around = found.frame if len(points) == 5 else _spanned(points, angle)
    return found._replace(frame=around._replace(angle=angle), score=float(one.get("score", 1.0)))


def _spanned(points: Tensor, angle: float) -> turned_square.Frame:
    """The square around points [P, 2], turned."""
    turn = torch.tensor([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    upright = points @ turn
    low, high = upright.amin(0), upright.amax(0)
    x, y = (turn @ ((low + high) / 2)).tolist()
    return turned_square.Frame(x, y, float((high - low).max()), angle)


def _of(box: face_square.Box) -> Face:
    return boxed(box.x, box.y, box.x + box.width, box.y + box.height)
