"""The kinds of adapters: which image projection each has, what it takes, and what it gets for no
image.

A further family is a row of FAMILIES, a spec with its reader and its test in `projections.py`, and
a projector.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..messages import Predicate
from . import family_inputs, projections
from .features import FeatureSpec, Unconditional
from .projections import ProjectorSpec
from .projector_shapes import ProjectorShapes

Place = tuple[str, int]  # a kind of block, and where in it the image part is added
ATTENTION, AFTER_BLOCK = 0, 1  # to the attention's output, or to the image that the block gives
SD35_LARGE, INSTANTX = "SD3.5 Large", "InstantX"
SD15, SDXL, KOLORS = "SD1.5", "SDXL", "Kolors"


@dataclass(frozen=True, kw_only=True)
class Family:
    """Adapters with one kind of image projection.

    has_shapes: whether a projection can be of this kind; the first row of FAMILIES that says so
    wins. Rows with the same test are twins, which no shape tells apart.
    unconditional: of the feature of an image encoder; a face identity is always zeros.
    purpose: what such an adapter follows, where its shapes say so; "" where only a published name
    does. has_lora: whether it was trained together with one for the model's own attention.
    name_marks: what the names of such files hold, for twins. stored_dtype: in which precision such
    a file is published, where that tells it from its twins. guides_controlnet: whether a ControlNet
    was trained to read its tokens.
    base_model: that the shapes of the projection tell; "" where the width of the tokens does.
    places: where in the model its layers are, in their order; empty for all that a model has.
    has_bias: whether the layers have a bias.
    head_width: of heads whose keys and values are each brought to a mean square of 1; 0: as they
    are. is_projected_as_text: whether the model brings its tokens to the width of the layers, as it
    does with its text.
    """

    kind: str
    has_shapes: Callable[[ProjectorShapes], bool]
    read_projector: Callable[[ProjectorShapes], ProjectorSpec]
    inputs: Callable[[ProjectorSpec], tuple[FeatureSpec, ...]]
    unconditional: Unconditional
    purpose: str = ""
    has_lora: bool = False
    name_marks: tuple[str, ...] = ()
    stored_dtype: torch.dtype | None = None
    guides_controlnet: bool = False
    base_model: str = ""
    places: tuple[Place, ...] = ()
    has_bias: bool = False
    head_width: int = 0
    is_projected_as_text: bool = False

    @property
    def twins(self) -> tuple["Family", ...]:
        """Families of the same shapes, this one among them."""
        return tuple(family for family in FAMILIES if family.has_shapes is self.has_shapes)


def find_family(projector_shapes: ProjectorShapes, twin_kind: str | None = None) -> Family:
    """The family of a projection; of twins that of a kind, else the first. Raises Predicate."""
    for family in FAMILIES:
        if family.has_shapes(projector_shapes):
            return next((twin for twin in family.twins if twin.kind == twin_kind), family)
    raise Predicate("is not an IP-Adapter: it has no image projection of a known kind")


def twin_named(family: Family, file_name: str) -> Family | None:
    """The twin that a file's name speaks of, or else its folder's; None where they say nothing."""
    base_name = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    for name in (base_name, file_name):
        letters = re.sub(r"[^a-z0-9]", "", name.lower())
        for twin in family.twins:
            if any(mark in letters for mark in twin.name_marks):
                return twin
    return None


def family_named(family_kind: str, base_model: str = "") -> Family | None:
    """The family of a kind, as the model table has it; None for what this pack does not run."""
    return next(
        (
            family
            for family in FAMILIES
            if family.kind == family_kind and family.base_model in ("", base_model)
        ),
        None,
    )


ZERO_FEATURES, ZERO_PIXELS = Unconditional.ZERO_FEATURES, Unconditional.ZERO_PIXELS
FACEID, FACEID_PLUS, FACEID_PLUS_V2 = "FaceID", "FaceID plus", "FaceID plus v2"
BLACK_IMAGE = Unconditional.BLACK_IMAGE
FLUX = "FLUX.1"
XLABS = "XLabs"
FLUX_HEAD_WIDTH = 128
FACEID_PORTRAIT, UNNORM, INSTANTID = "FaceID portrait", "FaceID portrait unnorm", "InstantID"
LOOK_PURPOSE, COMPOSITION_PURPOSE = "look", "composition"
FACE_PURPOSE, IDENTITY_PURPOSE = "face", "identity"
FAMILIES = (
    Family(
        kind=XLABS,
        has_shapes=projections.is_xlabs,
        read_projector=projections.read_linear,
        inputs=family_inputs.clip_embeds,
        unconditional=BLACK_IMAGE,
        base_model=FLUX,
        places=(("double", AFTER_BLOCK),),
        has_bias=True,
    ),
    Family(
        kind=INSTANTX,
        has_shapes=projections.is_flux_instantx,
        read_projector=projections.read_identity,
        inputs=family_inputs.pooled_of_siglip,
        unconditional=Unconditional.NOTHING,
        base_model=FLUX,
        places=(("double", ATTENTION), ("single", ATTENTION)),
        head_width=FLUX_HEAD_WIDTH,
    ),
    Family(
        kind="base",
        has_shapes=projections.is_linear,
        read_projector=projections.read_linear,
        inputs=family_inputs.clip_embeds,
        unconditional=ZERO_FEATURES,
    ),
    Family(
        kind=UNNORM,
        has_shapes=projections.is_identity_resampler,
        read_projector=projections.read_identity_resampler,
        inputs=family_inputs.raw_identity,
        unconditional=ZERO_FEATURES,
        purpose=IDENTITY_PURPOSE,
        name_marks=("unnorm", "faceid", "portrait"),
    ),
    Family(
        kind=INSTANTID,
        has_shapes=projections.is_identity_resampler,
        read_projector=projections.read_identity_resampler,
        inputs=family_inputs.instantid_identity,
        unconditional=ZERO_FEATURES,
        purpose=IDENTITY_PURPOSE,
        name_marks=("instantid",),
        stored_dtype=torch.float32,  # its twin in float16
        guides_controlnet=True,
    ),
    Family(
        kind=INSTANTX,
        has_shapes=projections.is_time_resampler,
        read_projector=projections.read_time_resampler,
        inputs=family_inputs.hidden_of_siglip,
        unconditional=ZERO_FEATURES,
        base_model=SD35_LARGE,
    ),
    Family(
        kind="plus",
        has_shapes=projections.is_kolors,
        read_projector=projections.read_resampler,
        inputs=family_inputs.kolors_hidden,
        unconditional=ZERO_PIXELS,
        base_model=KOLORS,
    ),
    Family(
        kind="plus",
        has_shapes=projections.is_resampler,
        read_projector=projections.read_resampler,
        inputs=family_inputs.clip_hidden,
        unconditional=ZERO_PIXELS,
    ),
    Family(
        kind="full-face",
        has_shapes=projections.is_mlp,
        read_projector=projections.read_mlp,
        inputs=family_inputs.clip_hidden,
        unconditional=ZERO_PIXELS,
        purpose=FACE_PURPOSE,
    ),
    Family(
        kind=FACEID_PLUS,
        has_shapes=projections.is_kolors_face,
        read_projector=projections.read_face_plus_v2,
        inputs=family_inputs.raw_identity_and_square,
        unconditional=ZERO_FEATURES,
        purpose=IDENTITY_PURPOSE,
        base_model=KOLORS,
        is_projected_as_text=True,
    ),
    Family(
        kind=FACEID_PLUS_V2,
        has_shapes=projections.is_face_plus,
        read_projector=projections.read_face_plus_v2,
        inputs=family_inputs.identity_and_crop,
        unconditional=ZERO_PIXELS,
        purpose=IDENTITY_PURPOSE,
        has_lora=True,
        name_marks=("plusv2",),
    ),
    Family(
        kind=FACEID_PLUS,
        has_shapes=projections.is_face_plus,
        read_projector=projections.read_face_plus,
        inputs=family_inputs.identity_and_crop,
        unconditional=ZERO_PIXELS,
        purpose=IDENTITY_PURPOSE,
        has_lora=True,
        name_marks=("plus",),
    ),
    Family(
        kind=FACEID_PORTRAIT,
        has_shapes=projections.is_portrait,
        read_projector=projections.read_identity,
        inputs=family_inputs.identity,
        unconditional=ZERO_FEATURES,
        purpose=IDENTITY_PURPOSE,
    ),
    Family(
        kind=FACEID,
        has_shapes=projections.is_identity,
        read_projector=projections.read_identity,
        inputs=family_inputs.identity,
        unconditional=ZERO_FEATURES,
        purpose=IDENTITY_PURPOSE,
        has_lora=True,
    ),
)
