"""From what the encoder saw to image tokens: the projection of each kind of adapter.

https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py
Parameters are named as in the files. B batch, S encoder tokens, T image tokens, D text width.
"""

from torch import Tensor, nn

from ..operations import Device, Operations
from .checkpoint import LinearSpec, MLPSpec, ProjectorSpec, ResamplerSpec
from .resampler import Resampler


class ImageProjection(nn.Module):
    """Base adapters: embeddings [B, features] -> tokens [B, T, D]."""

    def __init__(self, spec: LinearSpec, operations: Operations, device: Device = None):
        super().__init__()
        self.tokens = spec.token_count
        self.proj = operations.Linear(
            spec.feature_width, spec.token_count * spec.token_width, device=device
        )
        self.norm = operations.LayerNorm(spec.token_width, device=device)

    def forward(self, image_embeds: Tensor) -> Tensor:
        return self.norm(self.proj(image_embeds).unflatten(-1, (self.tokens, -1)))


class MLPProjection(nn.Module):
    """Full-face adapters: every encoder token [B, S, features] -> a token [B, S, D]."""

    def __init__(self, spec: MLPSpec, operations: Operations, device: Device = None):
        super().__init__()
        self.proj = nn.Sequential(
            operations.Linear(spec.feature_width, spec.hidden_width, device=device),
            nn.GELU(),
            operations.Linear(spec.hidden_width, spec.token_width, device=device),
            operations.LayerNorm(spec.token_width, device=device),
        )

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.proj(hidden_states)


def make_projector(spec: ProjectorSpec, operations: Operations, device: Device = None) -> nn.Module:
    match spec:
        case LinearSpec():
            return ImageProjection(spec, operations, device=device)
        case MLPSpec():
            return MLPProjection(spec, operations, device=device)
        case ResamplerSpec():
            return Resampler(spec, operations, device=device)
