"""The picture nodes of IPAdapter_plus: prepared and noisy pictures, and the tiles of a large reference."""

from math import ceil

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from ...pictures import rgb
from . import input_specs as w
from .encoder_views import SIDE
from .old_node import OldNode

FILTERS = ["LANCZOS", "BICUBIC", "HAMMING", "BILINEAR", "BOX", "NEAREST"]
CROPS = ["top", "bottom", "left", "right", "center", "pad"]
KINDS = ["fade", "dissolve", "gaussian", "shuffle"]
PRIME = 1000000007  # of the seed that a picture gives
TILE, MOST = 256, 4  # pixels of a tile, tiles along a side


class PrepImageForClipVision(OldNode):
    NODE_ID, NAME = "PrepImageForClipVision", "Prep Image For ClipVision"
    INSTEAD = "the input 'fit' of Apply IPAdapter, or the host's image nodes"
    RETURN_TYPES, FUNCTION = ("IMAGE",), "prep_image"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "image": w.link("IMAGE", "The reference."),
                "interpolation": w.choice(FILTERS, "How it is resized."),
                "crop_position": w.choice(CROPS, "Which part of it is kept."),
                "sharpening": w.SHARPENING,
            }
        )

    def prep_image(self, image, interpolation="LANCZOS", crop_position="center", sharpening=0.0):
        return (prepared(image, interpolation, crop_position, SIDE, sharpening, self.NAME),)


class IPAdapterNoise(OldNode):
    NODE_ID, NAME, INSTEAD = "IPAdapterNoise", "IPAdapter Noise", "IPAdapter Negative Reference"
    RETURN_TYPES, FUNCTION = ("IMAGE",), "make_noise"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "type": w.choice(KINDS, "The kind of noise."),
                "strength": w.number(1.0, 0, 1, 0.05, "How much noise."),
                "blur": w.count(0, 0, 32, "How far the noisy picture is blurred."),
            },
            {"image_optional": w.link("IMAGE", "The picture it is put into; black without one.")},
        )

    def make_noise(self, type, strength, blur, image_optional=None):
        from torchvision.transforms import functional as T

        picture = torch.zeros(1, SIDE, SIDE, 3)
        if image_optional is not None:
            picture = small_square(rgb(image_optional, self.NAME, "image_optional"))
        with torch.random.fork_rng(devices=[]):  # the same numbers, and nobody else's change
            torch.manual_seed(int(picture.sum().item()) % PRIME)
            made = _noisy(picture, type, strength).clamp(0, 1)
        if blur:
            size = blur + (blur % 2 == 0)
            made = T.gaussian_blur(made.movedim(-1, 1), [size, size]).movedim(1, -1)
        return (made,)


def prepared(image, interpolation, crop_position, side, sharpening, node, border=0) -> Tensor:
    """Pictures cut or padded to a square and resized as 8-bit pictures, with a white border. Raises ValueError."""
    check_options(node, interpolation, FILTERS, crop_position, CROPS)
    channels = squared(rgb(image, node, "image").movedim(-1, 1), crop_position)
    channels = resized(channels, (side, side), interpolation)
    if sharpening:
        channels = sharpened(channels, sharpening)
    return pad(channels, (border,) * 4, value=1.0).movedim(1, -1)


def check_options(
    node: str, interpolation: str, filters: list[str], position: str, positions: list[str]
) -> None:
    """Raises ValueError for options that no release had."""
    if interpolation not in filters or position not in positions:
        raise ValueError(
            f"{node} has the unknown option '{interpolation}' or '{position}': choose one of {', '.join(filters)}, and of {', '.join(positions)}."
        )


def small_square(pictures: Tensor) -> Tensor:
    """The middle square at the encoder's size, [B, 224, 224, 3]."""
    from torchvision.transforms import InterpolationMode, functional as T

    channels = T.center_crop(pictures.movedim(-1, 1), [min(pictures.shape[1:3])] * 2)
    small = T.resize(channels, [SIDE, SIDE], InterpolationMode.BICUBIC, antialias=True)
    return small.movedim(1, -1)


def resized(channels: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """[B, 3, H, W] -> width, height of `size`, by Pillow."""
    from torchvision.transforms import functional as T

    filter = Image.Resampling[interpolation]
    pictures = (T.to_pil_image(one).resize(size, resample=filter) for one in channels.float().cpu())
    return torch.stack([T.to_tensor(one) for one in pictures])


def sharpened(channels: Tensor, amount: float) -> Tensor:
    """Contrast adaptive sharpening of [B, 3, H, W], 0 to 1; black around.

    AMD FidelityFX CAS: https://gpuopen.com/fidelityfx-cas/
    """
    height, width = channels.shape[-2:]
    wide = pad(channels.float().cpu(), (1, 1, 1, 1))

    def moved(y: int, x: int) -> Tensor:
        return wide[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width]

    middle = moved(0, 0)
    sides = torch.stack([moved(-1, 0), moved(0, -1), moved(0, 1), moved(1, 0)])
    corners = torch.stack([moved(y, x) for y in (-1, 1) for x in (-1, 1)])
    cross = torch.cat((sides, middle[None]))
    low = cross.amin(0).clamp(min=0) + corners.amin(0).clamp(min=0)
    high = cross.amax(0).clamp(max=1) + corners.amax(0).clamp(max=1)
    contrast = (high.reciprocal() * torch.minimum(low, 2 - high)).sqrt()
    share = -contrast * (amount * (1 / 5 - 1 / 8) + 1 / 8)
    made = (sides.sum(0) * share + middle) * (1 + 4 * share).reciprocal()
    return made.nan_to_num().clamp(0, 1)


def tiled(image: Tensor, mask: Tensor | None, sharpening: float, node: str):
    """Tiles [B, 256, 256, 3] of pictures, row by row, and where each acts [M, H, W]; where they overlap they add."""
    from torchvision.transforms import InterpolationMode, functional as T

    channels = rgb(image, node, "image").movedim(-1, 1)
    height, width = channels.shape[-2:]
    shade = torch.ones(1, height, width) if mask is None else mask.reshape(-1, *mask.shape[-2:])
    shade = shade[:, None].to(channels)

    def fitted(size: tuple[int, int]) -> Tensor:
        return T.resize(shade, list(size), InterpolationMode.BICUBIC, antialias=True)

    shade = fitted((height, width))
    if 0.75 < height / width < 1.33:  # nearly a square: 2 x 2
        square = [min(height, width)] * 2
        channels, shade = T.center_crop(channels, square), T.center_crop(shade, square)
        size = 2 * TILE, 2 * TILE
    elif height < width:
        size = int(TILE * width / height), TILE
    else:
        size = TILE, int(TILE * height / width)
    channels, shade = resized(channels, size, "LANCZOS"), fitted((size[1], size[0]))
    if not 1 / MOST <= height / width <= MOST:
        kept = [TILE, MOST * TILE] if height < width else [MOST * TILE, TILE]
        channels, shade = T.center_crop(channels, kept), T.center_crop(shade, kept)
    if sharpening:
        channels = sharpened(channels, sharpening)
    return _cut(channels.movedim(1, -1), shade[:, 0].cpu())


def _cut(pictures: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    height, width = pictures.shape[1:3]
    starts: list[list[int]] = []
    for length in (height, width):
        count = ceil(length / TILE)
        step = TILE - max(0.0, (count * TILE - length) / max(1, count - 1))
        starts.append([int(number * step) for number in range(count)])
    tiles: list[Tensor] = []
    masks: list[Tensor] = []
    for y in starts[0]:
        for x in starts[1]:
            here = (slice(None), slice(y, y + TILE), slice(x, x + TILE))
            tiles.append(pictures[here])
            own = torch.zeros_like(mask)
            own[here] = mask[here]
            masks.append(own)
    return tiles, masks


def squared(channels: Tensor, position: str) -> Tensor:
    """[B, 3, H, W] cut to a square, or padded with black to one."""
    height, width = channels.shape[-2:]
    if position == "pad":
        across, down = max(0, height - width) // 2, max(0, width - height) // 2
        return pad(channels, (across, across, down, down))
    side = min(height, width)
    top = {"top": 0, "bottom": height - side}.get(position, (height - side) // 2)
    left = {"left": 0, "right": width - side}.get(position, (width - side) // 2)
    return channels[:, :, top : top + side, left : left + side]


def _noisy(picture: Tensor, kind: str, strength: float) -> Tensor:
    """The draws in the order that gives IPAdapter_plus's numbers for the same seed."""
    from torchvision import transforms

    if kind == "fade":
        return picture * (1 - strength) + torch.rand_like(picture) * strength
    if kind == "dissolve":
        replaced = (torch.rand_like(picture) < strength).float()
        return picture * (1 - replaced) + torch.rand_like(picture) * replaced
    if kind == "gaussian":
        return picture + torch.randn_like(picture) * strength
    if kind != "shuffle":
        raise ValueError(
            f"IPAdapter Noise has the unknown type '{kind}': choose one of {', '.join(KINDS)}."
        )
    elastic = transforms.ElasticTransform(alpha=75.0, sigma=(1 - strength) * 3.5)
    moved = _turned_over(elastic(picture.movedim(-1, 1))).movedim(1, -1)
    noise = torch.randn_like(moved) * (strength * 0.75)
    return moved * (1 - noise) + noise


def _turned_over(channels: Tensor) -> Tensor:
    """Both flips; each asks the generator whether to, and always does."""
    torch.rand(1)
    torch.rand(1)
    return channels.flip(-2, -1)


NODES = [PrepImageForClipVision, IPAdapterNoise]
