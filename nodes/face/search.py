"""Which face of each picture: given, or found by YuNet, then chosen, and followed through a video."""

from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load_file
from torch import Tensor

import comfy.model_management
import comfy.utils

from ...ipadapter_core.faces import find, tracking, yunet
from ...ipadapter_core.faces.find import Face
from . import given as given
from .settings import ALL, ARCFACE, CPU, INSIDE, LARGEST, NODE, UPRIGHT, Settings

WEIGHTS = Path(yunet.__file__).parent / "weights" / "yunet_2023mar.safetensors"


class Seen(NamedTuple):
    """What there is in one picture, and what of it was chosen."""

    faces: list[Face]
    chosen: list[Face]


class Eye:
    """YuNet, opened when the first picture needs it, for one run."""

    def __init__(self, device: str):
        self.device = device
        self.net: yunet.YuNet | None = None

    def open(self) -> yunet.YuNet:
        if self.net is None:
            cpu = self.device == CPU
            device = "cpu" if cpu else comfy.model_management.get_torch_device()
            self.net = yunet.load(load_file(WEIGHTS), device)
        return self.net

    def find(self, picture: Tensor, settings: Settings) -> list[Face]:
        every = settings.which != LARGEST or settings.follow
        return find.find(self.open(), picture, settings.threshold, every)

    def closer(self, face: Face, picture: Tensor, turns: bool) -> Face:
        """Found faces read more exactly; of given ones, of which only the box is known, the turn."""
        if face.found:
            return find.settled(self.open(), picture, face)
        if turns and face.landmarks is None:
            return find.closer(self.open(), picture, face)
        return face


def search(
    pictures: Tensor, mask: Tensor | None, bboxes: Any, landmarks: Any, settings: Settings
) -> list[Seen]:
    """One picture after the other; only boxes and landmarks of it are kept."""
    if wrong := contradiction(settings.which, mask is not None, settings.follow):
        raise ValueError(wrong)
    count, extent = len(pictures), (pictures.shape[1], pictures.shape[2])
    masks = given.masks(mask, count)
    handed = _handed(bboxes, landmarks, count, extent)
    typed = given.typed(settings, extent)
    eye = Eye(settings.device)
    bar = comfy.utils.ProgressBar(count)
    seen: list[Seen] = []
    for picture, one, boxes in zip(pictures, masks, handed, strict=True):
        comfy.model_management.throw_exception_if_processing_interrupted()
        drawn = typed or (given.painted(one, extent) if settings.which != INSIDE else None)
        found = [drawn] if drawn else boxes or eye.find(picture, settings)
        allowed = found if drawn else _allowed(found, one, extent, settings)
        chosen = [drawn] if drawn else _choose(allowed, extent, settings)
        turns = settings.align == ARCFACE or (settings.align == UPRIGHT and not drawn)
        chosen = [eye.closer(face, picture, turns) for face in chosen]
        seen.append(Seen(allowed, chosen))
        bar.update(1)
    return _followed(seen, settings) if settings.follow else seen


def contradiction(which: str | None, masked: bool, follow: bool) -> str | None:
    """The sentence for settings that do not go together; known before anything runs."""
    if which == INSIDE and not masked:
        return f"{NODE}'s 'which' is '{INSIDE}', but nothing is connected to 'mask': connect one, or choose another 'which'."
    if which == ALL and follow:
        return f"{NODE}'s 'follow' keeps to one person, but 'which' is '{ALL}': choose another 'which', or switch 'follow' off."
    return None


def _handed(bboxes: Any, landmarks: Any, count: int, extent: given.Extent) -> list[list[Face]]:
    """What other nodes found in each picture; landmarks before boxes, which say less."""
    boxes = given.from_boxes([] if bboxes is None else bboxes, count, extent)
    marked = given.from_landmarks(landmarks, count, extent) if landmarks else boxes
    return [one or other for one, other in zip(marked, boxes, strict=True)]


def _allowed(
    found: list[Face], mask: Tensor, extent: given.Extent, settings: Settings
) -> list[Face]:
    return find.inside(found, mask, *extent) if settings.which == INSIDE else found


def _choose(found: list[Face], extent: given.Extent, settings: Settings) -> list[Face]:
    which = LARGEST if settings.which == INSIDE else settings.which
    return find.choose(found, which, settings.number, *extent)


def _followed(seen: list[Seen], settings: Settings) -> list[Seen]:
    """The person chosen in the first picture with a face, in all of them."""
    start = next((number for number, one in enumerate(seen) if one.chosen), None)
    if start is None:
        return seen
    track = tracking.same_person([one.faces for one in seen], start, seen[start].chosen[0])
    track = tracking.filled(track) if settings.fill_gaps else track
    track = tracking.smooth(track, settings.smooth)
    return [
        one._replace(chosen=[face] if face else []) for one, face in zip(seen, track, strict=True)
    ]
