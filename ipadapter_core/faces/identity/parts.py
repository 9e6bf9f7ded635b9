"""The parts of a recogniser, as they lie in its file, become the weights of an IResNet."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import torch
from torch import Tensor

from ...messages import Predicate
from .iresnet import STAGE_WIDTHS, IResNet

BATCH_NORM_EPSILON = 1e-5  # where a file does not say
MOST_BLOCKS = 200


class TensorSource(Protocol):
    """A tensor of a file, loaded when it is needed."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def load(self) -> Tensor: ...


@dataclass(frozen=True)
class NormPart:
    """A batch norm over C channels."""

    weight: TensorSource
    bias: TensorSource
    mean: TensorSource
    variance: TensorSource
    epsilon: float = BATCH_NORM_EPSILON

    def scale_and_shift(self, layer_name: str, channels: int) -> tuple[Tensor, Tensor]:
        """[C] each, in double precision."""
        weight, bias, mean, variance = (
            load_vector(source, f"{layer_name} (batch norm)", channels).double()
            for source in (self.weight, self.bias, self.mean, self.variance)
        )
        if not (isfinite(self.epsilon) and bool((variance + self.epsilon > 0).all())):
            raise Predicate(
                "is damaged: the batch norm of '<1>' has a negative variance", layer_name
            )
        scale = weight / (variance + self.epsilon).sqrt()
        return scale, bias - mean * scale


@dataclass(frozen=True)
class WeightPart:
    """A convolution or a linear layer, and the batch norm that follows it, if one does."""

    weight: TensorSource
    bias: TensorSource | None = None
    norm: NormPart | None = None

    def folded(self, layer_name: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Weight and bias with the batch norm folded in."""
        channels = shape[0]
        weight = load_tensor(self.weight, layer_name, shape)
        bias = torch.zeros(channels)
        if self.bias is not None:
            bias = load_vector(self.bias, f"{layer_name} (bias)", channels)
        if self.norm is None:
            return weight, bias
        scale, shift = self.norm.scale_and_shift(layer_name, channels)
        weight = weight.double() * scale.reshape(-1, *[1] * (len(shape) - 1))
        return weight.float(), (bias.double() * scale + shift).float()


@dataclass(frozen=True)
class BlockPart:
    input_norm: NormPart
    conv1: WeightPart
    activation: TensorSource
    conv2: WeightPart
    shortcut: WeightPart | None


@dataclass(frozen=True)
class RecogniserParts:
    stem: WeightPart
    stem_activation: TensorSource
    blocks: tuple[BlockPart, ...]
    output_norm: NormPart
    projection: WeightPart

    def depths(self) -> tuple[int, ...]:
        """The number of blocks in each stage, which begins where a block has a shortcut of its
        own. Raises Predicate if there are not four stages."""
        starts = [number for number, block in enumerate(self.blocks) if block.shortcut is not None]
        if len(starts) != len(STAGE_WIDTHS) or starts[0] != 0 or len(self.blocks) > MOST_BLOCKS:
            raise Predicate(
                "is not an ArcFace recogniser (IResNet): it has <1> blocks in <2> stages, expected "
                "four stages",
                len(self.blocks),
                len(starts),
            )
        ends = [*starts[1:], len(self.blocks)]
        return tuple(end - start for start, end in zip(starts, ends, strict=True))

    def weights(self) -> dict[str, Tensor]:
        """The state dict of `IResNet(self.depths())`, in float32. Raises Predicate that names a
        layer that does not fit."""
        with torch.device("meta"):
            net = IResNet(self.depths())
        shapes = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
        weights: dict[str, Tensor] = {}
        for layer_name, part in self._weight_parts():
            folded = part.folded(layer_name, shapes[f"{layer_name}.weight"])
            weights[f"{layer_name}.weight"], weights[f"{layer_name}.bias"] = folded
        for layer_name, norm in self._norm_parts():
            (channels,) = shapes[f"{layer_name}.weight"]
            scale, shift = norm.scale_and_shift(layer_name, channels)
            weights[f"{layer_name}.weight"], weights[f"{layer_name}.bias"] = (
                scale.float(),
                shift.float(),
            )
        for layer_name, source in self._activations():
            (channels,) = shapes[f"{layer_name}.weight"]
            weights[f"{layer_name}.weight"] = load_vector(source, layer_name, channels)
        for key, tensor in weights.items():
            if not bool(tensor.isfinite().all()):
                raise Predicate("is damaged: '<1>' holds NaN or infinite values", key)
        return weights

    def _weight_parts(self) -> Iterator[tuple[str, WeightPart]]:
        yield "stem", self.stem
        for block_number, block in enumerate(self.blocks):
            yield f"blocks.{block_number}.conv1", block.conv1
            yield f"blocks.{block_number}.conv2", block.conv2
            if block.shortcut is not None:
                yield f"blocks.{block_number}.shortcut", block.shortcut
        yield "projection", self.projection

    def _norm_parts(self) -> Iterator[tuple[str, NormPart]]:
        for block_number, block in enumerate(self.blocks):
            yield f"blocks.{block_number}.input_norm", block.input_norm
        yield "output_norm", self.output_norm

    def _activations(self) -> Iterator[tuple[str, TensorSource]]:
        yield "stem_activation", self.stem_activation
        for block_number, block in enumerate(self.blocks):
            yield f"blocks.{block_number}.activation", block.activation


def load_tensor(source: TensorSource, layer_name: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor in float32. Raises Predicate if it has another shape."""
    if tuple(source.shape) != shape:
        raise Predicate(
            "is not an ArcFace recogniser (IResNet): its layer '<1>' has the shape <2>, expected "
            "<3>",
            layer_name,
            list(source.shape),
            list(shape),
        )
    return source.load().float()


def load_vector(source: TensorSource, layer_name: str, channels: int) -> Tensor:
    """One number for each channel, [C] in the file or [C, 1, 1]."""
    shape = tuple(source.shape)
    return load_tensor(source, layer_name, (channels, *[1] * (len(shape) - 1))).flatten()
