"""What an adapter can take of a reference: which output, of which encoder, of which part of the
image.

Encoder matching, pair checks, embeds files and the Doctor read these; nobody else asks what an
adapter needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from ..messages import Message


class Source(Enum):
    """Where a feature comes from; the value is its usual name on links and in embeds files.

    Those of CLIP are named as the host's outputs are; a face identity is what a recogniser gives.
    """

    CLIP_EMBEDS = "image_embeds"
    CLIP_HIDDEN = "penultimate_hidden_states"
    FACE_IDENTITY = "face_identity"

    @property
    def axes(self) -> int:
        """How many axes a batch of it has: [N, E], or [N, S, E] where each image has a sequence."""
        return 3 if self is Source.CLIP_HIDDEN else 2


class Picture(Enum):
    """Which part of a reference is encoded."""

    WHOLE = "the whole reference"
    FACE_CROP = "a crop around the face"
    ALIGNED_CROP = "a crop in which eyes and mouth stand where the recogniser expects them"


class Unconditional(Enum):
    """What the unconditional side gets where no negative reference is connected, of the feature of
    an image encoder. A face identity is always zeros there, also beside such a feature.
    """

    ZERO_FEATURES = "features of zeros"
    ZERO_PIXELS = "the encoder's output for normalised pixels of zero"
    BLACK_IMAGE = "the encoder's output for a black image"
    NOTHING = "no image part at all"


@dataclass(frozen=True)
class FeatureSpec:
    """One feature that an adapter takes. `name`: how references and embeds files call it.

    encoder: who makes it, in words; of a face identity the space of its recogniser.
    """

    name: str
    source: Source
    width: int
    encoder: str
    picture: Picture = Picture.WHOLE
    is_normalised: bool = False  # whether the vector is brought to length 1 first


EMBEDS, HIDDEN = Source.CLIP_EMBEDS.value, Source.CLIP_HIDDEN.value
CLIP_L, CLIP_H, CLIP_BIGG = "CLIP ViT-L/14", "CLIP ViT-H/14", "CLIP ViT-bigG/14"
WEBFACE_R50, GLINT_R100 = "w600k_r50", "glintr100"  # face recognisers, by the names of their files
ENCODERS: Mapping[tuple[Source, int], str] = {
    (Source.CLIP_EMBEDS, 768): CLIP_L,
    (Source.CLIP_EMBEDS, 1024): CLIP_H,
    (Source.CLIP_EMBEDS, 1280): CLIP_BIGG,
    (Source.CLIP_HIDDEN, 1024): CLIP_L,
    (Source.CLIP_HIDDEN, 1280): CLIP_H,
    (Source.CLIP_HIDDEN, 1664): CLIP_BIGG,
}


def clip_feature(
    source: Source, width: int, picture: Picture = Picture.WHOLE, is_normalised: bool = False
) -> FeatureSpec:
    """An output of a CLIP vision encoder, which its width tells."""
    encoder = ENCODERS.get((source, width), Message("an encoder with <1> features", width))
    return FeatureSpec(source.value, source, width, encoder, picture, is_normalised)


def identity_feature(width: int, recogniser: str, is_normalised: bool) -> FeatureSpec:
    """The embedding of a face that stands aligned in its crop."""
    identity = Source.FACE_IDENTITY
    return FeatureSpec(
        identity.value, identity, width, recogniser, Picture.ALIGNED_CROP, is_normalised
    )
