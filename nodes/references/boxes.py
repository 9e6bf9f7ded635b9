"""Boxes typed or drawn in a picture: which part of a reference is used, and the picture that the box editor shows."""

from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from comfy_api.latest import io, ui

from ...ipadapter_core.faces.face_square import Box, PictureSize, visible_part
from ...ipadapter_core.messages import Message, Predicate
from ...ipadapter_core.weights.curves import numbers

SHOWN = 768  # longer side of the picture in the editor, at most


def box_input() -> io.String.Input:
    return io.String.Input(
        "box",
        default="",
        optional=True,
        tooltip="Which part of the reference is used, in its pixels: x, y, width, height. Typed, "
        "or drawn in the picture below. Empty: all of it. 'fit' then makes that part square.",
    )


def parse_box(text: str) -> Box | None:
    """`x, y, width, height` in whole pixels; None for an empty text. Raises Predicate."""
    if not text.strip():
        return None
    found = numbers(text)
    if len(found) != 4 or any(one != int(one) for one in found):
        raise Predicate(
            "is '<1>': write four whole numbers, x, y, width, height, or nothing for the "
            "whole picture",
            text,
        )
    box = Box(*map(int, found))
    if box.width <= 0 or box.height <= 0:
        raise Predicate(
            "has the width <1> and the height <2>: both must be above 0; leave it empty for "
            "the whole picture",
            box.width,
            box.height,
        )
    return box


def box_problem(text: Any, node: str) -> str | None:
    """The sentence for a text that is no box, before anything runs; a linked one is not known yet."""
    try:
        parse_box(text if isinstance(text, str) else "")
    except Predicate as error:
        return Message("<1>'s 'box' <2>.", node, error.message)
    return None


def crop_to_box(pictures: Tensor, text: str, node: str) -> Tensor:
    """The part of pictures [B, H, W, C] that lies in the box. Raises ValueError for a box outside of them."""
    wrong = box_problem(text, node)
    if wrong:
        raise ValueError(wrong)
    box = parse_box(text)
    if box is None:
        return pictures
    height, width = pictures.shape[1:3]
    part = visible_part(box, PictureSize(height, width))
    if not (part.width and part.height):
        raise ValueError(
            f"{node}'s 'box' ({text.strip()}) lies outside the picture of {width} x {height} "
            "pixels: draw it again, or leave it empty for the whole picture."
        )
    return pictures[:, part.y : part.y + part.height, part.x : part.x + part.width]


def editor_picture(picture: Tensor) -> dict[str, Any]:
    """For a node's `ui`: a picture [H, W, C] as a small file, and how large it is, so that a box can be drawn in it."""
    height, width = picture.shape[:2]
    scale = min(1.0, SHOWN / max(height, width))
    size = [max(1, round(length * scale)) for length in (height, width)]
    small = picture[..., :3].movedim(-1, 0)[None].float()
    if scale < 1:
        small = interpolate(small, size, mode="area")
    saved = ui.PreviewImage(small.movedim(1, -1)).as_dict()["images"][0]
    return {"source": ({**saved, "width": width, "height": height},)}
