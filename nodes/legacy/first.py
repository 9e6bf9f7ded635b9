"""Nodes that lived for weeks in 2023, under ids that mean another node since; the numbers they gave.

`prompts.py` and web/oldgraphs.js tell them apart by their sockets and widgets.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

import comfy.utils

from ..encode import CROP, encode
from ..keys import needs_nothing, references
from ..load import LoadIPAdapter
from ..pictures import rgb
from . import resolve, widgets as w
from .applied import Old, Sides, apply
from .base import OldNode
from .images import sharpened, squared
from .pipe import Loaded, opened
from .seen import SIDE, nothing_of, paired

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
        return (_hung(self.NAME, model, loaded, clip_vision_output, weight, mask, middle),)


class IPAdapterLaksjdjfSeen(OldNode):
    """`IPAdapter` of laksjdjf's pack until 2023-08-27."""

    NODE_ID, NAME = "IPAdapterLaksjdjfSeen", "Load IPAdapter (laksjdjf, August 2023)"
    INSTEAD = f"Load IPAdapter and {APPLY}"
    FUNCTION = "adapter"

    @classmethod
    def INPUT_TYPES(cls):
        names = resolve.folders.names(resolve.folders.ADAPTERS)
        return w.inputs(
            {
                "model": w.MODEL,
                "clip_vision_output": ENCODED,
                "weight": w.weight(3),
                "model_name": w.choice(names, "A file in models/ipadapter."),
                "dtype": w.choice(["fp16", "fp32"], "Has no effect any more."),
            }
        )

    @classmethod
    def VALIDATE_INPUTS(cls, model_name, dtype):
        try:
            return model_name is None or bool(resolve.adapter_path(model_name))
        except ValueError as error:
            return str(error)

    def adapter(self, model, clip_vision_output, weight, model_name, dtype="fp16"):
        loaded = Loaded(LoadIPAdapter.execute(resolve.adapter_path(model_name)[0]).args[0])
        return (_hung(self.NAME, model, loaded, clip_vision_output, weight, None, True),)


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
        if interpolation not in FILTERS or crop_position not in CROPS:
            raise ValueError(
                f"{self.NAME} has the unknown option '{interpolation}' or '{crop_position}': choose one of {', '.join(FILTERS)}, and of {', '.join(CROPS)}."
            )
        channels = squared(rgb(image, self.NAME, "image").movedim(-1, 1), crop_position)
        if interpolation == "lanczos":
            channels = comfy.utils.lanczos(channels, SIDE, SIDE)
        else:
            channels = interpolate(channels, (SIDE, SIDE), mode=interpolation)
        if sharpening:
            channels = sharpened(channels, sharpening)
        made: Tensor = channels.movedim(1, -1)
        return (torch.cat((made, made)) if add_weight else made,)


def _hung(node: str, model: Any, loaded: Loaded, seen: Any, weight, mask, middle: bool):
    adapter = loaded.adapter
    positive = references(seen, adapter, "clip_vision_output").features
    negative = None
    if needs_nothing(adapter):
        negative = nothing_of(loaded.clip_vision(None), adapter, paper=True)
    sides = paired(adapter, positive, negative, "concat", False, paper=False)
    old = Old(node, weight, masks="nearest", middle=middle)
    return apply(model, adapter, Sides(*sides), old, mask)


NODES = [
    IPAdapterCLIPVisionEncode,
    IPAdapterApplySeen,
    IPAdapterLaksjdjfSeen,
    PrepImageWithWeight,
]
