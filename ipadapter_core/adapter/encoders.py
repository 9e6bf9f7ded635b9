"""Which image encoder a file holds, by keys and shapes alone.

The two layouts are those the host loads: `transformers` (`vision_model.*`) and OpenCLIP
(`visual.*`).
"""

from dataclasses import dataclass

from ..messages import Message
from .checkpoint import AdapterSpec
from .features import CLIP_BIGG, CLIP_H, CLIP_L, FeatureSpec, Source
from .layout import Weights, shape_of

_NAMES = {
    (32, 1280, 1024): CLIP_H,
    (48, 1664, 1280): CLIP_BIGG,
    (24, 1024, 768): CLIP_L,
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
        """Whether it gives what the adapter was made for."""
        return self.gives(adapter.clip_input)

    def gives(self, feature: FeatureSpec) -> bool:
        """Whether a feature is an output of it; the same width alone can be another encoder's."""
        widths = {Source.CLIP_EMBEDS: self.projection, Source.CLIP_HIDDEN: self.hidden}
        is_published = feature.encoder in _NAMES.values()
        return widths.get(feature.source) == feature.width and (
            self.name == feature.encoder or not is_published
        )


@dataclass(frozen=True)
class _Layout:
    """Where a kind of encoder file has what tells its widths and depth."""

    patches: str
    layers: str
    projection: str
    projection_axis: int


_LAYOUTS = (
    _Layout(
        patches="vision_model.embeddings.patch_embedding.weight",
        layers="vision_model.encoder.layers.",
        projection="visual_projection.weight",
        projection_axis=0,
    ),
    _Layout(
        patches="visual.conv1.weight",
        layers="visual.transformer.resblocks.",
        projection="visual.proj",
        projection_axis=1,
    ),
)


def read_encoder(weights: Weights) -> EncoderSpec | None:
    """The encoder in a file, or None if there is none that the host would load as CLIP.

    weights: the file's flat keys, anything with a `.shape` as values.
    """
    for layout in _LAYOUTS:
        depth = _depth(weights, layout.layers)
        patches = shape_of(weights.get(layout.patches))
        projection = shape_of(weights.get(layout.projection))
        if depth and len(patches) == 4 and len(projection) == 2:
            return EncoderSpec.of(depth, patches[0], projection[layout.projection_axis])
    return None


def _depth(weights: Weights, prefix: str) -> int:
    """How many layers there are, counted from their numbers behind a prefix."""
    numbers = (key[len(prefix) :].split(".")[0] for key in weights if key.startswith(prefix))
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)
