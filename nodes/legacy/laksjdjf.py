"""laksjdjf's IPAdapter: it opened the file itself, reached every layer and resized masks to the nearest pixel."""

from dataclasses import replace

from ..encode import CROP, encode, nothing
from ..keys import needs_nothing, references
from ..load import LoadIPAdapter
from ..pictures import rgb
from . import resolve, widgets as w
from .base import OldNode
from .v1 import APPLY, first, hung


class IPAdapterLaksjdjf(OldNode):
    """`IPAdapter` of laksjdjf's pack, which opened the file itself."""

    NODE_ID, NAME = "IPAdapterLaksjdjf", "Load IPAdapter (laksjdjf)"
    INSTEAD = f"Load IPAdapter and {APPLY}"
    RETURN_TYPES, FUNCTION = ("MODEL", "CLIP_VISION_OUTPUT"), "adapter"

    @classmethod
    def INPUT_TYPES(cls):
        names = resolve.folders.names(resolve.folders.ADAPTERS)
        return w.inputs(
            {
                "model": w.MODEL,
                "image": w.IMAGE,
                "clip_vision": w.CLIP_VISION,
                "weight": w.weight(3),
                "model_name": w.choice(names, "A file in models/ipadapter."),
                "dtype": w.choice(["fp16", "fp32"], "Has no effect any more."),
            },
            {"mask": w.MASK},
        )

    @classmethod
    def VALIDATE_INPUTS(cls, model_name, dtype):
        try:
            return model_name is None or bool(resolve.adapter_path(model_name))
        except ValueError as error:
            return str(error)

    def adapter(self, model, image, clip_vision, weight, model_name, dtype="fp16", mask=None):
        adapter = LoadIPAdapter.execute(resolve.adapter_path(model_name)[0]).args[0]
        output = encode(clip_vision, rgb(image, self.NAME, "image"), CROP)
        positive = references(output, adapter, "image").features
        negative = None
        if needs_nothing(adapter):
            negative = references(nothing(clip_vision), adapter, "image").features
        old = replace(first(self.NAME, weight, "original", 0.0, 1.0, False), masks="nearest")
        return hung(model, adapter, positive, negative, old, mask), output


NODES = [IPAdapterLaksjdjf]
