"""A picture becomes what the encoder saw: the first stretch of Apply IPAdapter, run by the host's own encoder."""

import logging
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

import comfy.clip_model
import comfy.clip_vision
import comfy.model_management
import comfy.utils
from comfy_api.latest import ui

from ...ipadapter_core.adapter.checkpoint import EMBEDS, HIDDEN
from ...ipadapter_core.messages import Message
from ..notes import shown_texts
from ..pictures import rgb
from ..recall import recall
from .boxes import crop_to_box, editor_picture

CROP, PAD, STRETCH = "crop", "pad", "stretch"
FITS = [CROP, PAD, STRETCH]
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures
CHUNK = 16  # pictures that go through the encoder at once
SHOWN = 16  # pictures of a long batch that the node shows
log = logging.getLogger("ipadapter")


class EncodedReference(NamedTuple):
    """The host's CLIP_VISION_OUTPUT, and what the node shows of it."""

    output: Any
    shown: dict[str, Any]


def encode_reference(
    clip_vision: Any,
    image: Tensor,
    fit: str,
    name: str,
    node: str = "Apply IPAdapter",
    box: str = "",
) -> EncodedReference | None:
    """What the encoder gives for pictures [B, H, W, C], recalled if it has seen them; None for no picture.

    name: what the input is called on the node, whose name is `node`.
    box: the part of the pictures that is used, as text.
    """

    def make() -> EncodedReference | None:
        pictures = rgb(image, node, name)
        if not len(pictures):
            return None
        pictures = crop_to_box(pictures, box, node)
        note = crop_warning(pictures, fit, name)
        if note:
            log.warning("%s, %s", node, note)
        preview = ui.PreviewImage(encoder_view(clip_vision, pictures[:SHOWN], fit)).as_dict()
        return EncodedReference(
            encode(clip_vision, pictures, fit),
            {**preview, **(shown_texts(note) if note else shown_texts())},
        )

    return recall(clip_vision.patcher, (image,), (fit, box.strip()), make)


def box_editor_picture(clip_vision: Any, image: Tensor) -> dict[str, Any]:
    """For a node's `ui`: the first picture as it came in, for the editor of 'box', recalled."""
    return recall(clip_vision.patcher, (image,), "whole", lambda: editor_picture(image[0]))


def unconditional_output(clip_vision: Any) -> Any:
    """What the encoder gives for no picture: pixel values of zero, recalled."""
    return recall(clip_vision.patcher, (), "nothing", lambda: encode_zeros(clip_vision))


def pad_to_square(pictures: Tensor, fit: str) -> Tensor:
    """[B, H, W, 3] as the encoder's own resize and crop shall get them: padded only for `pad`."""
    height, width = pictures.shape[1:3]
    if fit != PAD or height == width:
        return pictures
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    # Grey of CLIP's mean colour: zeros after normalisation, the value that tells the encoder least.
    grey = pictures.new_tensor(MEAN)
    return pad(pictures - grey, (0, 0, left, side - width - left, top, side - height - top)) + grey


def encode(clip_vision: Any, pictures: Tensor, fit: str, progress: Any = None) -> Any:
    """The host's CLIP_VISION_OUTPUT of [B, H, W, 3]; long batches go through in chunks.

    progress: the host's ProgressBar of a longer work that this is a part of, one step for each picture.
    """
    output = comfy.clip_vision.Output()
    progress = progress or comfy.utils.ProgressBar(len(pictures))
    for number, chunk in enumerate(pictures.split(CHUNK)):
        comfy.model_management.throw_exception_if_processing_interrupted()
        part = clip_vision.encode_image(pad_to_square(chunk, fit), crop=fit != STRETCH)
        for key in (HIDDEN, EMBEDS):
            if not number:  # the results alone stay, in one piece of memory
                output[key] = part[key].new_empty(len(pictures), *part[key].shape[1:])
            output[key][number * CHUNK :][: len(chunk)] = part[key].detach()
        progress.update(len(chunk))
    return output


def encode_zeros(clip_vision: Any) -> Any:
    """The encoder's output for pixel values of zero after normalisation, as in the adapters' training.

    https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py#L311 - a black picture is something else.
    """
    comfy.model_management.load_model_gpu(clip_vision.patcher)
    size = clip_vision.image_size
    zeros = torch.zeros(1, 3, size, size, device=clip_vision.load_device)
    _, hidden, embeds = clip_vision.model(pixel_values=zeros, intermediate_output=-2)[:3]
    output = comfy.clip_vision.Output()
    store = comfy.model_management.intermediate_device()
    output[HIDDEN] = hidden.to(store)
    output[EMBEDS] = embeds.to(store)
    return output


def encoder_view(clip_vision: Any, pictures: Tensor, fit: str) -> Tensor:
    """What the encoder looks at, [B, S, S, 3]: the host's own preprocessing without the normalisation."""
    plain = {"mean": [0.0] * 3, "std": [1.0] * 3, "crop": fit != STRETCH}
    pixels = comfy.clip_model.clip_preprocess(
        pad_to_square(pictures, fit), size=clip_vision.image_size, **plain
    )
    return pixels.movedim(1, -1)


def crop_warning(pictures: Tensor, fit: str, name: str) -> Message | None:
    """The sentence for a crop that removes more than a tenth."""
    height, width = pictures.shape[1:3]
    lost = 1 - min(height, width) / max(height, width)
    if fit != CROP or lost <= 0.1:
        return None
    return Message(
        "<1>: <2> of the picture is cut off (<3> of <4> x <5>); 'fit' can pad or stretch instead.",
        name,
        f"{lost:.0%}",
        Message("left and right") if width > height else Message("top and bottom"),
        width,
        height,
    )
