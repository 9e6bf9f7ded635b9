"""Face Crop: the face in a picture becomes the square that the face adapters want."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from comfy_api.latest import io, ui

from ..pictures import rgb
from ..references.boxes import editor_picture
from ..sockets import ABSENT, option_problem
from . import results as results, settings as words
from .search import Seen, contradiction, search
from .settings import BY_SIZE, ERROR, INSIDE, NODE, SKIP, WHOLE, Settings

log = logging.getLogger("ipadapter")


class FaceCrop(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FaceCrop",
            display_name="Face Crop",
            category="ipadapter",
            search_aliases=[
                "crop face",
                "face detection",
                "detect face",
                "square crop",
                "plus-face",
                "full-face",
                "insightface",
                "prep image",
            ],
            description="Finds the face in a picture and cuts out the square around it that the face adapters want. A typed box, a mask, or another node's boxes or landmarks say where it is instead.",
            inputs=[*words.sockets(), *words.widgets(), *words.given()],
            outputs=[
                io.Image.Output("image", tooltip="The crops, for 'image' of Apply IPAdapter."),
                io.Mask.Output(
                    "mask",
                    tooltip="For each crop, where the face is in its picture: the box without padding, soft-edged, for 'attn_mask' when that picture is redrawn. All white where the whole image was taken, all black where nothing was.",
                ),
                io.BoundingBox.Output("bboxes", tooltip="The same as boxes, a list per picture."),
                words.Landmarks.Output(
                    "face_landmarks",
                    tooltip="Eyes, nose and corners of the mouth of these faces, as the host's FACE_LANDMARKS.",
                ),
                io.Image.Output(
                    "preview",
                    tooltip="The pictures, at most 768 pixels large, with what was found: the chosen face green, a doubtful one orange, others and the crop grey.",
                ),
                io.Int.Output(
                    "picture",
                    is_output_list=True,
                    tooltip="From which picture each crop is, counted from 0: for 'batch_index' of Get Image from Batch.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, which=words.LARGEST, mask=ABSENT, follow=False):
        wrong = option_problem(which, words.WHICH, NODE, "which")
        return wrong or contradiction(which, mask is not ABSENT, bool(follow)) or True

    @classmethod
    def execute(cls, image, mask=None, bboxes=None, face_landmarks=None, **widgets):
        settings = Settings(**widgets)
        pictures = _pictures(image)
        seen = search(pictures, mask, bboxes, face_landmarks, settings)
        _report(seen, settings)
        crops, masks, previews = _cut(pictures, seen, settings)
        extent = (pictures.shape[1], pictures.shape[2])
        shots = [_shots(one, settings) for one in seen]
        boxes = [[results.host_box(face, extent) for face in faces] for faces in shots]
        landmarks = results.host_landmarks([one.chosen for one in seen], extent)
        numbers = [number for number, faces in enumerate(shots) for _ in faces]
        shown = ui.PreviewImage(crops if len(crops) else previews, cls=cls)
        said = {**shown.as_dict(), **editor_picture(pictures[0])}
        return io.NodeOutput(crops, masks, boxes, landmarks, previews, numbers, ui=said)


def _pictures(image: Any) -> Tensor:
    """[B, H, W, any] -> [B, H, W, 3]."""
    if not isinstance(image, Tensor):
        raise ValueError(
            f"{NODE}'s 'image' must be pictures of one size in one batch, found a {type(image).__name__}: bring them to one size first, or crop them one by one."
        )
    if 0 in image.shape:
        raise ValueError(
            f"{NODE}'s 'image' holds no picture: its shape is {list(image.shape)}. Connect the IMAGE output of another node."
        )
    return rgb(image, NODE, "image")


def _shots(seen: Seen, settings: Settings) -> list[Any]:
    """The faces to cut out of a picture; None is the whole of it."""
    return seen.chosen or ([] if settings.on_none == SKIP else [None])


def _cut(pictures: Tensor, seen: list[Seen], settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
    """Crops, masks and previews, each written where it is handed on: nothing else grows with the number of pictures."""
    extent = (pictures.shape[1], pictures.shape[2])
    count = sum(len(_shots(one, settings)) for one in seen)
    crops = torch.empty(count, *results.crop_size(settings), 3)
    masks = torch.zeros(max(count, 1), *extent)
    previews = torch.empty(len(seen), *results.preview_size(extent), 3)
    done = 0
    for number, (picture, one) in enumerate(zip(pictures, seen, strict=True)):
        shots = _shots(one, settings)
        frames = [results.framed(face, extent, settings) for face in shots]
        for face, shown in zip(shots, frames, strict=True):
            crops[done] = results.crop(picture, shown, settings)
            masks[done] = results.mask(face, extent)
            done += 1
        previews[number] = results.preview(picture, one, frames[: len(one.chosen)])
    return crops, masks, previews


def _report(seen: list[Seen], settings: Settings) -> None:
    missing = _numbers(seen, lambda one: not one.chosen)
    doubtful = _numbers(seen, lambda one: any(not face.sure for face in one.chosen))
    sought = {
        INSIDE: "no face inside the mask",
        BY_SIZE: f"fewer than {settings.number} faces",
    }.get(settings.which, "no face")
    reason = f"{NODE} finds {sought} in picture {missing} of {len(seen)}"
    if missing and settings.on_none == ERROR:
        raise ValueError(
            f"{reason}: type 'width' and 'height', connect a mask of the face, lower 'threshold', or set 'on_none' to '{WHOLE}' or '{SKIP}'."
        )
    if missing and settings.on_none == SKIP:
        log.warning("%s: it is left out.", reason)
    elif missing:
        log.warning("%s: it takes the centre square of the whole image.", reason)
    if doubtful:
        log.warning(
            "%s is not sure that it is a face in picture %s of %d: look at its 'preview'.",
            NODE,
            doubtful,
            len(seen),
        )


def _numbers(seen: list[Seen], which: Callable[[Seen], bool]) -> str:
    return ", ".join(str(number) for number, one in enumerate(seen, 1) if which(one))
