"""IMAGE and MASK values: what any node of the pack asks of them before it looks at them.

B pictures or masks of H x W, C channels.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..ipadapter_core.messages import printable

LARGEST_MEAN, SMALLEST_VALUE = 2.0, -4.0  # of a picture from 0 to 1; noise overshoots
LARGEST_SHOWN = 10**18  # of a whole number in a sentence
LARGEST_COUNT = 2**34  # of numbers in a batch: 64 GB; 300 pictures in 4K are less than half of it
LARGEST_MASK_VALUE = 10.0  # more than that is a mask from 0 to 255
LARGEST_CHANNELS = 4
WHITE = 255  # as a byte
# (lowest, highest, largest that the type holds) of integers -> which of them is white
WhiteOf = Callable[[int, int, int], int | None]


def require_images(value: object, node: str, input_name: str) -> Tensor:
    """An IMAGE [B, H, W, 1 to 4] as floats from 0 to 1. B may be 0: no picture.

    Raises ValueError for anything else, with the position of a picture that holds NaN.
    """
    if not isinstance(value, Tensor):
        raise ValueError(
            f"{node}'s '{input_name}' got {described(value)}: connect the IMAGE output of "
            "another node."
        )
    _require_plain(value, node, input_name)
    if value.ndim != 4 or 0 in value.shape[1:] or value.shape[-1] > LARGEST_CHANNELS:
        raise ValueError(
            f"{node}'s '{input_name}' must be images of shape [batch, height, width, channels], "
            f"found {list(value.shape)}: connect the IMAGE output of another node."
        )
    images = _as_floats(value, f"{node}'s '{input_name}'", _picture_white)
    for number, picture in enumerate(images, 1):
        _require_picture_values(
            picture, f"{node}'s '{input_name}' number {number} of {len(images)}"
        )
    return images


def _require_picture_values(picture: Tensor, place: str) -> None:
    darkest, brightest = picture.aminmax()
    if not (darkest.isfinite() and brightest.isfinite()):
        raise ValueError(
            f"{place} holds NaN or infinite values: repair the node it comes from (often a "
            "VAE in half precision)."
        )
    if darkest < SMALLEST_VALUE or (brightest > LARGEST_MEAN and picture.mean() > LARGEST_MEAN):
        raise ValueError(
            f"{place} has values from {float(darkest):g} to {float(brightest):g}: an image has "
            "values from 0 to 1, so scale it first."
        )


def rgb(image: object, node: str, input_name: str) -> Tensor:
    """[B, H, W, 1 to 4] -> [B, H, W, 3]; alpha is dropped, grey is repeated."""
    images = require_images(image, node, input_name)
    return images[..., :3] if images.shape[-1] >= 3 else images[..., :1].expand(-1, -1, -1, 3)


def require_masks(value: object, node: str, input_name: str) -> Tensor:
    """A MASK [B, H, W], also with one channel or without a batch, as floats [B, H, W].

    Raises ValueError for anything else.
    """
    if not isinstance(value, Tensor):
        raise ValueError(
            f"{node}'s '{input_name}' got {described(value)}: connect the MASK output of "
            "another node."
        )
    _require_plain(value, node, input_name)
    masks = _without_channel(value)
    if masks is None or 0 in masks.shape:
        raise ValueError(
            f"{node}'s '{input_name}' must be masks of shape [batch, height, width], "
            f"found {list(value.shape)}: connect the MASK output of another node."
        )
    masks = _as_floats(masks, f"{node}'s '{input_name}'", _mask_white)
    for number, mask in enumerate(masks, 1):
        lowest, highest = mask.aminmax()
        if not (lowest.isfinite() and highest.isfinite()):
            raise ValueError(
                f"{node}'s '{input_name}' number {number} of {len(masks)} holds NaN or infinite "
                "values: repair the node it comes from."
            )
        if max(-lowest, highest) > LARGEST_MASK_VALUE:
            raise ValueError(
                f"{node}'s '{input_name}' has values from {float(lowest):g} to {float(highest):g}: "
                "a mask is 0 where it is black and 1 where it is white, so scale it first."
            )
    return masks


def _require_plain(value: Tensor, node: str, input_name: str) -> None:
    """Numbers one after another in memory, which everything here computes with."""
    if value.layout is not torch.strided or value.is_meta or value.is_quantized:
        raise ValueError(
            f"{node}'s '{input_name}' is sparse, quantized or without data: connect an output "
            "that holds its numbers."
        )
    if value.numel() > LARGEST_COUNT:
        raise ValueError(
            f"{node}'s '{input_name}' is {list(value.shape)}, which is too large for any memory: "
            "connect fewer or smaller images."
        )


def described(value: object) -> str:
    """A value of a wrong type, in a few words: 'a str (seven)'."""
    if value is None:
        return "nothing"
    if isinstance(value, int) and abs(value) > LARGEST_SHOWN:
        return "a very large int"
    text = f" ({printable(repr(value))[:40]})" if isinstance(value, str | int | float) else ""
    return f"a {type(value).__name__}{text}"


def _without_channel(mask: Tensor) -> Tensor | None:
    """[H, W], [B, H, W], [B, 1, H, W], [1, B, H, W] or [B, H, W, 1] as [B, H, W]; None for another
    shape, as that of a picture.
    """
    if mask.ndim == 2:
        return mask[None]
    if mask.ndim == 4 and mask.shape[1] == 1:
        return mask[:, 0]
    if mask.ndim == 4 and mask.shape[-1] == 1:
        return mask[..., 0]
    if mask.ndim == 4 and mask.shape[0] == 1 and mask.shape[-1] > LARGEST_CHANNELS:
        return mask[0]
    return mask if mask.ndim == 3 else None


def _as_floats(values: Tensor, place: str, white_of: WhiteOf) -> Tensor:
    """Bytes from 0 to 255 and truth values are what they always mean; of other integers the values
    tell it.
    """
    if values.dtype == torch.uint8:
        return values.float() / WHITE
    if values.dtype == torch.bool or values.is_floating_point():
        return values.float()
    if values.is_complex():
        raise _unclear_numbers(values, place)
    lowest, highest = map(int, values.long().aminmax()) if values.numel() else (0, 0)
    white = white_of(lowest, highest, torch.iinfo(values.dtype).max)
    if white is None:
        raise _unclear_numbers(values, place, f" from {lowest} to {highest}")
    return values.float() / white


def _picture_white(lowest: int, highest: int, largest_integer: int) -> int | None:
    """Which integer is white in a picture; None where 1 may be white or nearly black, or where the
    type holds no 255.
    """
    is_clear = lowest >= 0 and 1 < highest <= WHITE <= largest_integer
    return WHITE if is_clear or lowest == highest == 0 else None


def _mask_white(lowest: int, highest: int, largest_integer: int) -> int | None:
    """Which integer is white in a mask; None where they may be the labels of a segmentation."""
    is_clear = lowest >= 0 and highest in (0, 1, WHITE)
    return max(highest, 1) if is_clear else None


def _unclear_numbers(values: Tensor, place: str, limits: str = "") -> ValueError:
    type_name = str(values.dtype).removeprefix("torch.")
    return ValueError(
        f"{place} is made of {type_name} numbers{limits}, which can be read in several ways: "
        "connect floats from 0 to 1, or bytes."
    )
