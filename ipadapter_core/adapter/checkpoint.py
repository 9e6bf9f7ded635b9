"""What an adapter file is: its keys and shapes become one frozen `AdapterSpec`, decided once.

IP-Adapter, Ye et al. 2023: https://arxiv.org/abs/2308.06721
Key layout: https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py

The file's name never counts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..messages import Message, Predicate, printable

Shape = tuple[int, ...]

HEAD_WIDTH = 64  # of the Resampler, in every published file
BASE_MODELS = {768: "SD1.5", 1024: "SD2.x", 2048: "SDXL"}  # by the width of the text they attend to
EMBEDS, HIDDEN = (
    "image_embeds",
    "penultimate_hidden_states",
)  # the host's names for the encoder's outputs
ENCODERS = {
    (EMBEDS, 768): "CLIP ViT-L/14",
    (EMBEDS, 1024): "CLIP ViT-H/14",
    (EMBEDS, 1280): "CLIP ViT-bigG/14",
    (HIDDEN, 1024): "CLIP ViT-L/14",
    (HIDDEN, 1280): "CLIP ViT-H/14",
    (HIDDEN, 1664): "CLIP ViT-bigG/14",
}
_PREFIXES = {
    "image_proj": "image_proj",
    "image_proj_model": "image_proj",
    "ip_adapter": "ip_adapter",
    "adapter_modules": "ip_adapter",
}
_LAYER_KEY = re.compile(r"ip_adapter\.(\d+)\.to_([kv])_ip\.weight")


@dataclass(frozen=True)
class LinearSpec:
    """One Linear and a LayerNorm: an embedding becomes `tokens` tokens."""

    features: int
    tokens: int
    width: int


@dataclass(frozen=True)
class MLPSpec:
    """A small MLP on every token of the encoder: as many tokens as the encoder has."""

    features: int
    hidden: int
    width: int


@dataclass(frozen=True)
class ResamplerSpec:
    """A Perceiver resampler with `tokens` learned queries."""

    features: int
    tokens: int
    width: int
    dim: int
    depth: int
    heads: int
    hidden: int


@dataclass(frozen=True)
class AdapterSpec:
    """All that the rest of the pack has to know of an adapter file."""

    kind: str
    feature: str  # which output of the encoder it takes: EMBEDS or HIDDEN
    projector: LinearSpec | MLPSpec | ResamplerSpec
    layers: tuple[tuple[int, int], ...]  # (index in the file, inner width), in the file's order
    text_width: int

    @property
    def base_model(self) -> str:
        return BASE_MODELS.get(
            self.text_width, Message("a model with text width <1>", self.text_width)
        )

    @property
    def encoder(self) -> str:
        width = self.projector.features
        return ENCODERS.get((self.feature, width), Message("an encoder with <1> features", width))

    @property
    def tokens(self) -> str:
        if isinstance(self.projector, MLPSpec):
            return Message("one token per patch")
        return Message("<1> tokens", self.projector.tokens)

    def describe(self) -> str:
        return Message(
            "<1> <2>, <3>, needs <4>", self.base_model, self.kind, self.tokens, self.encoder
        )


def flatten(weights: Mapping[str, Any]) -> dict[str, Any]:
    """One flat mapping with the prefixes `image_proj.` and `ip_adapter.`, from any published container.

    Takes the nested dict of a `.bin`, the flat keys of a `.safetensors` and the prefixes of training
    dumps. Other entries are dropped: some published files carry a second copy of their tensors.
    """
    flat: dict[str, Any] = {}
    for key, value in weights.items():
        if isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            flat |= {f"{key}.{name}": one for name, one in inner.items()}
        else:
            flat[key] = value
    named: dict[str, Any] = {}
    for key, value in flat.items():
        prefix, _, rest = key.partition(".")
        if prefix in _PREFIXES and rest:
            named[f"{_PREFIXES[prefix]}.{rest}"] = value
    return named


def read_spec(weights: Mapping[str, Any]) -> AdapterSpec:
    """Recognise an adapter by the keys and shapes of its tensors.

    weights: flat or nested, anything with a `.shape` as values.
    Raises Predicate, which says what the file is instead.
    """
    shapes = {
        key: tuple(value.shape)
        for key, value in flatten(weights).items()
        if hasattr(value, "shape")
    }
    _refuse_foreign(weights, shapes)
    feature, kind, projector = _read_projector(shapes)
    layers, text_width = _read_layers(shapes)
    if projector.width != text_width:
        raise Predicate(
            "is damaged: its projection makes tokens of width <1>, its layers expect <2>",
            projector.width,
            text_width,
        )
    return AdapterSpec(kind, feature, projector, layers, text_width)


def _read_layers(shapes: Mapping[str, Shape]) -> tuple[tuple[tuple[int, int], ...], int]:
    found: dict[int, dict[str, Shape]] = {}
    for key, shape in shapes.items():
        match = _LAYER_KEY.fullmatch(key)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = shape
        elif key.startswith("ip_adapter."):
            raise Predicate("holds the tensor '<1>', which no known adapter has", printable(key))
    for index, pair in found.items():
        if set(pair) != {"k", "v"} or pair["k"] != pair["v"] or len(pair["k"]) != 2:
            raise Predicate("is damaged: key and value of layer <1> do not belong together", index)
    widths = {pair["k"][1] for pair in found.values()}
    if len(widths) != 1:
        if found:
            raise Predicate("is damaged: its layers expect tokens of different widths")
        raise Predicate("is damaged: it has no 'to_k_ip' layers")
    return tuple((index, found[index]["k"][0]) for index in sorted(found)), widths.pop()


def _read_projector(
    shapes: Mapping[str, Shape],
) -> tuple[str, str, LinearSpec | MLPSpec | ResamplerSpec]:
    proj = {
        key.removeprefix("image_proj."): shape
        for key, shape in shapes.items()
        if key.startswith("image_proj.")
    }

    def dims(key: str, count: int) -> Shape:
        if key not in proj or len(proj[key]) != count or 0 in proj[key]:
            raise Predicate("is damaged: 'image_proj.<1>' is <2>", key, proj.get(key, "missing"))
        return proj[key]

    if "proj.weight" in proj:
        rows, features = dims("proj.weight", 2)
        (width,) = dims("norm.weight", 1)
        if rows % width:
            raise Predicate("is damaged: <1> rows do not make tokens of width <2>", rows, width)
        return EMBEDS, "base", LinearSpec(features, rows // width, width)
    if "latents" in proj:
        _, tokens, dim = dims("latents", 3)
        depth = len({key.split(".")[1] for key in proj if key.startswith("layers.")})
        heads = dims("layers.0.0.to_q.weight", 2)[0] // HEAD_WIDTH
        hidden = dims("layers.0.1.1.weight", 2)[0]
        return (
            HIDDEN,
            "plus",
            ResamplerSpec(
                dims("proj_in.weight", 2)[1],
                tokens,
                dims("proj_out.weight", 2)[0],
                dim,
                depth,
                heads,
                hidden,
            ),
        )
    if "proj.3.weight" in proj:
        hidden, features = dims("proj.0.weight", 2)
        return HIDDEN, "full-face", MLPSpec(features, hidden, dims("proj.2.weight", 2)[0])
    raise Predicate("is no IP-Adapter: it has no image projection of a known kind")


def _refuse_foreign(weights: Mapping[str, Any], shapes: Mapping[str, Shape]) -> None:
    """Say what a file is that this pack knows and cannot run, or that lies in the wrong folder."""
    names = list(weights)

    def starts(*prefixes: str) -> bool:
        return any(key.startswith(prefixes) for key in names)

    def shape(key: str) -> Shape:
        return shapes.get(key, ())

    if starts("double_blocks.", "ip_adapter_proj_model.") or shape("ip_adapter.0.to_k_ip.weight")[
        1:
    ] == (4096,):
        raise Predicate(
            "is an IP-Adapter for FLUX; this pack cannot run those yet; choose a base, plus "
            "or full-face adapter for SD1.5 or SDXL"
        )
    if "image_proj.time_embedding.linear_1.weight" in shapes:
        raise Predicate(
            "is an IP-Adapter for SD3; this pack cannot run those yet; choose a base, plus "
            "or full-face adapter for SD1.5 or SDXL"
        )
    if shape("image_proj.proj_in.weight")[1:] == (512,):
        raise Predicate(
            "is a face-identity adapter (FaceID Portrait unnorm or InstantID), which needs "
            "InsightFace embeddings; this pack cannot run those yet; choose a base, plus or "
            "full-face adapter for SD1.5 or SDXL"
        )
    faceid = any(
        "_lora." in key or key.startswith("image_proj.perceiver_resampler.") for key in shapes
    )
    if faceid or ("image_proj.proj.0.weight" in shapes and "image_proj.norm.weight" in shapes):
        raise Predicate(
            "is a FaceID adapter, which needs InsightFace embeddings; this pack cannot run "
            "those yet; choose a base, plus or full-face adapter for SD1.5 or SDXL"
        )
    if (
        len(shape("image_proj.latents")) == 3
        and shape("image_proj.latents")[2] == 2048
        and shape("image_proj.proj_in.weight")[1:] == (1024,)
    ):
        raise Predicate(
            "is an IP-Adapter for Kolors; this pack cannot run those yet; choose a base, "
            "plus or full-face adapter for SD1.5 or SDXL"
        )
    if starts("image_proj.", "image_proj_model.", "ip_adapter.", "adapter_modules.") or {
        "image_proj",
        "ip_adapter",
    } & set(names):
        return
    if starts("vision_model.", "visual.transformer."):
        raise Predicate("is a CLIP vision encoder, not an adapter; move it to models/clip_vision")
    if starts("model.diffusion_model."):
        raise Predicate("is a whole checkpoint, not an adapter; move it to models/checkpoints")
    if starts("lora_unet_", "lora_te") or any(
        key.endswith((".lora_down.weight", ".lora_A.weight")) for key in names
    ):
        raise Predicate("is a LoRA, not an adapter; move it to models/loras")
    raise Predicate("is no IP-Adapter: none of its tensors belongs to one")
