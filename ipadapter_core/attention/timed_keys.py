"""Keys and values of an adapter whose image tokens depend on the timestep: made anew for each.

F frames, T image tokens, L layers, H width of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..adapter.module import AnyAdapter, TimedAdapter
from ..references.embeds import CONCAT, References
from .keys import KeysValues, image_keys, project_keys_values, tokens_of


@dataclass(frozen=True, eq=False)
class TimedKeys:
    """The references of both sides, in place of keys.

    head_norms: [L, 2, H], for queries and keys of the generated image, which attends to itself in
    the same attention. by_frame: one reference for each image of the batch.
    """

    adapter: TimedAdapter
    negative: References
    positive: References
    head_norms: Tensor
    by_frame: bool = False
    is_silent: bool = False  # no image part on the negative side

    @property
    def frames(self) -> int:
        return self.positive.count if self.by_frame else 1

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(width for _, width in self.adapter.spec.layers)

    @property
    def bytes(self) -> int:
        sides = (self.negative, self.positive)
        tensors = [tensor for side in sides for tensor in side.features.values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def silent(self) -> "TimedKeys":
        return replace(self, is_silent=True)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "TimedKeys":
        """The same where keys are needed, once for all timesteps."""
        negative, positive = (
            side.change_features(lambda tensor: tensor.to(device, dtype))
            for side in (self.negative, self.positive)
        )
        head_norms = self.head_norms.to(device, dtype)
        return replace(self, negative=negative, positive=positive, head_norms=head_norms)

    def select_at(self, timestep: float, frames: Sequence[int]) -> KeysValues:
        """Keys and values for one timestep, where features and norms are; of these frames, where
        each has its own.
        """
        adapter = self.adapter.at(timestep)
        device, dtype = self.head_norms.device, self.head_norms.dtype
        if not self.by_frame:
            return image_keys(adapter, self.positive, self.negative, dtype, device)
        sides = (self.negative, self.positive)
        tokens = torch.cat([_frame_tokens(adapter, side, frames) for side in sides])
        return project_keys_values(adapter, tokens, len(frames), dtype, device)


def _frame_tokens(adapter: AnyAdapter, references: References, frames: Sequence[int]) -> Tensor:
    """[F, T, D]; references that are combined are one for all frames."""
    if references.method != CONCAT:
        return tokens_of(adapter, references)[None].expand(len(frames), -1, -1)
    index = [min(frame, references.count - 1) for frame in frames]
    features = references.select(adapter.spec.inputs)
    return adapter.project(*(tensor[index] for tensor in features))
