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
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    margins = (0, 0, left, side - width - left, top, side - height - top)
    # Grey of CLIP's mean colour: zeros after normalisation, the value that tells an encoder least.
    grey = images.new_tensor(CLIP_MEAN)
    return pad(images - grey, margins) + grey


def full_size_square(image: Tensor, fit: str) -> Tensor:
    """[1, H, W, 3] -> [1, S, S, 3]: what an encoder sees of it, before it is scaled down."""
    if fit == PAD:
        return pad_to_square(image, fit)
    height, width = image.shape[1:3]
    side = min(height, width)
    if fit == CROP:
        top, left = (height - side) // 2, (width - side) // 2
        return image[:, top : top + side, left : left + side]
    stretched = interpolate(image.movedim(-1, 1), (side, side), mode="bicubic", antialias=True)
    return stretched.clamp(0, 1).movedim(1, -1)


def cut_tiles(square: Tensor, count: int) -> Tensor:
    """[1, S, S, 3] -> [count * count, s, s, 3], row by row, cut at the nearest pixel.

    The tiles are equally large; they overlap where S is no multiple of count, which is at most S.
    """
    side = square.shape[1]
    size = -(-side // count)
    starts = [round(number * (side - size) / max(1, count - 1)) for number in range(count)]
    return torch.cat([square[:, y : y + size, x : x + size] for y in starts for x in starts])


def scale_to_side(images: Tensor, longer_side: int, mode: str) -> Tensor:
    """[B, H, W, C] whose longer side becomes `longer_side`, in one of torch's modes."""
    side = max(images.shape[1:3])
    size = [max(1, round(length * longer_side / side)) for length in images.shape[1:3]]
    antialias = mode in ("bilinear", "bicubic")
    scaled = interpolate(images.movedim(-1, 1).float(), size, mode=mode, antialias=antialias)
    return scaled.movedim(1, -1)
