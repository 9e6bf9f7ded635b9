"""The projection of the adapter for Stable Diffusion 3.5: image tokens that depend on the timestep,
and the layers that make keys and values of them.

https://github.com/huggingface/diffusers/blob/v0.35.0/src/diffusers/models/embeddings.py
(IPAdapterTimeImageProjection), .../attention_processor.py (SD3IPAdapterJointAttnProcessor2_0)
Parameters are named as in the files. B batch, S encoder tokens, Q queries, D width inside, E width
of the time embedding, H width of a head.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, silu

from ..operations import Device, Operations
from .projections import HEAD_WIDTH, TimeResamplerSpec
from .resampler import PerceiverAttention, feed_forward

LONGEST_PERIOD = 10000.0
NORM_EPS = 1e-6


class TimeEmbedding(nn.Module):
    """A timestep, 0 to 1000 -> [1, E]."""

    def __init__(self, spec: TimeResamplerSpec, operations: Operations, device: Device = None):
        super().__init__()
        self.time_width = spec.time_width
        self.linear_1 = operations.Linear(spec.time_width, spec.query_width, device=device)
        self.linear_2 = operations.Linear(spec.query_width, spec.query_width, device=device)

    def embed(self, timestep: float, like: Tensor) -> Tensor:
        """like: a tensor of the device and precision to compute in."""
        steps = torch.arange(self.time_width // 2, device=like.device) / (self.time_width // 2)
        angles = timestep * torch.exp(-math.log(LONGEST_PERIOD) * steps)
        waves = torch.cat((angles.cos(), angles.sin()))[None].to(like.dtype)
        return self.linear_2(silu(self.linear_1(waves)))


class TimeLayer(nn.ModuleList):
    """The queries look at the picture, then each at itself; the time shifts and scales them."""

    def __init__(self, spec: TimeResamplerSpec, operations: Operations, device: Device = None):
        width = spec.query_width
        modulation = operations.Linear(width, 4 * width, device=device)
        super().__init__(
            (
                PerceiverAttention(width, spec.head_count, operations, device=device),
                feed_forward(width, spec.hidden_width, operations, device=device),
                nn.Sequential(nn.SiLU(), modulation),
            )
        )

    def forward(self, image_features: Tensor, latents: Tensor, time_embedding: Tensor) -> Tensor:
        attention = cast(PerceiverAttention, self[0])
        norm, *mlp = cast(nn.Sequential, self[1])
        shift, scale, mlp_shift, mlp_scale = self[2](time_embedding)[:, None].chunk(4, dim=-1)
        queries = attention.norm2(latents) * (1 + scale) + shift
        latents = latents + attention.attend(attention.norm1(image_features), queries)
        changed = norm(latents) * (1 + mlp_scale) + mlp_shift
        for part in mlp:
            changed = part(changed)
        return latents + changed


class TimeResampler(nn.Module):
    """Encoder tokens [B, S, features] -> image tokens [B, Q, width] for a timestep."""

    def __init__(self, spec: TimeResamplerSpec, operations: Operations, device: Device = None):
        super().__init__()
        self.latents = nn.Parameter(
            torch.empty(1, spec.token_count, spec.query_width, device=device), requires_grad=False
        )
        self.time_embedding = TimeEmbedding(spec, operations, device=device)
        self.proj_in = operations.Linear(spec.feature_width, spec.query_width, device=device)
        self.layers = nn.ModuleList(
            TimeLayer(spec, operations, device=device) for _ in range(spec.layer_count)
        )
        self.proj_out = operations.Linear(spec.query_width, spec.token_width, device=device)
        self.norm_out = operations.LayerNorm(spec.token_width, device=device)

    def forward(self, hidden_states: Tensor, timestep: float) -> Tensor:
        time_embedding = self.time_embedding.embed(timestep, hidden_states)
        image_features = self.proj_in(hidden_states) + time_embedding[:, None]
        latents = self.latents.to(image_features).expand(len(hidden_states), -1, -1)
        for layer in self.layers:
            latents = layer(image_features, latents, time_embedding)
        return self.norm_out(self.proj_out(latents))


class HeadNorm(nn.Module):
    """RMSNorm over each head."""

    def __init__(self, device: Device = None):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(HEAD_WIDTH, device=device), requires_grad=False)

    def forward(self, tokens: Tensor) -> Tensor:
        heads = tokens.reshape(*tokens.shape[:-1], -1, HEAD_WIDTH)
        return (unit_heads(heads) * self.weight.to(tokens)).flatten(-2)


def unit_heads(heads: Tensor) -> Tensor:
    """[..., H] brought to a mean square of 1, in float32 within."""
    in_float = heads.float()
    mean_square = in_float.square().mean(-1, keepdim=True)
    return (in_float * torch.rsqrt(mean_square + NORM_EPS)).to(heads.dtype)


class TimeNorm(nn.Module):
    """LayerNorm that the time shifts and scales."""

    def __init__(
        self, token_width: int, time_width: int, operations: Operations, device: Device = None
    ):
        super().__init__()
        self.linear = operations.Linear(time_width, 2 * token_width, device=device)

    def forward(self, tokens: Tensor, time_embedding: Tensor) -> Tensor:
        shift, scale = self.linear(silu(time_embedding))[:, None].chunk(2, dim=-1)
        return layer_norm(tokens, tokens.shape[-1:], eps=NORM_EPS) * (1 + scale) + shift


class JointLayer(nn.Module):
    """Keys and values of one layer; norms for the queries and keys of the generated image, which
    takes part in the same attention.
    """

    def __init__(
        self,
        widths: tuple[int, int],  # of tokens, and of keys and values
        time_width: int,
        operations: Operations,
        device: Device = None,
    ):
        super().__init__()
        token_width, inner_width = widths
        self.norm_ip = TimeNorm(token_width, time_width, operations, device=device)
        self.to_k_ip = operations.Linear(token_width, inner_width, bias=False, device=device)
        self.to_v_ip = operations.Linear(token_width, inner_width, bias=False, device=device)
        self.norm_q, self.norm_k, self.norm_ip_k = (HeadNorm(device) for _ in range(3))

    def forward(self, tokens: Tensor, time_embedding: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.norm_ip(tokens, time_embedding)
        return self.norm_ip_k(self.to_k_ip(tokens)), self.to_v_ip(tokens)
