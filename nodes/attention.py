"""One cross-attention layer while sampling: the text's part as the model computes it, plus the image's parts."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

import comfy.ldm.modules.attention as host

from ..ipadapter_core.adapter import KeysValues
from ..ipadapter_core.attention import add_image, image_attention
from ..ipadapter_core.blocks import Address
from ..ipadapter_core.masks import pick, rows_of, to_grid
from .rows import Rows


@dataclass(frozen=True, eq=False)
class Part:
    """What one image prompt adds at one layer."""

    prompt: Any
    layer: int
    weight: float


@dataclass(frozen=True, eq=False)
class Call:
    """One call of the UNet: its rows, and the sampling it belongs to."""

    run: Any
    rows: Rows

    def keys_values(self, prompt: Any, query: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Key and value [R, T, C] of every layer, in the order of the rows."""
        place = (query.device, query.dtype)
        key = ("keys", id(prompt), self.rows.roles, *place)
        return self.run.once(key, lambda: _arranged(self._moved(prompt, *place), self.rows.roles))

    def _moved(self, prompt: Any, device: torch.device, dtype: torch.dtype) -> KeysValues:
        key = ("moved", id(prompt), device, dtype)
        return self.run.once(key, lambda: prompt.keys.values.to(device, dtype))

    def mask(self, prompt: Any, grid: tuple[int, int], query: Tensor) -> Tensor | None:
        """[1 or R * B, N, 1] for a layer of that grid."""
        if prompt.mask is None:
            return None
        key = ("mask", id(prompt), self.rows, grid, query.device, query.dtype)
        return self.run.once(key, lambda: _mask(prompt.mask, self.rows, grid).to(query))


class ComposedAttention:
    """An attn2 replacement for every layer that calls the one it found there, or the host's attention, and adds the image's parts.

    One object for all layers: in a compiled model the host drops the guards on what reaches this object, so the key
    under which it was found can be another layer's. What `extra` says of the layer is right.
    """

    def __init__(
        self, previous: dict[Address, Any], parts: dict[Address, tuple[Part, ...]], call: Call
    ):
        self.previous, self.parts, self.call = previous, parts, call

    @torch.compiler.disable
    def __call__(self, query: Tensor, key: Tensor, value: Tensor, extra: dict) -> Tensor:
        heads, precision = extra["n_heads"], extra["attn_precision"]
        place = (*extra["block"], extra["block_index"])
        previous = self.previous.get(place)
        if previous is not None:
            out = previous(query, key, value, extra)
        else:
            options = {"attn_precision": precision, "transformer_options": extra}
            out = host.optimized_attention(query, key, value, heads, **options)
        # What another pack returns may still be in use there; the host's own result is new.
        ours = previous is None and "optimized_attention_override" not in extra
        for part in self.parts[place]:
            k, v = self.call.keys_values(part.prompt, query)[part.layer]
            image = image_attention(query, k, v, heads, partial(_attend, precision))
            mask = self.call.mask(part.prompt, tuple(extra["activations_shape"][-2:]), query)
            ours = ours and not out.requires_grad
            out = add_image(out, image, part.weight, mask, in_place=ours)
            ours = True
        return out


def _attend(precision: Any, query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """The host's attention without transformer_options: an override there is about the text.

    With few image tokens a quantised attention gains nothing and loses accuracy.
    """
    options = {"attn_precision": precision, "low_precision_attention": False}
    return host.optimized_attention(query, key, value, heads, **options)


def _arranged(values: KeysValues, roles: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    first = roles[0]
    if roles == tuple(
        range(first, first + len(roles))
    ):  # a view: negative and positive, or one of them
        rows: Any = slice(first, first + len(roles))
    else:
        rows = list(roles)
    return [(key[rows], value[rows]) for key, value in values.layers()]


def _mask(mask: Tensor, rows: Rows, grid: tuple[int, int]) -> Tensor:
    mask = pick(mask, rows.count, rows.frames)
    known = {area: to_grid(mask, grid, area, rows.size) for area in set(rows.areas)}
    return rows_of([known[area] for area in rows.areas], rows.count)
