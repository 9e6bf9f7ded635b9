"""Faces that need no looking: a typed box, a painted mask, another node's boxes or landmarks."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from ...ipadapter_core.faces.face_square import Box, PictureSize, mask_box, visible_part
from ...ipadapter_core.faces.find import Face, face_in_box
from .host_faces import HostBox, HostBoxes, HostLandmarks, read_box, read_landmarks
from .settings import NODE, FaceCropSettings

Item = TypeVar("Item")


class ConnectedFaces(NamedTuple):
    """Faces that other nodes found, on inputs of a node."""

    bboxes: HostBoxes | None
    landmarks: HostLandmarks | None
    node: str


def read_typed_box(settings: FaceCropSettings, picture_size: PictureSize) -> Face | None:
    """The typed box. Raises ValueError if it lies outside of the picture."""
    box = Box(settings.x, settings.y, settings.width, settings.height)
    if box.width <= 0 or box.height <= 0:
        return None
    if 0 in visible_part(box, picture_size)[2:]:
        raise ValueError(
            f"{NODE}'s box (x {box.x}, y {box.y}, width {box.width}, height {box.height}) lies "
            f"outside the image of {picture_size.width} x {picture_size.height} pixels: type "
            "where the face is in the image on 'image', or set 'width' to 0 for no box."
        )
    return _face_of(box)


def read_painted_mask(mask: Tensor, picture_size: PictureSize) -> Face | None:
    """The box around the painted part of a mask [h, w]."""
    box = mask_box(mask, picture_size)
    return _face_of(box) if box else None


def checked_masks(mask: Tensor | None, picture_count: int) -> Tensor:
    """One mask per picture [picture_count, h, w]; no mask is an empty one."""
    if mask is None:
        return torch.zeros(picture_count, 1, 1)
    face_masks = mask.reshape(-1, *mask.shape[-2:])
    if len(face_masks) not in (1, picture_count):
        raise ValueError(
            f"{NODE} has {picture_count} images in 'image' but {len(face_masks)} masks in "
            f"'mask': connect one mask for all, or one for each image."
        )
    return face_masks.expand(picture_count, -1, -1)


def read_connected_faces(
    connected: ConnectedFaces, picture_count: int, picture_size: PictureSize
) -> list[list[Face]]:
    """The faces that other nodes found in each picture; landmarks before boxes, which say less."""
    boxed_faces = _faces_in_boxes(connected, picture_count, picture_size)
    if not connected.landmarks:
        return boxed_faces
    marked_faces = _faces_with_landmarks(
        connected.landmarks, connected.node, picture_count, picture_size
    )
    return [marked or boxed for marked, boxed in zip(marked_faces, boxed_faces, strict=True)]


def _faces_in_boxes(
    connected: ConnectedFaces, picture_count: int, picture_size: PictureSize
) -> list[list[Face]]:
    """BOUNDING_BOX may be one box, one picture's list, or a list for each picture."""
    box_lists, node = _box_lists(connected.bboxes), connected.node
    boxes_by_picture = _for_each_picture(box_lists, picture_count, node, "bboxes")
    return [[read_box(box, picture_size, node) for box in boxes] for boxes in boxes_by_picture]


def _box_lists(bboxes: HostBoxes | None) -> list[list[HostBox]]:
    boxes = bboxes if isinstance(bboxes, list) else [bboxes or []]
    is_flat = any(isinstance(box, dict) for box in boxes)
    return [boxes] if is_flat else boxes  # type: ignore[return-value]


def _faces_with_landmarks(
    landmarks: HostLandmarks, node: str, picture_count: int, picture_size: PictureSize
) -> list[list[Face]]:
    frames = landmarks["frames"]
    marks_by_picture = _for_each_picture(frames, picture_count, node, "face_landmarks")
    height, width = landmarks.get("image_size", picture_size)
    scale = torch.tensor([picture_size.width / width, picture_size.height / height])
    return [[read_landmarks(marks, scale, node) for marks in frame] for frame in marks_by_picture]


def _for_each_picture(
    lists: Sequence[list[Item]], picture_count: int, node: str, input_name: str
) -> list[list[Item]]:
    if len(lists) not in (0, 1, picture_count):
        raise ValueError(
            f"{node} has {picture_count} images in 'image' but '{input_name}' is for "
            f"{len(lists)}: connect the faces of the same images, or those of one image for all."
        )
    if len(lists) == 1:
        return list(lists) * picture_count
    return list(lists) or [[] for _ in range(picture_count)]


def _face_of(box: Box) -> Face:
    return face_in_box(box.x, box.y, box.x + box.width, box.y + box.height)
