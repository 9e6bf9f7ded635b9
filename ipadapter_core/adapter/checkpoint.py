"""The kind of an adapter file: its keys and shapes become one frozen `AdapterSpec`.

IP-Adapter, Ye et al. 2023: https://arxiv.org/abs/2308.06721
Key layout: https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py

The file's name never counts here. A further family of adapters is a row of FAMILIES in
`families.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..messages import Message, Predicate, printable
from .families import KOLORS, SD15, SDXL, Family, find_family
from .features import FeatureSpec, Unconditional
from .foreign import refuse_foreign
from .layout import Shape, Weights, flatten, plain_names, shapes_of
from .lora import LoraSpec, is_lora_key, read_lora_spec
from .projections import MLPSpec, ProjectorSpec, TimeResamplerSpec
from .projector_shapes import LAYER_BIAS, ProjectorShapes

SDXL_TEXT_WIDTH = 2048
FACE_CROP_SIDE = 224
BASE_MODELS = {768: SD15, 1024: "SD2.x", SDXL_TEXT_WIDTH: SDXL}  # by the width of their text
_LAYER_KEY = re.compile(r"ip_adapter\.(\d{1,9})\.to_([kv])_ip\.weight")
_JOINT_LAYER_KEY = re.compile(
    r"ip_adapter\.\d{1,9}\.(?:norm_ip\.linear\.(?:weight|bias)|norm_(?:q|k|ip_k)\.weight)"
)
Layers = tuple[tuple[int, int], ...]  # (index in the file, inner width), in the file's order


@dataclass(frozen=True, kw_only=True)
class AdapterSpec:
    """All that the rest of the pack has to know of an adapter file."""

    family: Family
    inputs: tuple[FeatureSpec, ...]
    projector: ProjectorSpec
    layers: Layers
    text_width: int
    lora: LoraSpec | None = None  # that the file brings with it

    @property
    def kind(self) -> str:
        return self.family.kind

    @property
    def unconditional(self) -> Unconditional:
        return self.family.unconditional

    @property
    def is_sdxl(self) -> bool:
        return self.base_model == SDXL

    @property
    def base_model(self) -> str:
        return self.family.base_model or base_model_of(self.text_width)

    @property
    def depends_on_time(self) -> bool:
        """Whether image tokens are others at each timestep."""
        return isinstance(self.projector, TimeResamplerSpec)

    @property
    def clip_input(self) -> FeatureSpec | None:
        """The feature of an image encoder; None where the adapter takes a face identity alone."""
        return next((feature for feature in self.inputs if not _is_identity(feature)), None)

    @property
    def identity_input(self) -> FeatureSpec | None:
        """The embedding of a face, for adapters that take one."""
        return next(filter(_is_identity, self.inputs), None)

    @property
    def face_crop_side(self) -> int:
        """Of a face for the image encoder, in pixels, as IPAdapter_plus cuts it."""
        return {SDXL: 256, KOLORS: 336}.get(self.base_model, FACE_CROP_SIDE)

    @property
    def encoder(self) -> str:
        """The image encoder by name; empty for an adapter that takes none."""
        return self.clip_input.encoder if self.clip_input else ""

    @property
    def needs(self) -> str:
        """The encoders of its inputs, in words."""
        if self.identity_input is None:
            return self.encoder
        recogniser = Message("the face recogniser <1>", self.identity_input.encoder)
        return Message("<1> and <2>", recogniser, self.encoder) if self.clip_input else recogniser

    @property
    def tokens(self) -> str:
        if isinstance(self.projector, MLPSpec):
            return Message("one token per patch")
        return Message("<1> tokens", self.projector.token_count)

    def describe(self) -> str:
        return Message(
            "<1> <2>, <3>, needs <4>", self.base_model, self.kind, self.tokens, self.needs
        )


def base_model_of(text_width: int) -> str:
    """The base model of UNets, by the width of their text."""
    return BASE_MODELS.get(text_width, Message("a model with text width <1>", text_width))


def read_spec(stored_weights: Weights, twin_kind: str | None = None) -> AdapterSpec:
    """Recognise an adapter by the keys and shapes of its tensors.

    stored_weights: flat or nested, anything with a `.shape` as values.
    twin_kind: which it is of the families that no shape tells apart; others ignore it.
    Raises Predicate, which says what the file is instead.
    """
    tensor_shapes = shapes_of(flatten(stored_weights))
    refuse_foreign(list(plain_names(stored_weights)), tensor_shapes)
    projector_shapes = ProjectorShapes(tensor_shapes)
    family = find_family(projector_shapes, twin_kind)
    projector = family.read_projector(projector_shapes)
    layers, text_width = _read_layers(tensor_shapes)
    if projector.token_width != text_width and not family.is_projected_as_text:
        raise Predicate(
            "is damaged: its projection makes tokens of width <1>, its layers expect <2>",
            projector.token_width,
            text_width,
        )
    return AdapterSpec(
        family=family,
        inputs=family.inputs(projector),
        projector=projector,
        layers=layers,
        text_width=text_width,
        lora=read_lora_spec(tensor_shapes, layers, text_width),
    )


def _is_identity(feature: FeatureSpec) -> bool:
    return feature.source.is_identity


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


def _is_known(tensor_key: str) -> bool:
    patterns = (LAYER_BIAS, _JOINT_LAYER_KEY)
    return is_lora_key(tensor_key) or any(pattern.fullmatch(tensor_key) for pattern in patterns)


def _key_value_shapes(tensor_shapes: Mapping[str, Shape]) -> dict[int, dict[str, Shape]]:
    """Index of a layer -> {"k": shape, "v": shape}."""
    layer_shapes: dict[int, dict[str, Shape]] = {}
    for tensor_key, tensor_shape in tensor_shapes.items():
        key_match = _LAYER_KEY.fullmatch(tensor_key)
        if key_match:
            layer_shapes.setdefault(int(key_match[1]), {})[key_match[2]] = tensor_shape
        elif tensor_key.startswith("ip_adapter.") and not _is_known(tensor_key):
            raise Predicate(
                "holds the tensor '<1>', which no known adapter has", printable(tensor_key)
            )
    return layer_shapes
