"""The picture nodes of IPAdapter_plus: prepared and noisy pictures."""

from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad

import comfy.utils

from ....ipadapter_core.references.noise import NOISES
from ...pictures import rgb
from .encoder_views import ENCODER_SIZE
from .input_specs import CROPS, PILLOW_FILTERS, TORCH_FILTERS
from .old_node import OldNode, unknown_option

SEED_MODULUS = 1000000007  # of the seed that a picture gives


class PrepareImage(OldNode):
    """A picture cut to a square and resized."""

    FUNCTION = "prep_image"
    FILTERS: ClassVar[list[str]] = PILLOW_FILTERS
    POSITIONS: ClassVar[list[str]] = [*CROPS, "pad"]

    def square(self, image: Tensor, crop_position: str, interpolation: str) -> Tensor:
        """[B, 3, S, S], as large as it can be. Raises ValueError for unknown options."""
        if interpolation not in self.FILTERS or crop_position not in self.POSITIONS:
            raise ValueError(
                f"{self.NAME} has the unknown option '{interpolation}' or '{crop_position}': "
                f"choose one of {', '.join(self.FILTERS)}, and of {', '.join(self.POSITIONS)}."
            )
        return to_square(rgb(image, self.NAME, "image").movedim(-1, 1), crop_position)


class PrepareForClipVision(PrepareImage):
    def compute(self, image, interpolation="LANCZOS", crop_position="center", sharpening=0.0):
        channels = self.square(image, crop_position, interpolation)
        channels = resize_by_pillow(channels, (ENCODER_SIZE, ENCODER_SIZE), interpolation)
        return (sharpen(channels, sharpening).movedim(1, -1),)


class PrepareForInsightFace(PrepareImage):
    """Until March 2024: 640 pixels, with a white border around a face that fills its picture."""

    def compute(self, image, crop_position="center", sharpening=0.0, pad_around=True):
        side, border = (580, 30) if pad_around else (640, 0)
        channels = self.square(image, crop_position, "LANCZOS")
        channels = sharpen(resize_by_pillow(channels, (side, side), "LANCZOS"), sharpening)
        return (pad(channels, (border,) * 4, value=1.0).movedim(1, -1),)


class PrepareWithWeight(PrepareImage):
    """`PrepImageForClipVision` until 2023-10-12."""

    FILTERS: ClassVar[list[str]] = TORCH_FILTERS
    POSITIONS: ClassVar[list[str]] = CROPS

    def compute(
        self,
        image,
        interpolation="lanczos",
        crop_position="center",
        sharpening=0.0,
        add_weight=False,
    ):
        channels = self.square(image, crop_position, interpolation)
        size = ENCODER_SIZE, ENCODER_SIZE
        if interpolation == "lanczos":
            channels = comfy.utils.lanczos(channels, *size)
        else:
            channels = interpolate(channels, size, mode=interpolation)
        pictures = sharpen(channels, sharpening).movedim(1, -1)
        return (torch.cat((pictures, pictures)) if add_weight else pictures,)


class MakeNoise(OldNode):
    FUNCTION = "make_noise"

    def compute(self, type, strength, blur, image_optional=None):
        from torchvision.transforms import functional as vision

        picture = torch.zeros(1, ENCODER_SIZE, ENCODER_SIZE, 3)
        if image_optional is not None:
            picture = small_square(rgb(image_optional, self.NAME, "image_optional"))
        with torch.random.fork_rng(devices=[]):  # the same numbers, and nobody else's change
            torch.manual_seed(int(picture.sum().item()) % SEED_MODULUS)
            noisy = self._add_noise(picture, type, strength).clamp(0, 1)
        if blur:
            size = blur + (blur % 2 == 0)
            noisy = vision.gaussian_blur(noisy.movedim(-1, 1), [size, size]).movedim(1, -1)
        return (noisy,)

    def _add_noise(self, picture: Tensor, noise_type: str, strength: float) -> Tensor:
        """The draws in the order that gives IPAdapter_plus's numbers for the same seed."""
        if noise_type == "fade":
            return picture * (1 - strength) + torch.rand_like(picture) * strength
        if noise_type == "dissolve":
            replaced = (torch.rand_like(picture) < strength).float()
            return picture * (1 - replaced) + torch.rand_like(picture) * replaced
        if noise_type == "gaussian":
            return picture + torch.randn_like(picture) * strength
        if noise_type != "shuffle":
            raise unknown_option("IPAdapter Noise", "type", noise_type, NOISES)
        distorted = _distort(picture, (1 - strength) * 3.5)
        noise = torch.randn_like(distorted) * (strength * 0.75)
        return distorted * (1 - noise) + noise


def shuffled(pictures: Tensor, noise: float) -> Tensor:
    """The negative picture of the nodes before March 2024, [B, 224, 224, 3]; always the same."""
    small = small_square(pictures.cpu())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        distorted = _distort(small, noise * 3.5)
        return distorted + (0.25 * (1 - noise) + 0.05) * torch.randn_like(distorted)


def small_square(pictures: Tensor) -> Tensor:
    """The middle square at the encoder's size, [B, 224, 224, 3]."""
    from torchvision.transforms import InterpolationMode, functional as vision

    channels = vision.center_crop(pictures.movedim(-1, 1), [min(pictures.shape[1:3])] * 2)
    size = [ENCODER_SIZE, ENCODER_SIZE]
    small = vision.resize(channels, size, InterpolationMode.BICUBIC, antialias=True)
    return small.movedim(1, -1)


def to_square(channels: Tensor, position: str) -> Tensor:
    """[B, 3, H, W] cut to a square, or padded with black to one."""
    height, width = channels.shape[-2:]
    if position == "pad":
        across, down = max(0, height - width) // 2, max(0, width - height) // 2
        return pad(channels, (across, across, down, down))
    side = min(height, width)
    top = {"top": 0, "bottom": height - side}.get(position, (height - side) // 2)
    left = {"left": 0, "right": width - side}.get(position, (width - side) // 2)
    return channels[:, :, top : top + side, left : left + side]


def resize_by_pillow(channels: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """[B, 3, H, W] -> width, height of `size`, in 8 bits."""
    from torchvision.transforms import functional as vision

    resample = Image.Resampling[interpolation]
    pictures = [vision.to_pil_image(picture) for picture in channels.float().cpu()]
    resized = [picture.resize(size, resample=resample) for picture in pictures]
    return torch.stack([vision.to_tensor(picture) for picture in resized])


def sharpen(channels: Tensor, amount: float) -> Tensor:
    """Contrast adaptive sharpening of [B, 3, H, W], 0 to 1, with black around; 0 changes nothing.

    AMD FidelityFX CAS: https://gpuopen.com/fidelityfx-cas/
    """
    if not amount:
        return channels
    height, width = channels.shape[-2:]
    padded = pad(channels.float().cpu(), (1, 1, 1, 1))

    def shifted(y: int, x: int) -> Tensor:
        return padded[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width]

    middle = shifted(0, 0)
    sides = torch.stack([shifted(-1, 0), shifted(0, -1), shifted(0, 1), shifted(1, 0)])
    corners = torch.stack([shifted(y, x) for y in (-1, 1) for x in (-1, 1)])
    cross = torch.cat((sides, middle[None]))
    low = cross.amin(0).clamp(min=0) + corners.amin(0).clamp(min=0)
    high = cross.amax(0).clamp(max=1) + corners.amax(0).clamp(max=1)
    contrast = (high.reciprocal() * torch.minimum(low, 2 - high)).sqrt()
    share = -contrast * (amount * (1 / 5 - 1 / 8) + 1 / 8)
    sharpened = (sides.sum(0) * share + middle) * (1 + 4 * share).reciprocal()
    return sharpened.nan_to_num().clamp(0, 1)


def _distort(pictures: Tensor, sigma: float) -> Tensor:
    """Pixels moved about, and both flips, for which torchvision asks the generator twice."""
    from torchvision import transforms

    distorted: Any = transforms.ElasticTransform(alpha=75.0, sigma=sigma)(pictures.movedim(-1, 1))
    torch.rand(1)
    torch.rand(1)
    return distorted.flip(-2, -1).movedim(1, -1)
