"""Which image encoder a file holds, by keys and shapes alone.

The two layouts are those the host loads: `transformers` (`vision_model.*`) and OpenCLIP (`visual.*`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..messages import Message
from .checkpoint import EMBEDS, ENCODERS, AdapterSpec

_NAMES = {
    (32, 1280, 1024): "CLIP ViT-H/14",
    (48, 1664, 1280): "CLIP ViT-bigG/14",
    (24, 1024, 768): "CLIP ViT-L/14",
}


@dataclass(frozen=True)
class EncoderSpec:
    """Widths of an encoder's two outputs, and how it is called."""

    name: str
    hidden: int  # width of the hidden states
    projection: int  # width of image_embeds

    @classmethod
    def of(cls, depth: int, hidden: int, projection: int) -> "EncoderSpec":
        unknown = Message("a vision encoder with <1> layers of width <2>", depth, hidden)
        return cls(_NAMES.get((depth, hidden, projection), unknown), hidden, projection)

    def fits(self, adapter: AdapterSpec) -> bool:
        """Whether it gives what the adapter was made for; the same width alone can be another encoder's."""
        width = self.projection if adapter.feature == EMBEDS else self.hidden
        known = adapter.encoder in ENCODERS.values()
        return width == adapter.projector.features and (self.name == adapter.encoder or not known)


def read_encoder(weights: Mapping[str, Any]) -> EncoderSpec | None:
    """The encoder in a file, or None if there is none that the host would load as CLIP.

    weights: the file's flat keys, anything with a `.shape` as values.
    """
    for prefix, patch, layer, projection, axis in (
        (
            "vision_model.",
            "embeddings.patch_embedding.weight",
            "encoder.layers.",
            "visual_projection.weight",
            0,
        ),
        ("visual.", "conv1.weight", "transformer.resblocks.", "visual.proj", 1),
    ):
        start = prefix + layer
        numbers = [key[len(start) :].split(".")[0] for key in weights if key.startswith(start)]
        depth = 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)
        first, last = (_shape(weights.get(key)) for key in (prefix + patch, projection))
        if depth and len(first) == 4 and len(last) == 2:
            return EncoderSpec.of(depth, first[0], last[axis])
    return None


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))
