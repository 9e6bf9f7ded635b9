"""From what the encoder saw to image tokens: the projection of each kind of adapter.

https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py
Parameters are named as in the files. B batch, S encoder tokens, T image tokens, D text width.
"""

from typing import Any

from torch import Tensor, nn

from .checkpoint import LinearSpec, MLPSpec, ResamplerSpec
from .resampler import Resampler


class ImageProjection(nn.Module):
    """Base adapters: embeddings [B, features] -> tokens [B, T, D]."""

    def __init__(self, spec: LinearSpec, operations: Any, **factory: Any):
        super().__init__()
        self.tokens = spec.tokens
        self.proj = operations.Linear(spec.features, spec.tokens * spec.width, **factory)
        self.norm = operations.LayerNorm(spec.width, **factory)

    def forward(self, embeds: Tensor) -> Tensor:
        return self.norm(self.proj(embeds).unflatten(-1, (self.tokens, -1)))


class MLPProjection(nn.Module):
    """Full-face adapters: every encoder token [B, S, features] -> a token [B, S, D]."""

    def __init__(self, spec: MLPSpec, operations: Any, **factory: Any):
        super().__init__()
        self.proj = nn.Sequential(
            operations.Linear(spec.features, spec.hidden, **factory),
            nn.GELU(),
            operations.Linear(spec.hidden, spec.width, **factory),
            operations.LayerNorm(spec.width, **factory),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.proj(features)


def make_projector(
    spec: LinearSpec | MLPSpec | ResamplerSpec, operations: Any, **factory: Any
) -> nn.Module:
    match spec:
        case LinearSpec():
            return ImageProjection(spec, operations, **factory)
        case MLPSpec():
            return MLPProjection(spec, operations, **factory)
        case ResamplerSpec():
            return Resampler(spec, operations, **factory)
