"""Noise as a negative reference: the four kinds of IPAdapter_plus, with a generator of their own.

Images [B, H, W, 3], 0 to 1.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import conv2d, grid_sample, pad

ELASTIC, SMOOTH = 75.0, 3.5  # of the shuffle: how far pixels move, and how smoothly, at strength 0


def noisy(
    reference_image: Tensor, kind: str, strength: float, seed: int, blur_radius: int = 0
) -> Tensor:
    """The image with noise in it; strength 0 to 1, blur_radius in pixels."""
    generator = torch.Generator().manual_seed(seed)
    noisy_image = NOISES[kind](reference_image.float().cpu(), strength, generator).clamp(0, 1)
    if blur_radius:
        noisy_image = _blurred(noisy_image, 2 * blur_radius + 1, 0.3 * blur_radius + 0.8)
    return noisy_image.to(reference_image)


def _normal(reference_image: Tensor, generator: Generator) -> Tensor:
    return torch.randn(reference_image.shape, generator=generator)


def _uniform(reference_image: Tensor, generator: Generator) -> Tensor:
    return torch.rand(reference_image.shape, generator=generator)


def _fade(reference_image: Tensor, strength: float, generator: Generator) -> Tensor:
    return reference_image * (1 - strength) + _uniform(reference_image, generator) * strength


def _dissolve(reference_image: Tensor, strength: float, generator: Generator) -> Tensor:
    is_replaced = _uniform(reference_image, generator) < strength
    return torch.where(is_replaced, _uniform(reference_image, generator), reference_image)


def _gaussian(reference_image: Tensor, strength: float, generator: Generator) -> Tensor:
    return reference_image + _normal(reference_image, generator) * strength


def _shuffle(reference_image: Tensor, strength: float, generator: Generator) -> Tensor:
    moved_image = _elastic(reference_image, (1 - strength) * SMOOTH, generator)
    shuffled_image = moved_image.flip(1, 2)
    noise_share = _normal(reference_image, generator) * strength * 0.75
    return shuffled_image * (1 - noise_share) + noise_share


def _elastic(reference_image: Tensor, sigma: float, generator: Generator) -> Tensor:
    """Every pixel moved by smooth random amounts."""
    image_count, height, width = reference_image.shape[:3]
    pixel_offsets = torch.rand(image_count, height, width, 2, generator=generator) * 2 - 1
    if sigma > 0:
        pixel_offsets = _blurred(pixel_offsets, 2 * round(4 * sigma) + 1, sigma)
    pixel_offsets = pixel_offsets * ELASTIC / torch.tensor([width, height])
    row_positions, column_positions = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    position_grid = torch.meshgrid(row_positions, column_positions, indexing="ij")
    identity_grid = torch.stack(position_grid[::-1], -1)
    moved_image = grid_sample(
        reference_image.movedim(-1, 1),
        identity_grid + pixel_offsets,
        padding_mode="reflection",
        align_corners=True,
    )
    return moved_image.movedim(1, -1)


def _blurred(images: Tensor, kernel_size: int, sigma: float) -> Tensor:
    """[B, H, W, C] under a Gaussian of `kernel_size` pixels."""
    kernel_positions = torch.arange(kernel_size) - kernel_size // 2
    blur_kernel = torch.exp(-(kernel_positions**2) / (2 * sigma**2))
    blur_kernel = blur_kernel / blur_kernel.sum()
    image_channels = images.movedim(-1, 1).flatten(0, 1)[:, None]  # [B * C, 1, H, W]
    kernel_radius = kernel_size // 2
    image_channels = pad(image_channels, (kernel_radius,) * 4, mode="replicate")
    image_channels = conv2d(image_channels, blur_kernel.view(1, 1, 1, -1))
    image_channels = conv2d(image_channels, blur_kernel.view(1, 1, -1, 1))
    return image_channels.reshape(len(images), -1, *image_channels.shape[2:]).movedim(1, -1)


NOISES: dict[str, Callable[[Tensor, float, Generator], Tensor]] = {
    "fade": _fade,
    "dissolve": _dissolve,
    "gaussian": _gaussian,
    "shuffle": _shuffle,
}
