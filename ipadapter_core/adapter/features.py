"""The features of a reference that adapters take: the encoder, its output, the part of the image.

Encoder matching, pair checks, embeds files and the Doctor read these; nobody else asks what an
adapter needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from ..messages import Message


class Source(Enum):
    """Where a feature comes from; the value is its usual name on links and in embeds files.

    Those of CLIP are named as the host's outputs are; a face identity is what a recogniser gives,
    and SigLIP's pooled output what its pooling head makes of the host's output.
    """

    CLIP_EMBEDS = "image_embeds"
    CLIP_HIDDEN = "penultimate_hidden_states"
    SIGLIP_POOLED = "siglip_pooled"
    FACE_IDENTITY = "face_identity"

    @property
    def axes(self) -> int:
        """How many axes a batch of it has: [N, E], or [N, S, E] where each image has a sequence."""
        match self:
            case Source.CLIP_HIDDEN:
                return 3
            case Source.CLIP_EMBEDS | Source.SIGLIP_POOLED | Source.FACE_IDENTITY:
                return 2

    @property
    def is_identity(self) -> bool:
        """Whether a face recogniser gives it, not an image encoder."""
        match self:
            case Source.FACE_IDENTITY:
                return True
            case Source.CLIP_EMBEDS | Source.CLIP_HIDDEN | Source.SIGLIP_POOLED:
                return False


class Picture(Enum):
    """Which part of a reference is encoded."""

    WHOLE = "the whole reference"
    FACE_CROP = "a crop around the face"
    ALIGNED_CROP = "a crop in which eyes and mouth stand where the recogniser expects them"
    FACE_SQUARE = "the square around the face's box, as upright as the reference is"


class Unconditional(Enum):
    """The unconditional features where no negative reference is connected, of an image encoder. A
    face identity is always zeros there, also beside another feature.
    """

    ZERO_FEATURES = "features of zeros"
    ZERO_PIXELS = "the encoder's output for normalised pixels of zero"
    BLACK_IMAGE = "the encoder's output for a black image"
    NOTHING = "no image part at all"


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """One feature that an adapter takes. `name`: how references and embeds files call it.

    encoder: who makes it, in words; of a face identity the space of its recogniser.
    sequence_length: where it tells encoders of equal widths apart; 0: any.
    """

    name: str
    source: Source
    width: int
    encoder: str
    picture: Picture = Picture.WHOLE
    is_normalised: bool = False  # whether the vector is brought to length 1 first
    sequence_length: int = 0

    def has_shape(self, shape: tuple[int, ...]) -> bool:
        """Whether a batch of features of that shape can be this one's."""
        return shape[-1:] == (self.width,) and self.sequence_length in (0, *shape[1:2])


EMBEDS, HIDDEN = Source.CLIP_EMBEDS.value, Source.CLIP_HIDDEN.value
CLIP_L, CLIP_H, CLIP_BIGG = "CLIP ViT-L/14", "CLIP ViT-H/14", "CLIP ViT-bigG/14"
CLIP_L_336, SIGLIP = "CLIP ViT-L/14-336", "SigLIP so400m/14-384"
CLIP_L_336_TOKENS = 577  # 24 x 24 patches and the class; at 224 pixels there are 257
SIGLIP_TOKENS = 729  # 27 x 27 patches
WEBFACE_R50, GLINT_R100 = "w600k_r50", "glintr100"  # face recognisers, by the names of their files
ENCODER_NAMES: Mapping[tuple[Source, int], str] = {
    (Source.CLIP_EMBEDS, 768): CLIP_L,
    (Source.CLIP_EMBEDS, 1024): CLIP_H,
    (Source.CLIP_EMBEDS, 1280): CLIP_BIGG,
    (Source.CLIP_HIDDEN, 1024): CLIP_L,
    (Source.CLIP_HIDDEN, 1280): CLIP_H,
    (Source.CLIP_HIDDEN, 1664): CLIP_BIGG,
    (Source.CLIP_HIDDEN, 1152): SIGLIP,
    (Source.SIGLIP_POOLED, 1152): SIGLIP,
}


def clip_feature(source: Source, width: int, picture: Picture = Picture.WHOLE) -> FeatureSpec:
    """An output of a CLIP vision encoder, which its width tells."""
    encoder = ENCODER_NAMES.get((source, width), Message("an encoder with <1> features", width))
    return FeatureSpec(
        name=source.value,
        source=source,
        width=width,
        encoder=encoder,
        picture=picture,
    )


def kolors_feature(width: int, picture: Picture = Picture.WHOLE) -> FeatureSpec:
    """The output of CLIP ViT-L/14 at 336 pixels that Kolors takes."""
    feature = clip_feature(Source.CLIP_HIDDEN, width, picture)
    return replace(feature, encoder=CLIP_L_336, sequence_length=CLIP_L_336_TOKENS)


def siglip_hidden(width: int) -> FeatureSpec:
    """Every patch that SigLIP gives before its last layer."""
    return replace(clip_feature(Source.CLIP_HIDDEN, width), sequence_length=SIGLIP_TOKENS)


def siglip_pooled(width: int) -> FeatureSpec:
    """The output of SigLIP's pooling head."""
    pooled = Source.SIGLIP_POOLED
    return FeatureSpec(name=pooled.value, source=pooled, width=width, encoder=SIGLIP)


def encoder_of(source: Source, shape: tuple[int, ...]) -> str | None:
    """The encoder that gives features of that shape, as far as it tells; None for an unknown
    one.
    """
    encoder = ENCODER_NAMES.get((source, shape[-1]))
    is_sequence = len(shape) == source.axes == 3
    if encoder == CLIP_L and is_sequence and shape[1] == CLIP_L_336_TOKENS:
        return CLIP_L_336
    return encoder


def encoder_of_outputs(hidden_shape: tuple[int, ...], embeds_shape: tuple[int, ...]) -> str | None:
    """The encoder that gives both, hidden states and embeds; None for an unknown one."""
    encoder = encoder_of(Source.CLIP_HIDDEN, hidden_shape)
    # embeds have no sequence that tells CLIP ViT-L/14 from the same at 336 pixels
    encoder_of_embeds = CLIP_L if encoder == CLIP_L_336 else encoder
    is_same = encoder_of(Source.CLIP_EMBEDS, embeds_shape) == encoder_of_embeds
    return encoder if is_same else None


def identity_feature(width: int, recogniser: str, is_normalised: bool) -> FeatureSpec:
    """The embedding of a face that stands aligned in its crop."""
    identity = Source.FACE_IDENTITY
    return FeatureSpec(
        name=identity.value,
        source=identity,
        width=width,
        encoder=recogniser,
        picture=Picture.ALIGNED_CROP,
        is_normalised=is_normalised,
    )
