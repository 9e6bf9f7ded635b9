"""The widgets of Apply IPAdapter."""

from dataclasses import dataclass

from ...ipadapter_core.attention.scaling import V_ONLY
from ...ipadapter_core.references.embeds import CONCAT
from ...ipadapter_core.references.images import CROP
from ...ipadapter_core.weights.weight_map import WeightMap
from ..sampling.image_prompt import PromptSettings
from .tasks import WHOLE_IMAGE

NODE = "Apply IPAdapter"
TOGETHER, PER_FRAME = "together", "one for each picture"
BATCH_MODES = [TOGETHER, PER_FRAME]


@dataclass(frozen=True, kw_only=True)
class ApplySettings:
    """The widgets of one run."""

    weight: float = 1.0
    start_at: float = 0.0
    end_at: float = 1.0
    fit: str = CROP
    scaling: str = V_ONLY
    combine: str = CONCAT
    keep_prompt: float = 0.0
    batch: str = TOGETHER
    frame_weights: str = ""
    box: str = ""
    face_structure: float = 1.0
    lora_strength: float = 1.0
    task: str = WHOLE_IMAGE

    @property
    def by_frame(self) -> bool:
        """Whether each reference is for a generated image of its own."""
        return self.batch != TOGETHER

    @property
    def method(self) -> str:
        """How references that are used together become one set of tokens."""
        return CONCAT if self.by_frame else self.combine

    def of_prompt(self, weight_map: WeightMap | None) -> PromptSettings:
        return PromptSettings(
            weight=self.weight,
            start_at=self.start_at,
            end_at=self.end_at,
            weight_map=weight_map,
            scaling=self.scaling,
            keep_prompt=self.keep_prompt,
        )
