"""The Perceiver resampler of the plus adapters: many encoder tokens become a few image tokens.

https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/resampler.py
Parameters are named as in the files. B batch, S encoder tokens, Q queries, D width inside.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ..operations import Device, Operations
from .checkpoint import HEAD_WIDTH, ResamplerSpec


class PerceiverAttention(nn.Module):
    """The queries attend to the picture and to themselves."""

    def __init__(self, dim: int, heads: int, operations: Operations, device: Device = None):
        super().__init__()
        self.heads = heads
        inner = heads * HEAD_WIDTH
        self.norm1 = operations.LayerNorm(dim, device=device)  # for the picture
        self.norm2 = operations.LayerNorm(dim, device=device)  # for the queries
        self.to_q = operations.Linear(dim, inner, bias=False, device=device)
        self.to_kv = operations.Linear(dim, inner * 2, bias=False, device=device)
        self.to_out = operations.Linear(inner, dim, bias=False, device=device)

    def forward(self, picture: Tensor, latents: Tensor) -> Tensor:
        picture, latents = self.norm1(picture), self.norm2(latents)
        key, value = self.to_kv(torch.cat((picture, latents), dim=1)).chunk(2, dim=-1)
        query, key, value = (self._split(part) for part in (self.to_q(latents), key, value))
        out = scaled_dot_product_attention(query, key, value)  # [B, heads, Q, 64]
        return self.to_out(out.transpose(1, 2).flatten(2))  # [B, Q, D]

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.heads, HEAD_WIDTH).transpose(1, 2)


class Resampler(nn.Module):
    """Encoder tokens [B, S, features] -> image tokens [B, Q, width]."""

    def __init__(self, spec: ResamplerSpec, operations: Operations, device: Device = None):
        super().__init__()
        self.latents = nn.Parameter(
            torch.empty(1, spec.tokens, spec.dim, device=device), requires_grad=False
        )
        self.proj_in = operations.Linear(spec.features, spec.dim, device=device)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                (
                    PerceiverAttention(spec.dim, spec.heads, operations, device=device),
                    feed_forward(spec.dim, spec.hidden, operations, device=device),
                )
            )
            for _ in range(spec.depth)
        )
        self.proj_out = operations.Linear(spec.dim, spec.width, device=device)
        self.norm_out = operations.LayerNorm(spec.width, device=device)

    def forward(self, features: Tensor) -> Tensor:
        picture = self.proj_in(features)  # the same for every layer
        latents: Tensor = self.latents.to(picture).expand(len(features), -1, -1)
        for layer in self.layers:
            attention, forward = cast("tuple[nn.Module, nn.Module]", layer)
            latents = attention(picture, latents) + latents
            latents = forward(latents) + latents
        return self.norm_out(self.proj_out(latents))


def feed_forward(
    dim: int, hidden: int, operations: Operations, device: Device = None
) -> nn.Sequential:
    return nn.Sequential(
        operations.LayerNorm(dim, device=device),
        operations.Linear(dim, hidden, bias=False, device=device),
        nn.GELU(),
        operations.Linear(hidden, dim, bias=False, device=device),
    )
