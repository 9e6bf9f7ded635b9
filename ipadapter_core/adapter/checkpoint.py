"""What an adapter file is: its keys and shapes become one frozen `AdapterSpec`, decided once.

IP-Adapter, Ye et al. 2023: https://arxiv.org/abs/2308.06721
Key layout: https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py

The file's name never counts. A further family of adapters is a row of FAMILIES and a projector.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..messages import Message, Predicate, printable
from .features import FeatureSpec, Source, Unconditional, clip_feature
from .foreign import refuse_foreign
from .layout import Shape, Weights, flatten, plain_names, shapes_of

HEAD_WIDTH = 64  # of the Resampler, in every published file
SDXL_TEXT_WIDTH = 2048
BASE_MODELS = {768: "SD1.5", 1024: "SD2.x", SDXL_TEXT_WIDTH: "SDXL"}  # by the width of their text
_LAYER_KEY = re.compile(r"ip_adapter\.(\d{1,9})\.to_([kv])_ip\.weight")
Layers = tuple[tuple[int, int], ...]  # (index in the file, inner width), in the file's order


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


ProjectorSpec = LinearSpec | MLPSpec | ResamplerSpec


@dataclass(frozen=True)
class Family:
    """Adapters with one kind of image projection. `mark`: a tensor that no other projection has.

    purpose: what such an adapter follows, where its shapes say so; "" where only a published name
    does.
    """

    kind: str
    mark: str
    read_projector: Callable[["ProjectorShapes"], ProjectorSpec]
    inputs: Callable[[ProjectorSpec], tuple[FeatureSpec, ...]]
    unconditional: Unconditional
    purpose: str = ""


@dataclass(frozen=True)
class AdapterSpec:
    """All that the rest of the pack has to know of an adapter file."""

    family: Family
    inputs: tuple[FeatureSpec, ...]
    projector: ProjectorSpec
    layers: Layers
    text_width: int

    @property
    def kind(self) -> str:
        return self.family.kind

    @property
    def unconditional(self) -> Unconditional:
        return self.family.unconditional

    @property
    def is_sdxl(self) -> bool:
        return self.text_width == SDXL_TEXT_WIDTH

    @property
    def base_model(self) -> str:
        unknown_model = Message("a model with text width <1>", self.text_width)
        return BASE_MODELS.get(self.text_width, unknown_model)

    @property
    def clip_input(self) -> FeatureSpec:
        """The feature of an image encoder."""
        return self.inputs[0]

    @property
    def encoder(self) -> str:
        return self.clip_input.encoder

    @property
    def tokens(self) -> str:
        if isinstance(self.projector, MLPSpec):
            return Message("one token per patch")
        return Message("<1> tokens", self.projector.token_count)

    def describe(self) -> str:
        return Message(
            "<1> <2>, <3>, needs <4>", self.base_model, self.kind, self.tokens, self.encoder
        )


def read_spec(stored_weights: Weights) -> AdapterSpec:
    """Recognise an adapter by the keys and shapes of its tensors.

    stored_weights: flat or nested, anything with a `.shape` as values.
    Raises Predicate, which says what the file is instead.
    """
    tensor_shapes = shapes_of(flatten(stored_weights))
    refuse_foreign(list(plain_names(stored_weights)), tensor_shapes)
    projector_shapes = ProjectorShapes(tensor_shapes)
    family = next((family for family in FAMILIES if family.mark in projector_shapes.shapes), None)
    if family is None:
        raise Predicate("is no IP-Adapter: it has no image projection of a known kind")
    projector = family.read_projector(projector_shapes)
    layers, text_width = _read_layers(tensor_shapes)
    if projector.token_width != text_width:
        raise Predicate(
            "is damaged: its projection makes tokens of width <1>, its layers expect <2>",
            projector.token_width,
            text_width,
        )
    return AdapterSpec(family, family.inputs(projector), projector, layers, text_width)


def family_named(family_kind: str) -> Family | None:
    """The family of a kind, as the model table has it; None for what this pack does not run."""
    return next((family for family in FAMILIES if family.kind == family_kind), None)


class ProjectorShapes:
    """The shapes of an image projection, by key."""

    def __init__(self, tensor_shapes: Mapping[str, Shape]):
        prefix = "image_proj."
        self.shapes = {
            tensor_key.removeprefix(prefix): tensor_shape
            for tensor_key, tensor_shape in tensor_shapes.items()
            if tensor_key.startswith(prefix)
        }

    def sizes(self, tensor_key: str, axis_count: int) -> Shape:
        """The shape of a tensor that must be there with so many axes."""
        tensor_shape = self.shapes.get(tensor_key)
        if tensor_shape is None or len(tensor_shape) != axis_count or 0 in tensor_shape:
            raise Predicate(
                "is damaged: 'image_proj.<1>' is <2>",
                tensor_key,
                tensor_shape if tensor_shape is not None else "missing",
            )
        return tensor_shape


def _read_linear(projector_shapes: ProjectorShapes) -> LinearSpec:
    row_count, feature_width = projector_shapes.sizes("proj.weight", 2)
    (token_width,) = projector_shapes.sizes("norm.weight", 1)
    if row_count % token_width:
        raise Predicate(
            "is damaged: <1> rows do not make tokens of width <2>", row_count, token_width
        )
    return LinearSpec(feature_width, row_count // token_width, token_width)


def _read_resampler(projector_shapes: ProjectorShapes) -> ResamplerSpec:
    _, token_count, query_width = projector_shapes.sizes("latents", 3)
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


def _read_mlp(projector_shapes: ProjectorShapes) -> MLPSpec:
    hidden_width, feature_width = projector_shapes.sizes("proj.0.weight", 2)
    return MLPSpec(feature_width, hidden_width, projector_shapes.sizes("proj.2.weight", 2)[0])


def _clip_embeds(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    return (clip_feature(Source.CLIP_EMBEDS, projector.feature_width),)


def _clip_hidden(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    return (clip_feature(Source.CLIP_HIDDEN, projector.feature_width),)


FAMILIES = (
    Family("base", "proj.weight", _read_linear, _clip_embeds, Unconditional.ZERO_FEATURES),
    Family("plus", "latents", _read_resampler, _clip_hidden, Unconditional.ZERO_PIXELS),
    Family(
        "full-face", "proj.3.weight", _read_mlp, _clip_hidden, Unconditional.ZERO_PIXELS, "face"
    ),
)


def _read_layers(tensor_shapes: Mapping[str, Shape]) -> tuple[Layers, int]:
    """The layers and the width of the tokens that all of them take."""
    layer_shapes = _key_value_shapes(tensor_shapes)
    for layer_index, key_value_shapes in layer_shapes.items():
        key_shape, value_shape = key_value_shapes.get("k"), key_value_shapes.get("v")
        if key_shape is None or key_shape != value_shape or len(key_shape) != 2:
            raise Predicate(
                "is damaged: key and value of layer <1> do not belong together", layer_index
            )
    if not layer_shapes:
        raise Predicate("is damaged: it has no 'to_k_ip' layers")
    token_widths = {key_value_shapes["k"][1] for key_value_shapes in layer_shapes.values()}
    if len(token_widths) != 1:
        raise Predicate("is damaged: its layers expect tokens of different widths")
    layers = tuple((index, layer_shapes[index]["k"][0]) for index in sorted(layer_shapes))
    return layers, token_widths.pop()


def _key_value_shapes(tensor_shapes: Mapping[str, Shape]) -> dict[int, dict[str, Shape]]:
    """Index of a layer -> {"k": shape, "v": shape}."""
    layer_shapes: dict[int, dict[str, Shape]] = {}
    for tensor_key, tensor_shape in tensor_shapes.items():
        key_match = _LAYER_KEY.fullmatch(tensor_key)
        if key_match:
            layer_shapes.setdefault(int(key_match[1]), {})[key_match[2]] = tensor_shape
        elif tensor_key.startswith("ip_adapter."):
            raise Predicate(
                "holds the tensor '<1>', which no known adapter has", printable(tensor_key)
            )
    return layer_shapes
