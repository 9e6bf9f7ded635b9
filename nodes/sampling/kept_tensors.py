"""Tensors of one sampling: keys and values on their devices, masks by grid, and what is added at
each layer.

Several threads may fill them at once (multi-GPU): a value that two of them compute is the same
value, so the last one to store it does no harm.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from ...ipadapter_core.attention.keys import KeysValues, LayerKeysValues
from ...ipadapter_core.attention.scaling import V_ONLY
from ...ipadapter_core.attention.timed_keys import TimedKeys
from ...ipadapter_core.weights.blocks import Address
from .batch_rows import BatchRows
from .image_prompt import ImagePrompt

K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S")


class Latest(Generic[S, K, V]):
    """One value for each slot, kept while its version stays the same.

    What changes from step to step replaces its predecessor and does not pile up.
    """

    def __init__(self) -> None:
        self._entries: dict[S, tuple[K, V]] = {}

    def get(self, slot: S, version: K, make: Callable[[], V]) -> V:
        entry = self._entries.get(slot)
        if entry is not None and entry[0] == version:
            return entry[1]
        value = make()
        self._entries[slot] = (version, value)
        return value

    def clear(self) -> None:
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True, eq=False)
class ImagePart:
    """The addition of one image prompt at one layer."""

    prompt: ImagePrompt
    layer: int  # its number in the adapter file
    weight: float
    range_number: int  # of the prompt's timestep ranges

    @property
    def output_weight(self) -> float:
        """The weight of the attention's result; other scalings have it in keys and values."""
        return self.weight if self.prompt.settings.scaling == V_ONLY else 1.0


PartsByLayer = dict[Address, tuple[ImagePart, ...]]  # empty where nothing is added now


class Placement(NamedTuple):
    """Where a tensor is computed, and in which precision."""

    device: torch.device
    dtype: torch.dtype


class MaskPlacement(NamedTuple):
    """Everything that a resized mask depends on, but for the rows of the call."""

    prompt: ImagePrompt
    grid: tuple[int, int]
    latent_size: tuple[int, int]
    placement: Placement


PartKeysValues = dict[tuple[ImagePart, Placement], LayerKeysValues]
MasksByPlacement = dict[MaskPlacement, Tensor]
TimedKeysByPrompt = dict[tuple[ImagePrompt, Placement], TimedKeys]


@dataclass(eq=False)
class CallTensors:
    """Tensors as the layers take them, kept from call to call while rows and active ranges stay the
    same.
    """

    keys_values: PartKeysValues = field(default_factory=PartKeysValues)
    masks: MasksByPlacement = field(default_factory=MasksByPlacement)


@dataclass(eq=False)
class WatchTotals:
    """Attention maps of one device and shape, added up."""

    total: Tensor
    count: int = 0

    def add(self, maps: Tensor) -> None:
        self.count, self.total = self.count + 1, self.total + maps

    @property
    def mean(self) -> Tensor:
        return self.total / self.count


# Frames, timestep range and timestep, where keys and values depend on them.
PromptMoment = tuple[tuple[int, ...] | None, int | None, float | None]
MovedKeys = Latest[tuple[ImagePrompt, Placement], PromptMoment, KeysValues]
ArrangedKeys = Latest[
    tuple[ImagePrompt, tuple[int, ...], Placement], PromptMoment, list[LayerKeysValues]
]
MasksByRows = dict[tuple[MaskPlacement, BatchRows], Tensor]
TotalsByShape = dict[tuple[torch.device, torch.Size], WatchTotals]


@dataclass(eq=False)
class KeptTensors:
    """Tensors that the calls of one sampling compute once."""

    timed_keys: TimedKeysByPrompt = field(default_factory=TimedKeysByPrompt)
    moved: MovedKeys = field(default_factory=MovedKeys)
    arranged: ArrangedKeys = field(default_factory=ArrangedKeys)
    masks: MasksByRows = field(default_factory=MasksByRows)
    watch_totals: TotalsByShape = field(default_factory=TotalsByShape)
