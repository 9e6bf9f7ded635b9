"""Image tokens become keys and values, kept in one piece of memory; roles change them.

R roles, F frames, T image tokens, D text width, C inner width
of a layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import lcm

import torch
from torch import Tensor

from ..adapter.module import AnyAdapter
from ..references.embeds import CONCAT, References, combine

# Roles of a row. ALONE: the positive side of a sampling that computes no negative one (CFG 1).
NEGATIVE, POSITIVE, ALONE = 0, 1, 2
FRAME_CHUNK = 16  # frames that are projected at once
LayerKeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class KeysValues:
    """Key and value of every layer for each role and frame, in one flat piece of memory.

    One piece moves to a device in one copy. `layers()` gives key and value [R * F, T, C] as views.
    """

    flat: Tensor
    tokens: int
    widths: tuple[int, ...]
    roles: int = 2  # 3 where ALONE is not the same as POSITIVE
    frames: int = 1  # 1: the same for every picture
    group: int = 0  # tokens of one reference; 0: all of them

    def layers(self) -> list[LayerKeysValues]:
        token_sets = self.roles * self.frames
        sizes = [token_sets * self.tokens * width for width in self.widths for _ in "kv"]
        pieces: Sequence[Tensor] = self.flat.split_with_sizes(sizes)
        shaped = [piece.view(token_sets, self.tokens, -1) for piece in pieces]
        return list(zip(shaped[::2], shaped[1::2], strict=True))

    def for_roles(self, roles: Sequence[int]) -> list[LayerKeysValues]:
        """Key and value of each layer for the rows of one call: [len(roles) * F, T, C]."""
        own_roles = [POSITIVE if role >= self.roles else role for role in roles]
        first = own_roles[0]
        if own_roles == list(range(first, first + len(own_roles))):  # a view: the usual case
            role_slice = slice(first * self.frames, (first + len(own_roles)) * self.frames)
            return [(key[role_slice], value[role_slice]) for key, value in self.layers()]
        index = [role * self.frames + frame for role in own_roles for frame in range(self.frames)]
        return [(key[index], value[index]) for key, value in self.layers()]

    def select(
        self, frames: Sequence[int], device: torch.device | str, dtype: torch.dtype
    ) -> "KeysValues":
        """Only these frames, on the device; keys and values shared by all frames stay one."""
        if self.frames == 1:
            return replace(self, flat=self.flat.to(device=device, dtype=dtype))
        own_frames = [min(frame, self.frames - 1) for frame in frames]
        index = [role * self.frames + frame for role in range(self.roles) for frame in own_frames]
        selected = self.map_layers(lambda _, key, value: (key[index], value[index]))
        return replace(selected, flat=selected.flat.to(device, dtype), frames=len(own_frames))

    def map_layers(self, change: Callable[[int, Tensor, Tensor], LayerKeysValues]) -> "KeysValues":
        """change(layer, key, value) at every layer; roles and frames may come and go."""
        pairs = [change(layer, *pair) for layer, pair in enumerate(self.layers())]
        return replace(self, flat=torch.cat([part.flatten() for pair in pairs for part in pair]))

    def as_negative(self) -> "KeysValues":
        """The reference on the negative side: the negative row attends to it, the positive one to
        nothing.

        Without a negative row the image part is subtracted from the positive one.
        """
        frames = self.frames

        def move_to_negative(_: int, key: Tensor, value: Tensor) -> LayerKeysValues:
            k, v = (part[POSITIVE * frames : (POSITIVE + 1) * frames] for part in (key, value))
            zeros = torch.zeros_like(k)
            return torch.cat((k, zeros, k)), torch.cat((v, zeros, -v))

        return replace(self.map_layers(move_to_negative), roles=3)

    def silent(self) -> "KeysValues":
        """Nothing at all on the negative side."""

        def mute(_: int, key: Tensor, value: Tensor) -> LayerKeysValues:
            value = value.clone()
            value[: self.frames] = 0
            return key, value

        return self.map_layers(mute)

    @property
    def bytes(self) -> int:
        return self.flat.numel() * self.flat.element_size()


@dataclass(frozen=True, eq=False)
class FrameTokens:
    """Tokens of many frames in place of keys, projected for a window of frames at a time."""

    adapter: AnyAdapter
    negative: Tensor  # [1, T, D], or [F, T, D]
    positive: Tensor  # [F, T, D]
    change: Callable[[KeysValues], KeysValues] | None = None

    @property
    def frames(self) -> int:
        return len(self.positive)

    def select(
        self, frames: Sequence[int], device: torch.device | str, dtype: torch.dtype
    ) -> KeysValues:
        sides = _frames_of(self.negative, frames), _frames_of(self.positive, frames)
        tokens = torch.cat(sides).to(device, dtype)
        values = project_keys_values(self.adapter, tokens, len(frames), dtype, tokens.device)
        return self.change(values) if self.change else values

    def as_negative(self) -> "FrameTokens":
        return replace(self, change=KeysValues.as_negative)

    def silent(self) -> "FrameTokens":
        return replace(self, change=KeysValues.silent)

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(width for _, width in self.adapter.spec.layers)

    @property
    def bytes(self) -> int:
        return sum(part.numel() * part.element_size() for part in (self.negative, self.positive))


def image_keys(
    adapter: AnyAdapter,
    positive: References,
    negative: References,
    dtype: torch.dtype,
    store: torch.device | str,
) -> KeysValues:
    """Keys and values of references that are used together, tokens side by side.

    Computed in the features' own dtype; kept in `dtype` on `store`.
    """
    sides = [tokens_of(adapter, side) for side in (negative, positive)]  # [N * T, D]
    # Repeating every token leaves a softmax average as it is, so both sides can have equally many.
    count = lcm(*map(len, sides))
    tokens = torch.stack([side.repeat(count // len(side), 1) for side in sides])
    group = len(sides[1]) // (positive.count if positive.method == CONCAT else 1)
    shares = [
        references.token_weights(len(side)) * (count // len(side))
        for references, side in zip((negative, positive), sides, strict=True)
    ]
    column = tokens.new_tensor(shares) if {*shares[0], *shares[1]} != {1.0} else None
    values = project_keys_values(adapter, tokens, 1, dtype, store, column)
    return replace(values, group=group)


def frame_keys(
    adapter: AnyAdapter,
    positive: References,
    negative: References,
    dtype: torch.dtype,
    store: torch.device | str,
    device: torch.device | str,
) -> KeysValues | FrameTokens:
    """Keys and values of one reference for each frame; tokens alone where keys would outgrow the
    adapter.

    The negative side has one for all frames, or one for each. References that are combined are one
    for all frames. Features come to the device a few frames at a time.
    """

    def project(references: References) -> Tensor:
        if references.method != CONCAT:
            on_device = references.change_features(lambda tensor: tensor.to(device, torch.float32))
            return tokens_of(adapter, on_device)[None]
        features = references.select(adapter.spec.inputs)
        starts, structure = range(0, references.count, FRAME_CHUNK), references.face_structure
        chunks = ([tensor[start : start + FRAME_CHUNK] for tensor in features] for start in starts)
        on_device = ([tensor.to(device, torch.float32) for tensor in chunk] for chunk in chunks)
        tokens = [adapter.project(*chunk, face_structure=structure) for chunk in on_device]
        return torch.cat(tokens)

    negative_tokens, tokens = project(negative), project(positive)
    # to_k and to_v have text_width rows where the keys have one for each frame and token
    if 2 * tokens.shape[0] * tokens.shape[1] > adapter.spec.text_width:
        return FrameTokens(adapter, negative_tokens.to(store, dtype), tokens.to(store, dtype))
    both_sides = torch.cat((_frames_of(negative_tokens, range(len(tokens))), tokens))
    return project_keys_values(adapter, both_sides, len(tokens), dtype, store)


def _frames_of(batch: Tensor, frames: Sequence[int]) -> Tensor:
    """These frames of a batch; a shorter batch repeats its last one."""
    return batch[[min(frame, len(batch) - 1) for frame in frames]]


def project_keys_values(
    adapter: AnyAdapter,
    tokens: Tensor,
    frames: int,
    dtype: torch.dtype,
    store: torch.device | str,
    shares: Tensor | None = None,
) -> KeysValues:
    """tokens [R * F, T, D] through every layer; shares [R * F, T]: the share of each token's
    value.
    """
    flat: list[Tensor] = []
    for key, value in adapter.keys_values(tokens):
        value = value if shares is None else value * shares[..., None]
        flat += [part.to(device=store, dtype=dtype).flatten() for part in (key, value)]
    widths = tuple(width for _, width in adapter.spec.layers)
    return KeysValues(
        flat=torch.cat(flat),
        tokens=tokens.shape[1],
        widths=widths,
        roles=len(tokens) // frames,
        frames=frames,
    )


def tokens_of(adapter: AnyAdapter, references: References) -> Tensor:
    """Tokens of all references, side by side [N * T, D]."""
    features = references.select(adapter.spec.inputs)
    weights, method = references.weights, references.method
    project = partial(adapter.project, face_structure=references.face_structure)
    if method == CONCAT:
        return project(*features).flatten(0, 1)
    if references.projected:
        return combine(project(*features), weights, method).flatten(0, 1)
    return project(*(combine(tensor, weights, method) for tensor in features)).flatten(0, 1)
