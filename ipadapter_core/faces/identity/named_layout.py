"""Checkpoints of recognisers, as insightface's arcface_torch saves them (`.pth`), and copies of
them as `.safetensors`: layers by name.

Batch norms stand beside the convolutions; in checkpoints made from ONNX files they are folded in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ...messages import Predicate
from .parts import BlockPart, NormPart, RecogniserParts, WeightPart

TRAINING_PREFIXES = ("module.", "backbone.")
FIRST_CONVOLUTION = re.compile(r"layer([1-4])\.(\d{1,3})\.conv1\.weight")


@dataclass(frozen=True, eq=False)
class TensorInMemory:
    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def load(self) -> Tensor:
        return self.tensor


def is_named_recogniser(tensors: Mapping[str, object]) -> bool:
    named_tensors = _without_training_prefix(tensors)
    return {"conv1.weight", "prelu.weight", "fc.weight", "features.weight"} <= named_tensors.keys()


def read_named_parts(tensors: Mapping[str, object]) -> RecogniserParts:
    """The parts of a recogniser. Raises Predicate that names the tensor that is missing."""
    layers = _Layers(_without_training_prefix(tensors))
    matches = filter(None, map(FIRST_CONVOLUTION.fullmatch, layers.tensors))
    addresses = sorted((int(match[1]), int(match[2])) for match in matches)
    return RecogniserParts(
        stem=layers.weights("conv1", norm_name="bn1"),
        stem_activation=layers.tensor("prelu.weight"),
        blocks=tuple(layers.block(f"layer{stage}.{number}.") for stage, number in addresses),
        output_norm=layers.norm("bn2"),
        projection=layers.weights("fc", norm_name="features"),
    )


class _Layers:
    """The layers of a checkpoint, by name."""

    def __init__(self, tensors: Mapping[str, object]):
        self.tensors = tensors

    def tensor(self, key: str) -> TensorInMemory:
        tensor = self.tensors.get(key)
        if not isinstance(tensor, Tensor):
            raise Predicate("is incomplete: '<1>' is missing; download it again", key)
        return TensorInMemory(tensor)

    def norm(self, name: str) -> NormPart:
        return NormPart(
            weight=self.tensor(f"{name}.weight"),
            bias=self.tensor(f"{name}.bias"),
            mean=self.tensor(f"{name}.running_mean"),
            variance=self.tensor(f"{name}.running_var"),
        )

    def weights(self, name: str, norm_name: str) -> WeightPart:
        bias = self.tensor(f"{name}.bias") if f"{name}.bias" in self.tensors else None
        is_folded = bias is not None and f"{norm_name}.weight" not in self.tensors
        norm = None if is_folded else self.norm(norm_name)
        return WeightPart(self.tensor(f"{name}.weight"), bias, norm)

    def block(self, prefix: str) -> BlockPart:
        shortcut = None
        if f"{prefix}downsample.0.weight" in self.tensors:
            shortcut = self.weights(f"{prefix}downsample.0", norm_name=f"{prefix}downsample.1")
        return BlockPart(
            input_norm=self.norm(f"{prefix}bn1"),
            conv1=self.weights(f"{prefix}conv1", norm_name=f"{prefix}bn2"),
            activation=self.tensor(f"{prefix}prelu.weight"),
            conv2=self.weights(f"{prefix}conv2", norm_name=f"{prefix}bn3"),
            shortcut=shortcut,
        )


def _without_training_prefix(tensors: Mapping[str, object]) -> dict[str, object]:
    """The keys without what training code puts in front of all of them."""
    for prefix in TRAINING_PREFIXES:
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return dict(tensors)
