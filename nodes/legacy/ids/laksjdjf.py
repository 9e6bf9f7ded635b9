"""laksjdjf's IPAdapter: it opened the file itself, reached every layer and resized masks to the nearest pixel."""

from typing import Any

from ...files.load import LoadIPAdapter
from ...pictures import rgb
from ...references.encode import CROP, encode
from . import input_specs as w, installed_files
from .adapter_link import Loaded
from .first import APPLY, ENCODED, hung_seen
from .old_node import OldNode


class IPAdapterLaksjdjf(OldNode):
    """`IPAdapter` of laksjdjf's pack."""

    NODE_ID, NAME = "IPAdapterLaksjdjf", "Load IPAdapter (laksjdjf)"
    INSTEAD = f"Load IPAdapter and {APPLY}"
    RETURN_TYPES, FUNCTION = ("MODEL", "CLIP_VISION_OUTPUT"), "adapter"

    @classmethod
    def INPUT_TYPES(cls):
        pictures = {"image": w.IMAGE, "clip_vision": w.CLIP_VISION}
        return w.inputs({"model": w.MODEL, **pictures, **_widgets()}, {"mask": w.MASK})

    @classmethod
    def VALIDATE_INPUTS(cls, model_name, dtype):
        return installed_files.validate_adapter(model_name)

    def adapter(self, model, image, clip_vision, weight, model_name, dtype="fp16", mask=None):
        output = encode(clip_vision, rgb(image, self.NAME, "image"), CROP)
        loaded = _opened(model_name, clip_vision)
        made = hung_seen(self.NAME, model, loaded, output, weight, mask, True, "image")
        return made, output


class IPAdapterLaksjdjfSeen(OldNode):
    """The same until 2023-08-27."""

    NODE_ID, NAME = "IPAdapterLaksjdjfSeen", "Load IPAdapter (laksjdjf, August 2023)"
    INSTEAD = f"Load IPAdapter and {APPLY}"
    FUNCTION = "adapter"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs({"model": w.MODEL, "clip_vision_output": ENCODED, **_widgets()})

    @classmethod
    def VALIDATE_INPUTS(cls, model_name, dtype):
        return installed_files.validate_adapter(model_name)

    def adapter(self, model, clip_vision_output, weight, model_name, dtype="fp16"):
        loaded = _opened(model_name, None)
        return (hung_seen(self.NAME, model, loaded, clip_vision_output, weight, None, middle=True),)


def _widgets() -> dict[str, w.Spec]:
    names = installed_files.folders.names(installed_files.folders.ADAPTERS)
    return {
        "weight": w.weight(3),
        "model_name": w.choice(names, "A file in models/ipadapter."),
        "dtype": w.choice(["fp16", "fp32"], "Has no effect any more."),
    }


def _opened(model_name: str, encoder: Any) -> Loaded:
    return Loaded(
        LoadIPAdapter.execute(installed_files.find_adapter(model_name)[0]).args[0], encoder
    )


NODES = [IPAdapterLaksjdjf, IPAdapterLaksjdjfSeen]
