"""One cross-attention layer while sampling: the text's part as the model computes it, plus the image's parts."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import comfy.ldm.modules.attention as host

from ...ipadapter_core.attention.image_part import add_image, by_heads, image_attention, off_text
from ...ipadapter_core.attention.keys import V_ONLY, KeysValues, framed, scaled
from ...ipadapter_core.attention.masks import pick, rows_of, to_grid, to_guessed_grid
from ...ipadapter_core.weights.blocks import Address
from .unet_rows import Rows


@dataclass(frozen=True, eq=False)
class Part:
    """What one image prompt adds at one layer."""

    prompt: Any
    layer: int
    weight: float
    piece: int | None = None  # which stretch of the sampling this is

    @property
    def share(self) -> float:
        """The weight of the result; other scalings have it in keys and values."""
        return self.weight if self.prompt.settings.scaling == V_ONLY else 1.0


@dataclass(frozen=True, eq=False)
class Call:
    """One call of the UNet: its rows, and the sampling it belongs to."""

    run: Any
    rows: Rows
    watch: Any = None  # who looks on, and at which prompt
    watched: Any = None
    # keys and values of layers, and masks, kept from call to call while rows and parts are the same
    ready: dict = field(default_factory=dict)

    def keys_values(self, part: Part, query: Tensor, heads: int) -> tuple[Tensor, Tensor]:
        """Key and value [R or R * B, H, T, D], in the order of the rows."""
        known = (part, query.device, query.dtype)
        pair = self.ready.get(known)
        if pair is None:
            key, value = self._arranged(part, query)
            pair = self.ready[known] = by_heads(key, heads), by_heads(value, heads)
        return pair

    def _arranged(self, part: Part, query: Tensor) -> tuple[Tensor, Tensor]:
        prompt, place = part.prompt, (query.device, query.dtype)
        by_frame = prompt.keys.values.frames > 1 or prompt.settings.frame_weights
        frames = self._frames if by_frame else None
        piece = None if prompt.settings.scaling == V_ONLY else part.piece
        roles = self.rows.by_position if prompt.settings.old_masks else self.rows.roles
        slot, key = ("keys", id(prompt), roles, *place), (frames, piece)

        def make() -> list[tuple[Tensor, Tensor]]:
            return self._values(prompt, frames, piece, *place).arranged(roles)

        return self.run.latest(slot, key, make)[part.layer]

    @property
    def _frames(self) -> tuple[int, ...]:
        return self.rows.frames or tuple(range(self.rows.count))

    def _values(
        self, prompt: Any, frames: Any, piece: int | None, device: torch.device, dtype: torch.dtype
    ) -> KeysValues:
        """What the rows are arranged from, on the device, for these frames and this stretch of the sampling."""

        def make() -> KeysValues:
            values = prompt.keys.values.select(frames or (), device, dtype)
            settings, weights = (
                prompt.settings,
                () if piece is None else prompt.pieces[piece].weights,
            )
            if settings.frame_weights:
                last = len(settings.frame_weights) - 1
                factors = [settings.frame_weights[min(frame, last)] for frame in frames]
                return framed(values, settings.scaling, weights, factors)
            return scaled(values, settings.scaling, weights) if weights else values

        return self.run.latest(("moved", id(prompt), device, dtype), (frames, piece), make)

    def mask(self, prompt: Any, extra: dict, query: Tensor) -> Tensor | None:
        """[1 or R * B, N, 1] for a layer of that grid."""
        if prompt.mask is None:
            return None
        grid, latent = (tuple(extra[key][-2:]) for key in ("activations_shape", "original_shape"))
        known = (id(prompt), grid, latent, query.device, query.dtype)
        if known not in self.ready:
            self.ready[known] = self._gridded(prompt, grid, latent, query)
        return self.ready[known]

    def _gridded(
        self, prompt: Any, grid: tuple[int, int], latent: tuple[int, int], query: Tensor
    ) -> Tensor:
        key = ("mask", id(prompt), self.rows, grid, latent, query.device, query.dtype)

        def make() -> Tensor:
            if mode := prompt.settings.old_masks:
                return _old_mask(prompt.mask, self.rows, query.shape[1], latent, mode).to(query)
            return _mask(prompt.mask, self.rows, grid).to(query)

        return self.run.once(key, make)


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
        parts, text = self.parts[place], out
        keeps = any(part.prompt.settings.keep_prompt for part in parts)
        attend = partial(_attend, precision)
        for part in parts:
            k, v = self.call.keys_values(part, query, heads)
            image = image_attention(query, k, v, attend)
            if part.prompt.settings.keep_prompt:
                image = off_text(image, text, part.prompt.settings.keep_prompt)
            mask = self.call.mask(part.prompt, extra, query)
            if self.call.watch is not None and part.prompt is self.call.watched:
                self.call.watch.look(self.call, part, query, k, image, text, mask, extra)
            ours = ours and not out.requires_grad and not (keeps and out is text)
            out = add_image(out, image, part.share, mask, in_place=ours)
            ours = True
        return out


def _attend(precision: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The host's attention without transformer_options: an override there is about the text.

    With few image tokens a quantised attention gains nothing and loses accuracy. Where the host uses torch's, so does
    this, without the host's list of preferred kernels: to put that in force takes longer than the attention itself.
    """
    if host.optimized_attention is host.attention_pytorch:
        return scaled_dot_product_attention(query, key, value).transpose(1, 2)
    options = {"attn_precision": precision, "low_precision_attention": False, "skip_reshape": True}
    return host.optimized_attention(query, key, value, key.shape[1], **options)


def _mask(mask: Tensor, rows: Rows, grid: tuple[int, int]) -> Tensor:
    mask = pick(mask, rows.count, rows.frames)
    known = {area: to_grid(mask, grid, area, rows.size) for area in set(rows.areas)}
    return rows_of([known[area] for area in rows.areas], rows.count)


def _old_mask(mask: Tensor, rows: Rows, tokens: int, latent: tuple[int, int], mode: str) -> Tensor:
    """As IPAdapter_plus reads a mask: all of it for every row, whatever part of the picture that is."""
    found = to_guessed_grid(pick(mask, rows.count, rows.frames), tokens, latent, mode)
    return rows_of([found] * len(rows.areas), rows.count)
