"""The adapter: encoder features become tokens, tokens become one key and one value at each layer, once.

https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/attention_processor.py
B batch, T image tokens, D text width, C inner width of a layer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoint import EMBEDS, AdapterSpec, flatten, read_spec
from .projectors import make_projector

NEGATIVE, POSITIVE = 0, 1  # rows of `KeysValues`


class IPAdapter(nn.Module):
    """Parameters are named as in the files: `image_proj.*` and `ip_adapter.<index>.to_{k,v}_ip.weight`."""

    def __init__(self, spec: AdapterSpec, operations: Any, **factory: Any):
        super().__init__()
        self.spec = spec
        self.image_proj = make_projector(spec.projector, operations, **factory)

        def linear(width: int) -> nn.Module:
            return operations.Linear(spec.text_width, width, bias=False, **factory)

        self.ip_adapter = nn.ModuleDict(
            {
                str(index): nn.ModuleDict({"to_k_ip": linear(width), "to_v_ip": linear(width)})
                for index, width in spec.layers
            }
        )

    def project(self, features: Tensor) -> Tensor:
        """[B, features] or [B, S, features] -> tokens [B, T, D]."""
        return self.image_proj(features)

    def keys_values(self, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """tokens [B, T, D] -> key and value [B, T, C] of each layer, in the file's order."""
        for layer in self.ip_adapter.values():
            yield layer["to_k_ip"](tokens), layer["to_v_ip"](tokens)  # type: ignore[index]


def build(weights: Mapping[str, Any], operations: Any) -> IPAdapter:
    """The adapter of an opened file. Its tensors are taken over as they are, mapped ones stay mapped.

    weights: flat or nested; operations: the layer classes (`torch.nn`, or the host's).
    Raises ValueError with a predicate ("is damaged: ...") that wants the file's name in front.
    """
    spec = read_spec(weights)
    adapter = IPAdapter(spec, operations, device="meta")
    given = {key: value for key, value in flatten(weights).items() if isinstance(value, Tensor)}
    wanted = {key: tuple(value.shape) for key, value in adapter.state_dict().items()}
    for key in sorted(wanted.keys() | given.keys()):
        found = tuple(given[key].shape) if key in given else "missing"
        if found != wanted.get(key, "unknown"):
            raise ValueError(
                f"is damaged or of an unknown kind: '{key}' is {found}, expected {wanted.get(key, 'no such tensor')}"
            )
        if not given[key].is_floating_point():
            raise ValueError(
                f"is damaged: '{key}' holds {given[key].dtype}, not floating-point numbers"
            )
    adapter.load_state_dict(given, assign=True)
    return adapter.requires_grad_(False).eval()


@dataclass(frozen=True, eq=False)
class KeysValues:
    """Key and value of every layer for the negative and the positive row, in one flat piece of memory.

    One piece moves to a device in one copy. `layer(i)` gives key and value [2, T, C] as views.
    """

    flat: Tensor
    tokens: int
    widths: tuple[int, ...]

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        sizes = [2 * self.tokens * width for width in self.widths for _ in "kv"]
        pieces: Sequence[Tensor] = self.flat.split_with_sizes(sizes)
        shaped = [piece.view(2, self.tokens, -1) for piece in pieces]
        return list(zip(shaped[::2], shaped[1::2], strict=True))

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "KeysValues":
        return KeysValues(self.flat.to(device=device, dtype=dtype), self.tokens, self.widths)

    @property
    def bytes(self) -> int:
        return self.flat.numel() * self.flat.element_size()


def image_keys(
    adapter: IPAdapter,
    positive: Tensor,
    negative: Tensor | None,
    dtype: torch.dtype,
    store: torch.device,
) -> KeysValues:
    """Project both rows and run them through every layer.

    positive: encoder features [N, features] or [N, S, features] of N references, whose tokens stand side by side;
    negative: the same of M negative references, or None for the zero embedding of the base adapters.
    Computed in the features' own dtype; kept in `dtype` on `store`.
    """
    if negative is None:
        if adapter.spec.feature != EMBEDS:
            raise ValueError(
                f"A {adapter.spec.kind} adapter needs the encoder's output for the negative side."
            )
        negative = torch.zeros_like(positive[:1])
    rows = [
        adapter.project(features).flatten(0, 1) for features in (negative, positive)
    ]  # [N * T, D]
    # Repeating every token leaves a softmax average as it is, so both rows can have equally many.
    count = lcm(*map(len, rows))
    tokens = torch.stack([row.repeat(count // len(row), 1) for row in rows])
    flat = [
        part.to(device=store, dtype=dtype).flatten()
        for pair in adapter.keys_values(tokens)
        for part in pair
    ]
    return KeysValues(torch.cat(flat), count, tuple(width for _, width in adapter.spec.layers))
