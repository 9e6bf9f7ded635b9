"""The Perceiver resampler of the plus adapters: many encoder tokens become a few image tokens.

https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/resampler.py
Parameters are named as in the files. B batch, S encoder tokens, Q queries, D width inside.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ..operations import Device, Operations
from .projections import HEAD_WIDTH, ResamplerSpec


class PerceiverAttention(nn.Module):
    """The queries attend to the picture and to themselves."""

    def __init__(
        self, query_width: int, head_count: int, operations: Operations, device: Device = None
    ):
        super().__init__()
        self.heads = head_count
        inner_width = head_count * HEAD_WIDTH
        self.norm1 = operations.LayerNorm(query_width, device=device)  # for the picture
        self.norm2 = operations.LayerNorm(query_width, device=device)  # for the queries
        self.to_q = operations.Linear(query_width, inner_width, bias=False, device=device)
        self.to_kv = operations.Linear(query_width, inner_width * 2, bias=False, device=device)
        self.to_out = operations.Linear(inner_width, query_width, bias=False, device=device)

    def forward(self, image_features: Tensor, latents: Tensor) -> Tensor:
        return self.attend(self.norm1(image_features), self.norm2(latents))

    def attend(self, image_features: Tensor, latents: Tensor) -> Tensor:
        """Of what is normalised already."""
        key, value = self.to_kv(torch.cat((image_features, latents), dim=1)).chunk(2, dim=-1)
        query, key, value = (self._split(part) for part in (self.to_q(latents), key, value))
        attended_values = scaled_dot_product_attention(query, key, value)  # [B, heads, Q, 64]
        return self.to_out(attended_values.transpose(1, 2).flatten(2))  # [B, Q, D]

    def _split(self, projection: Tensor) -> Tensor:
        return projection.reshape(*projection.shape[:-1], self.heads, HEAD_WIDTH).transpose(1, 2)


class Perceiver(nn.Module):
    """Encoder tokens [B, S, features] and queries [B, Q, D] -> image tokens [B, Q, width]."""

    def __init__(self, spec: ResamplerSpec, operations: Operations, device: Device = None):
        super().__init__()
        self.proj_in = operations.Linear(spec.feature_width, spec.query_width, device=device)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                (
                    PerceiverAttention(
                        spec.query_width, spec.head_count, operations, device=device
                    ),
                    feed_forward(spec.query_width, spec.hidden_width, operations, device=device),
                )
            )
            for _ in range(spec.layer_count)
        )
        self.proj_out = operations.Linear(spec.query_width, spec.token_width, device=device)
        self.norm_out = operations.LayerNorm(spec.token_width, device=device)

    def resample(self, hidden_states: Tensor, latents: Tensor) -> Tensor:
        image_features = self.proj_in(hidden_states)  # the same for every layer
        latents = latents.to(image_features).expand(len(hidden_states), -1, -1)
        for layer in self.layers:
            attention_layer, mlp_layer = cast("tuple[nn.Module, nn.Module]", layer)
            latents = attention_layer(image_features, latents) + latents
            latents = mlp_layer(latents) + latents
        return self.norm_out(self.proj_out(latents))


class Resampler(Perceiver):
    """Encoder tokens [B, S, features] -> image tokens [B, Q, width], with learned queries."""

    def __init__(self, spec: ResamplerSpec, operations: Operations, device: Device = None):
        super().__init__(spec, operations, device)
        self.latents = nn.Parameter(
            torch.empty(1, spec.token_count, spec.query_width, device=device), requires_grad=False
        )

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.resample(hidden_states, self.latents)


class IdentityResampler(Resampler):
    """Portrait unnorm and InstantID: face embeddings [B, 512], a sequence of one each."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        return super().forward(hidden_states[:, None])


def feed_forward(
    query_width: int, hidden_width: int, operations: Operations, device: Device = None
) -> nn.Sequential:
    return nn.Sequential(
        operations.LayerNorm(query_width, device=device),
        operations.Linear(query_width, hidden_width, bias=False, device=device),
        nn.GELU(),
        operations.Linear(hidden_width, query_width, bias=False, device=device),
    )
