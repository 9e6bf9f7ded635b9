"""Image projections by the shapes of their tensors: a frozen spec for each kind with its reader,
and for each row of `families.py` whether a projection is of that kind.

https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py
https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter_faceid.py
"""

from dataclasses import dataclass, replace

from ..messages import Predicate
from .projector_shapes import ProjectorShapes

HEAD_WIDTH = 64  # of the Resampler, in every published file
IDENTITY_WIDTH = 512  # of a face embedding
SIGLIP_WIDTH = 1152  # of what SigLIP gives
PORTRAIT_TOKENS = 16
KOLORS_WIDTHS = (2048, 1024)  # of the queries, and of the encoder's output


@dataclass(frozen=True)
class LinearSpec:
    """One Linear and a LayerNorm: an embedding becomes `token_count` tokens."""

    feature_width: int
    token_count: int
    token_width: int


@dataclass(frozen=True)
class MLPSpec:
    """A small MLP on every token of the encoder: as many tokens as the encoder has."""

    feature_width: int
    hidden_width: int
    token_width: int


@dataclass(frozen=True)
class ResamplerSpec:
    """A Perceiver resampler with `token_count` learned queries."""

    feature_width: int
    token_count: int
    token_width: int
    query_width: int
    layer_count: int
    head_count: int
    hidden_width: int


@dataclass(frozen=True)
class IdentityResamplerSpec(ResamplerSpec):
    """The same for a face embedding, as a sequence of one."""


@dataclass(frozen=True)
class TimeResamplerSpec(ResamplerSpec):
    """One whose tokens depend on the timestep too, as waves of `time_width` values."""

    time_width: int


@dataclass(frozen=True)
class IdentitySpec:
    """A small MLP: a face embedding becomes `token_count` tokens."""

    feature_width: int
    hidden_width: int
    token_count: int
    token_width: int


@dataclass(frozen=True)
class FacePlusSpec:
    """Tokens of the identity are the queries of a Perceiver that looks at the face's picture.

    adds_identity: whether its result is added to these tokens, or stands in their place.
    """

    identity: IdentitySpec
    perceiver: ResamplerSpec
    adds_identity: bool

    @property
    def feature_width(self) -> int:
        return self.perceiver.feature_width

    @property
    def token_count(self) -> int:
        return self.identity.token_count

    @property
    def token_width(self) -> int:
        return self.identity.token_width


ProjectorSpec = (
    LinearSpec
    | MLPSpec
    | ResamplerSpec
    | IdentityResamplerSpec
    | TimeResamplerSpec
    | IdentitySpec
    | FacePlusSpec
)


def read_linear(projector_shapes: ProjectorShapes) -> LinearSpec:
    row_count, feature_width = projector_shapes.sizes("proj.weight", 2)
    (token_width,) = projector_shapes.sizes("norm.weight", 1)
    return LinearSpec(feature_width, _token_count(row_count, token_width), token_width)


def _token_count(row_count: int, token_width: int) -> int:
    if row_count % token_width:
        raise Predicate(
            "is damaged: its <1> rows do not divide into tokens of width <2>",
            row_count,
            token_width,
        )
    return row_count // token_width


def read_resampler(projector_shapes: ProjectorShapes) -> ResamplerSpec:
    _, token_count, query_width = projector_shapes.sizes("latents", 3)
    return _read_perceiver(projector_shapes, token_count, query_width)


def _read_perceiver(
    projector_shapes: ProjectorShapes,
    token_count: int,
    query_width: int,
) -> ResamplerSpec:
    layer_keys = (key for key in projector_shapes.shapes if key.startswith("layers."))
    layer_numbers = {key.split(".")[1] for key in layer_keys}
    return ResamplerSpec(
        feature_width=projector_shapes.sizes("proj_in.weight", 2)[1],
        token_count=token_count,
        token_width=projector_shapes.sizes("proj_out.weight", 2)[0],
        query_width=query_width,
        layer_count=len(layer_numbers),
        head_count=projector_shapes.sizes("layers.0.0.to_q.weight", 2)[0] // HEAD_WIDTH,
        hidden_width=projector_shapes.sizes("layers.0.1.1.weight", 2)[0],
    )


def read_time_resampler(projector_shapes: ProjectorShapes) -> TimeResamplerSpec:
    time_width = projector_shapes.sizes("time_embedding.linear_1.weight", 2)[1]
    return TimeResamplerSpec(**vars(read_resampler(projector_shapes)), time_width=time_width)


def read_identity_resampler(projector_shapes: ProjectorShapes) -> ResamplerSpec:
    return IdentityResamplerSpec(**vars(read_resampler(projector_shapes)))


def read_mlp(projector_shapes: ProjectorShapes) -> MLPSpec:
    hidden_width, feature_width = projector_shapes.sizes("proj.0.weight", 2)
    return MLPSpec(feature_width, hidden_width, projector_shapes.sizes("proj.2.weight", 2)[0])


def read_identity(projector_shapes: ProjectorShapes) -> IdentitySpec:
    hidden_width, feature_width = projector_shapes.sizes("proj.0.weight", 2)
    row_count, _ = projector_shapes.sizes("proj.2.weight", 2)
    (token_width,) = projector_shapes.sizes("norm.weight", 1)
    token_count = _token_count(row_count, token_width)
    return IdentitySpec(
        feature_width=feature_width,
        hidden_width=hidden_width,
        token_count=token_count,
        token_width=token_width,
    )


def read_face_plus(projector_shapes: ProjectorShapes) -> FacePlusSpec:
    identity = read_identity(projector_shapes)
    perceiver_shapes = projector_shapes.below("perceiver_resampler.")
    query_width = perceiver_shapes.sizes("proj_in.weight", 2)[0]
    if query_width != identity.token_width:
        raise Predicate(
            "is damaged: its projection makes tokens of width <1>, its perceiver has width <2>",
            identity.token_width,
            query_width,
        )
    perceiver = _read_perceiver(perceiver_shapes, identity.token_count, query_width)
    return FacePlusSpec(identity, perceiver, adds_identity=False)


def read_face_plus_v2(projector_shapes: ProjectorShapes) -> FacePlusSpec:
    return replace(read_face_plus(projector_shapes), adds_identity=True)


def is_linear(projector_shapes: ProjectorShapes) -> bool:
    return "proj.weight" in projector_shapes.shapes


def is_xlabs(projector_shapes: ProjectorShapes) -> bool:
    return is_linear(projector_shapes) and projector_shapes.has_biased_layers


def is_flux_instantx(projector_shapes: ProjectorShapes) -> bool:
    if not is_identity(projector_shapes):
        return False
    return read_identity(projector_shapes).feature_width == SIGLIP_WIDTH


def is_identity_resampler(projector_shapes: ProjectorShapes) -> bool:
    first_shape = projector_shapes.shapes.get("proj_in.weight", ())
    return is_resampler(projector_shapes) and first_shape[1:] == (IDENTITY_WIDTH,)


def is_resampler(projector_shapes: ProjectorShapes) -> bool:
    return "latents" in projector_shapes.shapes


def is_kolors(projector_shapes: ProjectorShapes) -> bool:
    latents, first_shape = (
        projector_shapes.shapes.get(key, ()) for key in ("latents", "proj_in.weight")
    )
    return len(latents) == 3 and (latents[2], *first_shape[1:]) == KOLORS_WIDTHS


def is_time_resampler(projector_shapes: ProjectorShapes) -> bool:
    return "time_embedding.linear_1.weight" in projector_shapes.shapes


def is_mlp(projector_shapes: ProjectorShapes) -> bool:
    return "proj.3.weight" in projector_shapes.shapes


def is_face_plus(projector_shapes: ProjectorShapes) -> bool:
    return "perceiver_resampler.proj_in.weight" in projector_shapes.shapes


def is_kolors_face(projector_shapes: ProjectorShapes) -> bool:
    first_shape = projector_shapes.shapes.get("perceiver_resampler.proj_in.weight", ())
    return first_shape[1:] == KOLORS_WIDTHS[1:]


def is_portrait(projector_shapes: ProjectorShapes) -> bool:
    if not is_identity(projector_shapes):
        return False
    return read_identity(projector_shapes).token_count == PORTRAIT_TOKENS


def is_identity(projector_shapes: ProjectorShapes) -> bool:
    return {"proj.0.weight", "norm.weight"} <= projector_shapes.shapes.keys()
