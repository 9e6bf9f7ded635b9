"""Noise as a negative reference: the four kinds of IPAdapter_plus, with a generator of their own.

Pictures [B, H, W, 3], 0 to 1.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import conv2d, grid_sample, pad

ELASTIC, SMOOTH = 75.0, 3.5  # of the shuffle: how far pixels move, and how smoothly, at strength 0


def noisy(picture: Tensor, kind: str, strength: float, seed: int, blur: int = 0) -> Tensor:
    """The picture with noise in it; strength 0 to 1, blur: radius in pixels."""
    source = torch.Generator().manual_seed(seed)
    made = NOISES[kind](picture.float().cpu(), strength, source).clamp(0, 1)
    return (_blurred(made, 2 * blur + 1, 0.3 * blur + 0.8) if blur else made).to(picture)


def _normal(picture: Tensor, source: Generator) -> Tensor:
    return torch.randn(picture.shape, generator=source)


def _uniform(picture: Tensor, source: Generator) -> Tensor:
    return torch.rand(picture.shape, generator=source)


def _fade(picture: Tensor, strength: float, source: Generator) -> Tensor:
    return picture * (1 - strength) + _uniform(picture, source) * strength


def _dissolve(picture: Tensor, strength: float, source: Generator) -> Tensor:
    replaced = _uniform(picture, source) < strength
    return torch.where(replaced, _uniform(picture, source), picture)


def _gaussian(picture: Tensor, strength: float, source: Generator) -> Tensor:
    return picture + _normal(picture, source) * strength


def _shuffle(picture: Tensor, strength: float, source: Generator) -> Tensor:
    moved = _elastic(picture, (1 - strength) * SMOOTH, source).flip(1, 2)
    share = _normal(picture, source) * strength * 0.75
    return moved * (1 - share) + share


def _elastic(picture: Tensor, sigma: float, source: Generator) -> Tensor:
    """Every pixel moved by smooth random amounts."""
    count, height, width = picture.shape[:3]
    moves = torch.rand(count, height, width, 2, generator=source) * 2 - 1
    if sigma > 0:
        moves = _blurred(moves, 2 * round(4 * sigma) + 1, sigma)
    moves = moves * ELASTIC / torch.tensor([width, height])
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    plain = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1)
    found = grid_sample(
        picture.movedim(-1, 1), plain + moves, padding_mode="reflection", align_corners=True
    )
    return found.movedim(1, -1)


def _blurred(picture: Tensor, size: int, sigma: float) -> Tensor:
    """[B, H, W, C] under a Gaussian of `size` pixels."""
    steps = torch.arange(size) - size // 2
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    channels = picture.movedim(-1, 1).flatten(0, 1)[:, None]  # [B * C, 1, H, W]
    half = size // 2
    channels = pad(channels, (half, half, half, half), mode="replicate")
    channels = conv2d(conv2d(channels, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return channels.reshape(len(picture), -1, *channels.shape[2:]).movedim(1, -1)


NOISES: dict[str, Callable[[Tensor, float, Generator], Tensor]] = {
    "fade": _fade,
    "dissolve": _dissolve,
    "gaussian": _gaussian,
    "shuffle": _shuffle,
}
