"""Nodes that lived for weeks in 2023, under ids that mean another node since; the numbers they gave.

`prompts.py` and `saved_graph.py` tell them apart by their sockets and widgets.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

import comfy.utils

from ...pictures import rgb
from ...references.encode import CROP, encode
from ...references.pair import needs_encoded_zeros, references_for
from . import input_specs as w
from .adapter_link import Loaded, opened
from .encoder_views import SIDE, nothing_of, paired
from .image_nodes import check_options, sharpened, squared
from .old_apply import Old, Sides, apply
from .old_node import OldNode

APPLY = "Apply IPAdapter"
ENCODED = w.link("CLIP_VISION_OUTPUT", "What the encoder saw.")
FILTERS = ["bicubic", "nearest", "bilinear", "area", "nearest-exact", "lanczos"]
CROPS = ["top", "bottom", "left", "right", "center"]


class IPAdapterCLIPVisionEncode(OldNode):
    NODE_ID, NAME = "IPAdapterCLIPVisionEncode", "CLIP Vision Encode IPAdapter (September 2023)"
    INSTEAD = f"{APPLY}, which encodes by itself"
    RETURN_TYPES, FUNCTION = ("CLIP_VISION_OUTPUT",), "encode"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs({"clip_vision": w.CLIP_VISION, "image": w.IMAGE})

    def encode(self, clip_vision, image):
        return (encode(clip_vision, rgb(image, self.NAME, "image"), CROP),)


class IPAdapterApplySeen(OldNode):
    """`IPAdapterApply` until 2023-09-15."""

    NODE_ID, NAME, INSTEAD = "IPAdapterApplySeen", "Apply IPAdapter (September 2023)", APPLY

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "model": w.MODEL,
                "ipadapter": w.IPADAPTER,
                "clip_vision_output": ENCODED,
                "weight": w.weight(3),
            },
            {"mask": w.MASK},
        )

    def apply_ipadapter(self, model, ipadapter, clip_vision_output, weight=1.0, mask=None):
        loaded = opened(ipadapter, self.NAME)
        middle = loaded.adapter.spec.base_model == "SD1.5"  # in SDXL a typing error left it out
        return (hung_seen(self.NAME, model, loaded, clip_vision_output, weight, mask, middle),)


class PrepImageWithWeight(OldNode):
    """`PrepImageForClipVision` until 2023-10-12."""

    NODE_ID, NAME = "PrepImageWithWeight", "Prep Image For ClipVision (before 12 October 2023)"
    INSTEAD = "the input 'fit' of Apply IPAdapter, or the host's image nodes"
    RETURN_TYPES, FUNCTION = ("IMAGE",), "prep_image"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "image": w.link("IMAGE", "The reference."),
                "interpolation": w.choice(FILTERS, "How it is resized."),
                "crop_position": w.choice(CROPS, "Which part of it is kept."),
                "sharpening": w.SHARPENING,
                "add_weight": w.switch(False, "The reference counts twice."),
            }
        )

    def prep_image(
        self,
        image,
        interpolation="lanczos",
        crop_position="center",
        sharpening=0.0,
        add_weight=False,
    ):
        check_options(self.NAME, interpolation, FILTERS, crop_position, CROPS)
        channels = squared(rgb(image, self.NAME, "image").movedim(-1, 1), crop_position)
        if interpolation == "lanczos":
            channels = comfy.utils.lanczos(channels, SIDE, SIDE)
        else:
            channels = interpolate(channels, (SIDE, SIDE), mode=interpolation)
        if sharpening:
            channels = sharpened(channels, sharpening)
        made: Tensor = channels.movedim(1, -1)
        return (torch.cat((made, made)) if add_weight else made,)


def hung_seen(
    node: str,
    model: Any,
    loaded: Loaded,
    seen: Any,
    weight: Any,
    mask: Any,
    middle: bool,
    name: str = "clip_vision_output",
) -> Any:
    """The model with what an encoder gave, as the nodes of 2023 took it; name: the input that it came from."""
    adapter = loaded.adapter
    positive = references_for(seen, adapter, name).features
    negative = None
    if needs_encoded_zeros(adapter):
        negative = nothing_of(loaded.clip_vision(None), adapter, paper=True)
    sides = paired(adapter, positive, negative, "concat", False, paper=False)
    old = Old(node, weight, masks="nearest", middle=middle, mask_input="mask")
    return apply(model, adapter, Sides(*sides), old, mask)


NODES = [
    IPAdapterCLIPVisionEncode,
    IPAdapterApplySeen,
    PrepImageWithWeight,
]
