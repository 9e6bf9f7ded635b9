"""Which image encoder a file holds, by keys and shapes alone.

The two layouts are those the host loads: `transformers` (`vision_model.*`) and OpenCLIP
(`visual.*`).
"""

from dataclasses import dataclass

from ..messages import Message
from .checkpoint import AdapterSpec
from .features import (
    CLIP_BIGG,
    CLIP_H,
    CLIP_L,
    CLIP_L_336,
    CLIP_L_336_TOKENS,
    SIGLIP,
    SIGLIP_TOKENS,
    FeatureSpec,
    Source,
)
from .layout import Weights, shape_of

_NAMES = {
    (32, 1280, 1024): CLIP_H,
    (48, 1664, 1280): CLIP_BIGG,
    (24, 1024, 768): CLIP_L,
}
_NAMES_BY_TOKENS = {(CLIP_L, CLIP_L_336_TOKENS): CLIP_L_336}
# without a projection, so that its embeds are no output that an adapter takes
_SIGLIP_SIZES = (27, 1152, SIGLIP_TOKENS)  # layers, width, tokens
_PUBLISHED_NAMES = {*_NAMES.values(), *_NAMES_BY_TOKENS.values(), SIGLIP}


@dataclass(frozen=True)
class EncoderSpec:
    """Widths of an encoder's two outputs, and how it is called."""

    name: str
    hidden_width: int
    projection_width: int  # of image_embeds

    @classmethod
    def of(
        cls, layer_count: int, hidden_width: int, projection_width: int, token_count: int
    ) -> "EncoderSpec":
        """token_count: the class and the patches of an image, as many as it has positions."""
        unknown_name = Message(
            "a vision encoder with <1> layers of width <2>", layer_count, hidden_width
        )
        encoder_name = _NAMES.get((layer_count, hidden_width, projection_width), unknown_name)
        encoder_name = _NAMES_BY_TOKENS.get((encoder_name, token_count), encoder_name)
        if not projection_width and (layer_count, hidden_width, token_count) == _SIGLIP_SIZES:
            encoder_name = SIGLIP
        return cls(encoder_name, hidden_width, projection_width)

    def fits(self, adapter: AdapterSpec) -> bool:
        """Whether it gives what the adapter was made for."""
        return adapter.clip_input is not None and self.gives(adapter.clip_input)

    def gives(self, feature: FeatureSpec) -> bool:
        """Whether a feature is an output of it; the same width alone can be another encoder's."""
        is_published = feature.encoder in _PUBLISHED_NAMES
        return self._width_of(feature.source) == feature.width and (
            self.name == feature.encoder or not is_published
        )

    def _width_of(self, source: Source) -> int:
        """The width of one of its outputs; 0 for a feature that no image encoder gives."""
        match source:
            case Source.CLIP_EMBEDS:
                return self.projection_width
            case Source.CLIP_HIDDEN | Source.SIGLIP_POOLED:
                return self.hidden_width
            case Source.FACE_IDENTITY:
                return 0


@dataclass(frozen=True)
class _Layout:
    """Where a kind of encoder file has what tells its widths and depth."""

    patches: str
    positions: str
    layers: str
    projection: str
    projection_axis: int


_LAYOUTS = (
    _Layout(
        patches="vision_model.embeddings.patch_embedding.weight",
        positions="vision_model.embeddings.position_embedding.weight",
        layers="vision_model.encoder.layers.",
        projection="visual_projection.weight",
        projection_axis=0,
    ),
    _Layout(
        patches="visual.conv1.weight",
        positions="visual.positional_embedding",
        layers="visual.transformer.resblocks.",
        projection="visual.proj",
        projection_axis=1,
    ),
)


def read_encoder(stored_weights: Weights) -> EncoderSpec | None:
    """The encoder in a file, or None if there is none that the host would load as CLIP or SigLIP.

    stored_weights: the file's flat keys, anything with a `.shape` as values.
    """
    for layout in _LAYOUTS:
        layer_count = _layer_count(stored_weights, layout.layers)
        patch_shape = shape_of(stored_weights.get(layout.patches))
        projection_shape = shape_of(stored_weights.get(layout.projection))
        token_count, *_ = shape_of(stored_weights.get(layout.positions)) or (0,)
        is_siglip = (layer_count, *patch_shape[:1], token_count) == _SIGLIP_SIZES
        has_projection = len(projection_shape) == 2
        if layer_count and len(patch_shape) == 4 and (has_projection or is_siglip):
            projection_width = projection_shape[layout.projection_axis] if has_projection else 0
            return EncoderSpec.of(layer_count, patch_shape[0], projection_width, token_count)
    return None


def _layer_count(stored_weights: Weights, layer_prefix: str) -> int:
    """How many layers there are, counted from their numbers behind a prefix."""
    layer_keys = (key for key in stored_weights if key.startswith(layer_prefix))
    layer_texts = (key[len(layer_prefix) :].split(".")[0] for key in layer_keys)
    # Python reads no number of thousands of digits
    layer_numbers = (text for text in layer_texts if text.isdecimal() and len(text) < 10)
    return 1 + max(map(int, layer_numbers), default=-1)
