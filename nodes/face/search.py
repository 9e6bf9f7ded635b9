"""The faces of each picture: given or found by YuNet, then chosen, and followed through a video."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

import comfy.model_management
import comfy.utils

from ...ipadapter_core.faces import find, tracking, yunet
from ...ipadapter_core.faces.face_square import PictureSize
from ...ipadapter_core.faces.find import Face
from .host_faces import HostBoxes, HostLandmarks
from .input_faces import (
    ConnectedFaces,
    checked_masks,
    read_connected_faces,
    read_painted_mask,
    read_typed_box,
)
from .settings import ALL, ARCFACE, CPU, INSIDE, LARGEST, NODE, UPRIGHT, FaceCropSettings


class PictureFaces(NamedTuple):
    """The faces of one picture, and those of them that were chosen."""

    faces: list[Face]
    chosen_faces: list[Face]


class FaceFinder:
    """YuNet, opened when the first picture needs it, for one run."""

    def __init__(self, settings: FaceCropSettings):
        self.settings = settings
        self._net: yunet.YuNet | None = None

    def find(self, picture: Tensor) -> list[Face]:
        find_all = self.settings.which != LARGEST or self.settings.follow
        return find.find_faces(self._open_net(), picture, self.settings.threshold, find_all)

    def read_exactly(self, face: Face, picture: Tensor, is_drawn: bool) -> Face:
        """A detected face read more exactly; of another, of which only the box is known, the
        landmarks, where the crop turns with them."""
        if face.is_detected:
            return find.settle_face(self._open_net(), picture, face)
        align = self.settings.align
        needs_turn = align == ARCFACE or (align == UPRIGHT and not is_drawn)
        if needs_turn and face.landmarks is None:
            return find.read_landmarks(self._open_net(), picture, face)
        return face

    def _open_net(self) -> yunet.YuNet:
        if self._net is None:
            host_device = comfy.model_management.get_torch_device
            device = "cpu" if self.settings.device == CPU else cast(torch.device, host_device())
            self._net = yunet.load_yunet(load_file(yunet.WEIGHTS), device)
        return self._net


def search(
    pictures: Tensor,
    mask: Tensor | None,
    bboxes: HostBoxes | None,
    landmarks: HostLandmarks | None,
    settings: FaceCropSettings,
    node: str = NODE,
) -> list[PictureFaces]:
    """The faces of pictures [B, H, W, 3], one after the other; only boxes and landmarks of them
    are kept."""
    if problem := find_contradiction(settings.which, mask is not None, settings.follow):
        raise ValueError(problem)
    picture_size = PictureSize(*pictures.shape[1:3])
    face_masks = checked_masks(mask, len(pictures))
    connected_faces = read_connected_faces(
        ConnectedFaces(bboxes, landmarks, node), len(pictures), picture_size
    )
    typed_face = read_typed_box(settings, picture_size)
    finder = FaceFinder(settings)
    progress_bar = comfy.utils.ProgressBar(len(pictures))
    faces_by_picture: list[PictureFaces] = []
    for picture, face_mask, faces in zip(pictures, face_masks, connected_faces, strict=True):
        comfy.model_management.throw_exception_if_processing_interrupted()
        faces_by_picture.append(_search_picture(picture, face_mask, typed_face, faces, finder))
        progress_bar.update(1)  # pyright: ignore[reportUnknownMemberType]
    return _follow(faces_by_picture, settings) if settings.follow else faces_by_picture


def find_contradiction(which: str | None, has_mask: bool, is_followed: bool) -> str | None:
    """The sentence for settings that do not go together; known before anything runs."""
    if which == INSIDE and not has_mask:
        return (
            f"{NODE}'s 'which' is '{INSIDE}', but nothing is connected to 'mask': connect one, "
            f"or choose another 'which'."
        )
    if which == ALL and is_followed:
        return (
            f"{NODE}'s 'follow' keeps to one person, but 'which' is '{ALL}': choose another "
            f"'which', or switch 'follow' off."
        )
    return None


def _search_picture(
    picture: Tensor,
    face_mask: Tensor,
    typed_face: Face | None,
    connected_faces: Sequence[Face],
    finder: FaceFinder,
) -> PictureFaces:
    """A typed box before a painted mask, before other nodes' faces, before looking."""
    settings = finder.settings
    picture_size = PictureSize(*picture.shape[:2])
    painted_face = read_painted_mask(face_mask, picture_size) if settings.which != INSIDE else None
    if drawn_face := typed_face or painted_face:
        return PictureFaces([drawn_face], [finder.read_exactly(drawn_face, picture, is_drawn=True)])
    faces = list(connected_faces) or finder.find(picture)
    if settings.which == INSIDE:
        faces = find.faces_on_mask(faces, face_mask, picture_size)
    which = LARGEST if settings.which == INSIDE else settings.which
    chosen_faces = find.choose_faces(faces, which, settings.number, picture_size)
    exact_faces = [finder.read_exactly(face, picture, is_drawn=False) for face in chosen_faces]
    return PictureFaces(faces, exact_faces)


def _follow(faces_by_picture: list[PictureFaces], settings: FaceCropSettings) -> list[PictureFaces]:
    """The person chosen in the first picture with a face, in all of them."""
    first_picture = next(
        (
            picture_number
            for picture_number, picture_faces in enumerate(faces_by_picture)
            if picture_faces.chosen_faces
        ),
        None,
    )
    if first_picture is None:
        return faces_by_picture
    first_face = faces_by_picture[first_picture].chosen_faces[0]
    track = tracking.follow_person(
        [picture_faces.faces for picture_faces in faces_by_picture], first_picture, first_face
    )
    track = tracking.fill_gaps(track) if settings.fill_gaps else track
    track = tracking.smooth_track(track, settings.smooth)
    return [
        picture_faces._replace(chosen_faces=[face] if face else [])
        for picture_faces, face in zip(faces_by_picture, track, strict=True)
    ]
