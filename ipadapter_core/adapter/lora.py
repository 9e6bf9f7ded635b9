"""The LoRA that FaceID adapters bring for the model's own attention: its tensors by what they
change.

https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/attention_processor_faceid.py
Every attention of the model has one: 2n is self-attention n, 2n + 1 the cross-attention beside it,
in the order of the file's layers. W' = W + strength * up @ down; there is no alpha.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..messages import Predicate
from .layout import Shape
from .stored_tensors import check_weight

_LORA_KEY = re.compile(r"ip_adapter\.(\d{1,9})\.to_(q|k|v|out)_lora\.(down|up)\.weight")


class LoraTarget(NamedTuple):
    """A projection of an attention of the model."""

    attention: int  # counted through self- and cross-attention
    projection: str  # q, k, v or out

    @property
    def layer(self) -> int:
        """The place among the adapter's layers, each of which has two attentions."""
        return self.attention // 2

    @property
    def is_cross(self) -> bool:
        return self.attention % 2 == 1


class LoraPair(NamedTuple):
    """The two matrices that are added to one projection, as up @ down."""

    up: Tensor
    down: Tensor


@dataclass(frozen=True)
class LoraSpec:
    """Which projections a file changes."""

    rank: int
    targets: tuple[LoraTarget, ...]


def is_lora_key(tensor_key: str) -> bool:
    return _LORA_KEY.fullmatch(tensor_key) is not None


def read_lora_spec(
    tensor_shapes: Mapping[str, Shape], layers: Sequence[tuple[int, int]], text_width: int
) -> LoraSpec | None:
    """The layers that a file's LoRA changes, None without one. Raises Predicate for a damaged one.

    layers: (index in the file, inner width) of the adapter.
    """
    target_shapes: dict[LoraTarget, dict[str, Shape]] = {}
    for tensor_key, tensor_shape in tensor_shapes.items():
        if key_match := _LORA_KEY.fullmatch(tensor_key):
            target = LoraTarget(int(key_match[1]), key_match[2])
            target_shapes.setdefault(target, {})[key_match[3]] = tensor_shape
    if not target_shapes:
        return None
    rank = next(iter(target_shapes.values())).get("down", (0,))[0]
    for target, pair_shapes in target_shapes.items():
        if pair_shapes != _expected_shapes(target, layers, text_width, rank):
            raise Predicate(
                "is damaged: its LoRA does not fit 'to_<1>' of attention <2>",
                target.projection,
                target.attention,
            )
    return LoraSpec(rank, tuple(sorted(target_shapes)))


def _expected_shapes(
    target: LoraTarget, layers: Sequence[tuple[int, int]], text_width: int, rank: int
) -> dict[str, Shape]:
    if target.layer >= len(layers) or not rank:
        return {}
    _, layer_width = layers[target.layer]
    takes_text = target.is_cross and target.projection in ("k", "v")
    return {"down": (rank, text_width if takes_text else layer_width), "up": (layer_width, rank)}


def lora_pairs(
    named_tensors: Mapping[str, Tensor], spec: LoraSpec | None
) -> dict[LoraTarget, LoraPair]:
    """The matrices of a file's LoRA, as they are stored. Raises Predicate for what is no number."""
    pairs: dict[LoraTarget, LoraPair] = {}
    for target in spec.targets if spec else ():
        up_key, down_key = (_key(target, matrix) for matrix in ("up", "down"))
        for tensor_key in (up_key, down_key):
            check_weight(tensor_key, named_tensors[tensor_key])
        pairs[target] = LoraPair(named_tensors[up_key], named_tensors[down_key])
    return pairs


def _key(target: LoraTarget, matrix: str) -> str:
    return f"ip_adapter.{target.attention}.to_{target.projection}_lora.{matrix}.weight"
