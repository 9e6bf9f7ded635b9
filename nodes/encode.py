"""A picture becomes what the encoder saw: the first stretch of Apply IPAdapter, run by the host's own encoder.

These nodes are steps of Apply IPAdapter, so that the host's cache keeps each result on its own.
"""

import logging
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

import comfy.clip_model
import comfy.clip_vision
import comfy.model_management
import comfy.utils
from comfy_api.latest import io, ui

from .pictures import rgb

CROP, PAD, STRETCH = "crop", "pad", "stretch"
FITS = [CROP, PAD, STRETCH]
CHUNK = 16  # pictures that go through the encoder at once
SHOWN = 16  # pictures of a long batch that the node shows
log = logging.getLogger("ipadapter")


class ApplyIPAdapterEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ApplyIPAdapterEncode",
            display_name="Apply IPAdapter (encode)",
            category="ipadapter/steps",
            description="A step of Apply IPAdapter: runs the encoder on the references.",
            is_dev_only=True,
            inputs=[
                io.ClipVision.Input("clip_vision", tooltip="The encoder."),
                io.Image.Input("image", tooltip="The references."),
                io.Combo.Input(
                    "fit", options=FITS, tooltip="How a picture that is not square becomes square."
                ),
                io.String.Input("name", tooltip="What the input is called on Apply IPAdapter."),
            ],
            outputs=[
                io.ClipVisionOutput.Output("clip_vision_output", tooltip="What the encoder saw.")
            ],
        )

    @classmethod
    def execute(cls, clip_vision, image, fit, name):
        pictures = rgb(image, "Apply IPAdapter", name)
        if not len(pictures):
            return io.NodeOutput(None)
        notes = _cut_off(pictures, fit, name)
        preview = ui.PreviewImage(seen(clip_vision, pictures[:SHOWN], fit), cls=cls).as_dict()
        return io.NodeOutput(
            encode(clip_vision, pictures, fit), ui={**preview, "text": tuple(notes)}
        )


class ApplyIPAdapterNothing(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ApplyIPAdapterNothing",
            display_name="Apply IPAdapter (nothing)",
            category="ipadapter/steps",
            description="A step of Apply IPAdapter: what the encoder gives for no picture at all, for the negative side of plus and full-face adapters.",
            is_dev_only=True,
            inputs=[io.ClipVision.Input("clip_vision", tooltip="The encoder.")],
            outputs=[
                io.ClipVisionOutput.Output(
                    "clip_vision_output", tooltip="What the encoder gives for zeros."
                )
            ],
        )

    @classmethod
    def execute(cls, clip_vision):
        return io.NodeOutput(encode_zeros(clip_vision))


def square(pictures: Tensor, fit: str) -> Tensor:
    """[B, H, W, 3] as the encoder's own resize and crop shall get them: padded only for `pad`."""
    height, width = pictures.shape[1:3]
    if fit != PAD or height == width:
        return pictures
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    # Grey of CLIP's mean colour: zeros after normalisation, the value that tells the encoder least.
    grey = pictures.new_tensor(MEAN)
    return pad(pictures - grey, (0, 0, left, side - width - left, top, side - height - top)) + grey


MEAN = (0.48145466, 0.4578275, 0.40821073)


def encode(clip_vision: Any, pictures: Tensor, fit: str) -> Any:
    """The host's CLIP_VISION_OUTPUT of [B, H, W, 3]; long batches go through in chunks."""
    parts = []
    progress = comfy.utils.ProgressBar(len(pictures))
    for chunk in pictures.split(CHUNK):
        comfy.model_management.throw_exception_if_processing_interrupted()
        parts.append(clip_vision.encode_image(square(chunk, fit), crop=fit != STRETCH))
        progress.update(len(chunk))
    return parts[0] if len(parts) == 1 else _joined(parts)


def encode_zeros(clip_vision: Any) -> Any:
    """The encoder's output for pixel values of zero after normalisation, as in the adapters' training.

    https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py#L311 - a black picture is something else.
    """
    comfy.model_management.load_model_gpu(clip_vision.patcher)
    size = clip_vision.image_size
    zeros = torch.zeros(1, 3, size, size, device=clip_vision.load_device)
    last, hidden, embeds = clip_vision.model(pixel_values=zeros, intermediate_output=-2)[:3]
    output = comfy.clip_vision.Output()
    store = comfy.model_management.intermediate_device()
    output["last_hidden_state"] = last.to(store)
    output["penultimate_hidden_states"] = hidden.to(store)
    output["image_embeds"] = embeds.to(store)
    return output


def seen(clip_vision: Any, pictures: Tensor, fit: str) -> Tensor:
    """What the encoder looks at, [B, S, S, 3]: the host's own preprocessing without the normalisation."""
    plain = {"mean": [0.0] * 3, "std": [1.0] * 3, "crop": fit != STRETCH}
    pixels = comfy.clip_model.clip_preprocess(
        square(pictures, fit), size=clip_vision.image_size, **plain
    )
    return pixels.movedim(1, -1)


def _cut_off(pictures: Tensor, fit: str, name: str) -> list[str]:
    """The sentence for a crop that removes more than a tenth."""
    height, width = pictures.shape[1:3]
    lost = 1 - min(height, width) / max(height, width)
    if fit != CROP or lost <= 0.1:
        return []
    sides = "left and right" if width > height else "top and bottom"
    note = f"{name}: {lost:.0%} of the picture cut off ({sides}, {width} x {height}); 'fit' can pad or stretch instead"
    log.warning("Apply IPAdapter, %s", note)
    return [note]


def _joined(parts: list[Any]) -> Any:
    output = comfy.clip_vision.Output()
    for key in ("last_hidden_state", "penultimate_hidden_states", "image_embeds"):
        output[key] = torch.cat([part[key] for part in parts])
    return output
