"""laksjdjf's IPAdapter: it reached every layer and resized masks to the nearest pixel."""

from torch import Tensor

from comfy.clip_vision import ClipVisionModel
from comfy.model_patcher import ModelPatcher

from ...files.load import open_adapter
from ...pictures import rgb
from ...references.encode import CROP, encode
from .before_march_2024 import nearest_settings
from .encoder_views import OldAdapter, OldFeatures
from .installed_files import find_adapter, validate_adapter
from .old_apply import OldApply, apply_features
from .old_node import OldNode


class LaksjdjfNode(OldNode):
    FUNCTION, PACK = "adapter", "laksjdjf's IPAdapter-ComfyUI"

    @classmethod
    def VALIDATE_INPUTS(cls, model_name, dtype):
        return validate_adapter(model_name)

    def load(self, model_name: str, encoder: ClipVisionModel | None = None) -> OldAdapter:
        return OldAdapter(open_adapter(find_adapter(model_name)), encoder, self.NAME)

    def apply(
        self, model: ModelPatcher, adapter: OldAdapter, positive: Tensor, settings: OldApply
    ) -> ModelPatcher:
        features = OldFeatures(positive, adapter.unconditional(is_paper=True))
        return apply_features(model, adapter.loaded, features, settings)


class LaksjdjfLoader(LaksjdjfNode):
    """`IPAdapter` of laksjdjf's pack."""

    def compute(self, model, image, clip_vision, weight, model_name, dtype="fp16", mask=None):
        output = encode(clip_vision, rgb(image, self.NAME, "image"), CROP)
        adapter = self.load(model_name, clip_vision)
        features, settings = adapter.take(output, "image"), nearest_settings(self, weight, mask)
        return self.apply(model, adapter, features, settings), output


class LaksjdjfEncodedLoader(LaksjdjfNode):
    """The same until 2023-08-27."""

    def compute(self, model, clip_vision_output, weight, model_name, dtype="fp16"):
        adapter = self.load(model_name)
        features = adapter.take(clip_vision_output, "clip_vision_output")
        return (self.apply(model, adapter, features, nearest_settings(self, weight)),)
