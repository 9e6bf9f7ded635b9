"""The part of a reference that is used, as a typed box."""

from torch import Tensor

from comfy_api.latest import io

from ...ipadapter_core.faces.face_square import Box, PictureSize, visible_part
from ...ipadapter_core.messages import Message, Predicate, printable
from ...ipadapter_core.weights.curves import numbers


def box_input() -> io.String.Input:
    return io.String.Input(
        "box",
        default="",
        optional=True,
        advanced=True,
        tooltip="The part of the reference to use, in its pixels: x, y, width, height. Type it, or "
        "draw it in the image below. Empty: the whole image. 'fit' makes this part square.",
    )


def parse_box(text: str) -> Box | None:
    """`x, y, width, height` in whole pixels; None for an empty text. Raises Predicate."""
    if not text.strip():
        return None
    pixels = numbers(text)
    if len(pixels) != 4 or any(pixel != int(pixel) for pixel in pixels):
        raise Predicate(
            "is '<1>': write four whole numbers, x, y, width, height, or nothing for the "
            "whole image",
            printable(text),
        )
    box = Box(*map(int, pixels))
    if box.width <= 0 or box.height <= 0:
        raise Predicate(
            "has the width <1> and the height <2>: both must be above 0; leave it empty for "
            "the whole image",
            f"{box.width:g}",
            f"{box.height:g}",
        )
    return box


def box_problem(text: object, node: str, input_name: str = "box") -> str | None:
    """The sentence for a text that is no box; a linked text is unknown before the graph runs."""
    try:
        parse_box(text if isinstance(text, str) else "")
    except Predicate as error:
        return Message("<1>'s '<2>' <3>.", node, input_name, error.message)
    return None


def crop_to_box(images: Tensor, text: str, node: str) -> Tensor:
    """The part of images [B, H, W, C] in the box. Raises ValueError for a box outside of them."""
    part = visible_box(images, text, node)
    return images[:, part.y : part.y + part.height, part.x : part.x + part.width]


def visible_box(images: Tensor, text: str, node: str) -> Box:
    """The part of a box that lies in images [B, H, W, C]; of no box, all of them."""
    problem = box_problem(text, node)
    if problem:
        raise ValueError(problem)
    height, width = images.shape[1:3]
    box = parse_box(text)
    if box is None:
        return Box(0, 0, width, height)
    part = visible_part(box, PictureSize(height, width))
    if not (part.width and part.height):
        raise ValueError(
            f"{node}'s 'box' ({printable(text.strip())}) lies outside the image of "
            f"{width} x {height} pixels: draw it again, or leave it empty for the whole image."
        )
    return part
