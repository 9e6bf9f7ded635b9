"""laksjdjf's IPAdapter: it opened the file itself, reached every layer and resized masks to the nearest pixel."""

from comfy.clip_vision import ClipVisionModel

from ...files.load import open_adapter
from ...pictures import rgb
from ...references.encode import CROP, encode
from .before_march_2024 import apply_encoder_output, nearest_settings
from .encoder_views import OldAdapter
from .installed_files import find_adapter, validate_adapter
from .old_node import OldNode


class LaksjdjfNode(OldNode):
    FUNCTION = "adapter"

    @classmethod
    def VALIDATE_INPUTS(cls, model_name, dtype):
        return validate_adapter(model_name)

    def load(self, model_name: str, encoder: ClipVisionModel | None = None) -> OldAdapter:
        file = find_adapter(model_name)[0]
        return OldAdapter(open_adapter(file), encoder, self.NAME)


class LaksjdjfLoader(LaksjdjfNode):
    """`IPAdapter` of laksjdjf's pack."""

    def adapter(self, model, image, clip_vision, weight, model_name, dtype="fp16", mask=None):
        output = encode(clip_vision, rgb(image, self.NAME, "image"), CROP)
        adapter = self.load(model_name, clip_vision)
        settings = nearest_settings(self.NAME, weight, mask)
        return apply_encoder_output(model, adapter, output, settings, "image"), output


class LaksjdjfEncodedLoader(LaksjdjfNode):
    """The same until 2023-08-27."""

    def adapter(self, model, clip_vision_output, weight, model_name, dtype="fp16"):
        settings = nearest_settings(self.NAME, weight)
        adapter = self.load(model_name)
        return (apply_encoder_output(model, adapter, clip_vision_output, settings),)
