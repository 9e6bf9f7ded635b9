"""From what the encoder saw to image tokens: the projection of each kind of adapter.

https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py
https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter_faceid.py
Parameters are named as in the files. B batch, S encoder tokens, T image tokens, D text width.
"""

from torch import Tensor, nn

from ..operations import Device, Operations
from .projections import (
    FacePlusSpec,
    IdentityResamplerSpec,
    IdentitySpec,
    LinearSpec,
    MLPSpec,
    ProjectorSpec,
    ResamplerSpec,
    TimeResamplerSpec,
)
from .resampler import IdentityResampler, Perceiver, Resampler
from .time_resampler import TimeResampler


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


class IdentityMLP(nn.Module):
    """Face embeddings [B, 512] -> tokens [B, T, D]."""

    def __init__(self, spec: IdentitySpec, operations: Operations, device: Device = None):
        super().__init__()
        self.tokens = spec.token_count
        token_values = spec.token_count * spec.token_width
        self.proj = nn.Sequential(
            operations.Linear(spec.feature_width, spec.hidden_width, device=device),
            nn.GELU(),
            operations.Linear(spec.hidden_width, token_values, device=device),
        )
        self.norm = operations.LayerNorm(spec.token_width, device=device)

    def identity_tokens(self, face_identity: Tensor) -> Tensor:
        return self.norm(self.proj(face_identity).unflatten(-1, (self.tokens, -1)))


class IdentityProjection(IdentityMLP):
    """FaceID and portrait adapters: these tokens alone."""

    def forward(self, face_identity: Tensor) -> Tensor:
        return self.identity_tokens(face_identity)


class FacePlusProjection(IdentityMLP):
    """FaceID plus: tokens of the identity look at the encoded face [B, S, features].

    In version 2 `face_structure` says how much of what they see there is added to them.
    """

    def __init__(self, spec: FacePlusSpec, operations: Operations, device: Device = None):
        super().__init__(spec.identity, operations, device)
        self.adds_identity = spec.adds_identity
        self.perceiver_resampler = Perceiver(spec.perceiver, operations, device)

    def forward(
        self, face_identity: Tensor, hidden_states: Tensor, face_structure: float = 1.0
    ) -> Tensor:
        identity_tokens = self.identity_tokens(face_identity)
        face_tokens = self.perceiver_resampler.resample(hidden_states, identity_tokens)
        return identity_tokens + face_structure * face_tokens if self.adds_identity else face_tokens


def make_projector(spec: ProjectorSpec, operations: Operations, device: Device = None) -> nn.Module:
    match spec:
        case LinearSpec():
            return ImageProjection(spec, operations, device=device)
        case MLPSpec():
            return MLPProjection(spec, operations, device=device)
        case IdentityResamplerSpec():
            return IdentityResampler(spec, operations, device=device)
        case TimeResamplerSpec():
            return TimeResampler(spec, operations, device=device)
        case ResamplerSpec():
            return Resampler(spec, operations, device=device)
        case IdentitySpec():
            return IdentityProjection(spec, operations, device=device)
        case FacePlusSpec():
            return FacePlusProjection(spec, operations, device=device)
