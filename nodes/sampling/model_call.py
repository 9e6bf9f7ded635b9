"""One call of the model within a sampling: keys and values, and masks, as its layers need them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ...ipadapter_core.attention.image_part import split_heads
from ...ipadapter_core.attention.keys import KeysValues, LayerKeysValues
from ...ipadapter_core.attention.masks import pick_masks, stack_row_masks, to_grid, to_guessed_grid
from ...ipadapter_core.attention.scaling import V_ONLY, scale_by_frame, scale_keys_values
from ...ipadapter_core.attention.timed_keys import TimedKeys
from ...ipadapter_core.weights.blocks import Address
from .batch_rows import BatchRows
from .image_prompt import ImagePrompt
from .kept_tensors import (
    CallTensors,
    ImagePart,
    KeptTensors,
    MaskPlacement,
    Placement,
    PromptMoment,
    WatchTotals,
)

TOKEN_SIDE = 2  # latent pixels in height and width, of the transformers that adapters exist for


class LayerSite(NamedTuple):
    """The layer that attends now, as the model's layout reads it from the host."""

    address: Address
    heads: int
    precision: torch.dtype | None = None  # that the host asks of the attention
    grid: Sequence[int] = (0, 0)  # height and width of the layer's tokens
    latent_size: Sequence[int] = (0, 0)  # of this call
    text_length: int = 0  # tokens of the text in front of those of the image


class Observation(NamedTuple):
    """One image part at one layer, for a watch."""

    part: ImagePart
    query: Tensor
    key: Tensor
    image: Tensor
    text: Tensor
    mask: Tensor | None
    site: LayerSite


class WatchLike(Protocol):
    """A node that looks on while a model samples."""

    def prompt_at(self, prompts: tuple[ImagePrompt, ...], sigma: Tensor) -> ImagePrompt | None: ...

    def look(self, call: "ModelCall", observation: Observation) -> None: ...

    def finish(self, totals: Sequence[WatchTotals]) -> None: ...


@dataclass(frozen=True, eq=False)
class ModelCall:
    """The rows of one call, and the sampling that it belongs to."""

    run: KeptTensors
    rows: BatchRows
    latent_size: tuple[int, int]  # height and width of what the model is called with
    watch: WatchLike | None = None
    watched_prompt: ImagePrompt | None = None
    tensors: CallTensors = field(default_factory=CallTensors)
    timestep: float | None = None  # as the model gets it, where keys depend on it
    diffusion_model: torch.nn.Module = field(default_factory=torch.nn.Module)
    is_compiled: bool = False  # in whole or in part

    @property
    def token_grid(self) -> tuple[int, int]:
        """Height and width in tokens of a diffusion transformer, which pads to whole ones."""
        height, width = self.latent_size
        return -(-height // TOKEN_SIDE), -(-width // TOKEN_SIDE)

    def keys_values(self, part: ImagePart, query: Tensor, heads: int) -> LayerKeysValues:
        """Key and value [R or R * B, H, T, D], in the order of the rows."""
        place = (part, Placement(query.device, query.dtype))
        pair = self.tensors.keys_values.get(place)
        if pair is None:
            key, value = self._arranged(part, place[1])
            pair = split_heads(key, heads), split_heads(value, heads)
            self.tensors.keys_values[place] = pair
        return pair

    def head_norms(self, part: ImagePart, query: Tensor) -> tuple[Tensor, Tensor]:
        """The adapter's norms at a layer, of queries and keys of the generated image: [D] each."""
        values = part.prompt.keys.values
        assert isinstance(values, TimedKeys)
        moved = self._timed_keys(part.prompt, values, Placement(query.device, query.dtype))
        query_norm, key_norm = moved.head_norms[part.layer]
        return query_norm, key_norm

    def attention_mask(self, prompt: ImagePrompt, site: LayerSite, query: Tensor) -> Tensor | None:
        """[1 or R * B, N, 1] on the layer's grid."""
        if prompt.mask is None:
            return None
        (height, width), (latent_height, latent_width) = site.grid, site.latent_size
        place = MaskPlacement(
            prompt=prompt,
            grid=(height, width),
            latent_size=(latent_height, latent_width),
            placement=Placement(query.device, query.dtype),
        )
        mask = self.tensors.masks.get(place)
        if mask is None:
            mask = self.tensors.masks[place] = self._row_masks(prompt.mask, place, query.shape[1])
        return mask

    def _arranged(self, part: ImagePart, placement: Placement) -> LayerKeysValues:
        prompt, settings = part.prompt, part.prompt.settings
        by_frame = prompt.keys.values.frames > 1 or settings.frame_weights
        frames = self.rows.all_frames if by_frame else None
        range_number = None if settings.scaling == V_ONLY else part.range_number
        roles = self.rows.roles_by_position if settings.old_masks else self.rows.roles

        def make() -> list[LayerKeysValues]:
            return self._moved(prompt, moment, placement).for_roles(roles)

        slot, moment = (prompt, roles, placement), (frames, range_number, self.timestep)
        return self.run.arranged.get(slot, moment, make)[part.layer]

    def _moved(self, prompt: ImagePrompt, moment: PromptMoment, placement: Placement) -> KeysValues:
        """All roles on the device, for these frames, this timestep range and this timestep."""
        frames, range_number, timestep = moment

        def make() -> KeysValues:
            stored = prompt.keys.values
            if isinstance(stored, TimedKeys):
                assert timestep is not None
                return self._timed_keys(prompt, stored, placement).select_at(timestep, frames or ())
            values = stored.select(frames or (), *placement)
            scaling, frame_weights = prompt.settings.scaling, prompt.settings.frame_weights
            weights = () if range_number is None else prompt.ranges[range_number].layer_weights
            if frame_weights:
                last = len(frame_weights) - 1
                factors = [frame_weights[min(frame, last)] for frame in frames or ()]
                return scale_by_frame(values, scaling, weights, factors)
            return scale_keys_values(values, scaling, weights) if weights else values

        return self.run.moved.get((prompt, placement), moment, make)

    def _timed_keys(
        self, prompt: ImagePrompt, values: TimedKeys, placement: Placement
    ) -> TimedKeys:
        place = (prompt, placement)
        if place not in self.run.timed_keys:
            self.run.timed_keys[place] = values.to(*placement)
        return self.run.timed_keys[place]

    def _row_masks(self, mask: Tensor, place: MaskPlacement, token_count: int) -> Tensor:
        masked_rows = (place, self.rows)
        row_masks = self.run.masks.get(masked_rows)
        if row_masks is None:
            if mode := place.prompt.settings.old_masks:
                row_masks = _old_row_masks(mask, self.rows, token_count, place.latent_size, mode)
            else:
                row_masks = _row_masks(mask, self.rows, place.grid)
            row_masks = self.run.masks[masked_rows] = row_masks.to(*place.placement)
        return row_masks


def _row_masks(mask: Tensor, rows: BatchRows, grid: tuple[int, int]) -> Tensor:
    mask = pick_masks(mask, rows.count, rows.frames)
    by_area = {area: to_grid(mask, grid, area, rows.latent_size) for area in set(rows.areas)}
    return stack_row_masks([by_area[area] for area in rows.areas], rows.count)


def _old_row_masks(
    mask: Tensor, rows: BatchRows, token_count: int, latent_size: tuple[int, int], mode: str
) -> Tensor:
    """As in IPAdapter_plus: the whole mask for every row, whichever area of the image that is."""
    mask = pick_masks(mask, rows.count, rows.frames)
    grid_mask = to_guessed_grid(mask, token_count, latent_size, mode)
    return stack_row_masks([grid_mask] * len(rows.areas), rows.count)
