"""Reference images as tensors: made square as an image encoder needs them, cut into tiles, shrunk.

B images of H x W, C channels, S side of a square.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

CROP, PAD, STRETCH = "crop", "pad", "stretch"
FITS = [CROP, PAD, STRETCH]
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training images


def pad_to_square(images: Tensor, fit: str) -> Tensor:
    """[B, H, W, 3], padded to squares if `fit` is pad; an encoder crops or stretches by itself."""
    height, width = images.shape[1:3]
    if fit != PAD or height == width:
        return images
    square_side = max(height, width)
    top, left = (square_side - height) // 2, (square_side - width) // 2
    margins = (0, 0, left, square_side - width - left, top, square_side - height - top)
    # Grey of CLIP's mean colour: zeros after normalisation, the value that tells an encoder least.
    mean_grey = images.new_tensor(CLIP_MEAN)
    return pad(images - mean_grey, margins) + mean_grey


def full_size_square(reference_image: Tensor, fit: str) -> Tensor:
    """[1, H, W, 3] -> [1, S, S, 3]: what an encoder sees of it, before it is scaled down."""
    if fit == PAD:
        return pad_to_square(reference_image, fit)
    height, width = reference_image.shape[1:3]
    square_side = min(height, width)
    if fit == CROP:
        top, left = (height - square_side) // 2, (width - square_side) // 2
        return reference_image[:, top : top + square_side, left : left + square_side]
    square_size = (square_side, square_side)
    stretched_image = interpolate(
        reference_image.movedim(-1, 1), square_size, mode="bicubic", antialias=True
    )
    return stretched_image.clamp(0, 1).movedim(1, -1)


def to_bytes(image: Tensor) -> Tensor:
    """0 to 1 -> 0 to 255, rounded; what lies beyond is cut off."""
    return (image.clamp(0, 1) * 255).round().byte()


def cut_tiles(square_image: Tensor, tiles_per_side: int) -> Tensor:
    """[1, S, S, 3] -> [n * n, s, s, 3], n tiles per side, row by row, cut at the nearest pixel.

    The tiles are equally large; they overlap where S is no multiple of n, which is at most S.
    """
    square_side = square_image.shape[1]
    tile_size = -(-square_side // tiles_per_side)
    tile_starts = [
        round(tile_number * (square_side - tile_size) / max(1, tiles_per_side - 1))
        for tile_number in range(tiles_per_side)
    ]
    tile_slices = [slice(start, start + tile_size) for start in tile_starts]
    return torch.cat(
        [square_image[:, rows, columns] for rows in tile_slices for columns in tile_slices]
    )


def scale_to_side(images: Tensor, longer_side: int, mode: str) -> Tensor:
    """[B, H, W, C] whose longer side becomes `longer_side`, in one of torch's modes."""
    current_side = max(images.shape[1:3])
    target_size = [
        max(1, round(length * longer_side / current_side)) for length in images.shape[1:3]
    ]
    use_antialias = mode in ("bilinear", "bicubic")
    scaled_images = interpolate(
        images.movedim(-1, 1).float(), target_size, mode=mode, antialias=use_antialias
    )
    return scaled_images.movedim(1, -1)
