"""One run of the host's image encoder: reference images become its output, recalled and shown."""

# The host's image encoder and progress bar are untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import hashlib
import logging
from typing import Any, NamedTuple

import torch
from torch import Tensor

import comfy.clip_model
import comfy.model_management
import comfy.utils
from comfy.clip_vision import ClipVisionModel, Output
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import ui

from ...ipadapter_core.adapter.features import EMBEDS, HIDDEN
from ...ipadapter_core.messages import Message
from ...ipadapter_core.references.images import CROP, STRETCH, pad_to_square
from ..drawing import editor_picture
from ..notes import shown_texts
from ..pictures import rgb
from ..recall import Recalled, recall
from .boxes import crop_to_box

CHUNK_SIZE = 16  # images that go through the encoder at once
PREVIEW_COUNT = 16  # images of a long batch that the node shows
log = logging.getLogger("ipadapter")


class EncodedReference(NamedTuple):
    """The host's CLIP_VISION_OUTPUT, and what the node shows of it."""

    output: Output
    display: dict[str, Any]


def encode_reference(
    clip_vision: ClipVisionModel, image: Tensor, fit: str, input_name: str, node: str, box: str = ""
) -> EncodedReference | None:
    """The encoder's output for images [B, H, W, C], recalled if it is known; None for no image.

    input_name: of the image on the node, whose name is `node`.
    box: the part of the images that is used, as text.
    """

    def make() -> EncodedReference | None:
        images = rgb(image, node, input_name)
        if not len(images):
            return None
        images = crop_to_box(images, box, node)
        warning = crop_warning(images, fit, input_name)
        if warning:
            log.warning("%s, %s", node, warning)
        views = encoder_view(clip_vision, images[:PREVIEW_COUNT], fit)
        texts = shown_texts(warning) if warning else shown_texts()
        display = {**ui.PreviewImage(views).as_dict(), **texts}
        return EncodedReference(encode(clip_vision, images, fit), display)

    settings = (fit, box.strip())
    return recall(clip_vision.patcher, Recalled.ENCODED_REFERENCE, make, (image,), settings)


def box_editor_picture(patcher: ModelPatcher, image: Tensor) -> dict[str, Any]:
    """For a node's `ui`: the first image as it came in, for the editor of 'box', recalled."""
    kind = Recalled.BOX_EDITOR_PICTURE
    return recall(patcher, kind, lambda: editor_picture(image[0]), (image,))


def unconditional_output(clip_vision: ClipVisionModel) -> Output:
    """The encoder's output for no image: pixel values of zero, recalled."""
    kind = Recalled.UNCONDITIONAL_OUTPUT
    return recall(clip_vision.patcher, kind, lambda: encode_zeros(clip_vision))


def black_output(clip_vision: ClipVisionModel) -> Output:
    """The encoder's output for a black image, recalled."""
    size = clip_vision.image_size
    black = torch.zeros(1, size, size, 3)
    kind = Recalled.BLACK_OUTPUT
    return recall(clip_vision.patcher, kind, lambda: encode(clip_vision, black, CROP))


def encode(
    clip_vision: ClipVisionModel,
    images: Tensor,
    fit: str,
    progress: comfy.utils.ProgressBar | None = None,
) -> Output:
    """The host's CLIP_VISION_OUTPUT of [B, H, W, 3]; long batches go through in chunks.

    progress: of a longer work that this is a part of, one step for each image.
    """
    output = Output()
    progress = progress or comfy.utils.ProgressBar(len(images))
    for number, chunk in enumerate(images.split(CHUNK_SIZE)):
        comfy.model_management.throw_exception_if_processing_interrupted()
        chunk_output = clip_vision.encode_image(pad_to_square(chunk, fit), crop=fit != STRETCH)
        for key in (HIDDEN, EMBEDS):
            features: Tensor = chunk_output[key]
            if not number:  # only the results stay, in one piece of memory
                output[key] = features.new_empty(len(images), *features.shape[1:])
            output[key][number * CHUNK_SIZE :][: len(chunk)] = features.detach()
        progress.update(len(chunk))
    return output


def encode_zeros(clip_vision: ClipVisionModel) -> Output:
    """The encoder's output for pixel values of zero after normalisation, as in the training.

    A black image is something else.
    https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py#L311
    """
    comfy.model_management.load_model_gpu(clip_vision.patcher)
    size = clip_vision.image_size
    zeros = torch.zeros(1, 3, size, size, device=clip_vision.load_device)
    _, hidden, embeds = clip_vision.model(pixel_values=zeros, intermediate_output=-2)[:3]
    output = Output()
    device = comfy.model_management.intermediate_device()
    output[HIDDEN] = hidden.to(device)
    output[EMBEDS] = embeds.to(device)
    return output


def encoder_view(clip_vision: ClipVisionModel, images: Tensor, fit: str) -> Tensor:
    """[B, S, S, 3] that the encoder looks at: the host's preprocessing but the normalisation."""
    pixels = comfy.clip_model.clip_preprocess(
        pad_to_square(images, fit),
        size=clip_vision.image_size,
        mean=[0.0] * 3,
        std=[1.0] * 3,
        crop=fit != STRETCH,
    )
    return pixels.movedim(1, -1)


def encoder_digest(clip_vision: ClipVisionModel) -> str:
    """Of a few weights of every layer: tells two encoders apart without reading gigabytes."""

    def make() -> str:
        digest = hashlib.sha256()
        for name, weight in sorted(clip_vision.model.state_dict().items()):
            digest.update(f"{name} {tuple(weight.shape)}".encode())
            digest.update(weight.flatten()[:64].float().cpu().numpy().tobytes())
        return digest.hexdigest()

    return recall(clip_vision.patcher, Recalled.ENCODER_DIGEST, make)


def crop_warning(images: Tensor, fit: str, input_name: str) -> Message | None:
    """The sentence for a crop that removes more than a tenth."""
    height, width = images.shape[1:3]
    lost_share = 1 - min(height, width) / max(height, width)
    if fit != CROP or lost_share <= 0.1:
        return None
    sides = Message("left and right") if width > height else Message("top and bottom")
    return Message(
        "<1>: <2> of the image is cut off (<3> of <4> x <5>); 'fit' can pad or stretch instead.",
        input_name,
        f"{lost_share:.0%}",
        sides,
        width,
        height,
    )
