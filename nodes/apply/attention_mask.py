"""The one check of attention masks, and the mask of a typed region; every mask that sampling gets
comes from here.
"""

import logging

import torch
from torch import Tensor

from ...ipadapter_core.faces.face_square import PictureSize, visible_part
from ...ipadapter_core.messages import Message, printable
from ..pictures import require_masks
from ..references.boxes import box_problem, parse_box

SIDE = 400  # pixels of a mask that is drawn as a box: four for each percent
log = logging.getLogger("ipadapter")


def checked_mask(mask: object, node: str, input_name: str = "attn_mask") -> Tensor | None:
    """Any MASK as [M, H, W]. Raises ValueError, with node and input, for anything else."""
    if mask is None:
        return None
    masks = require_masks(mask, node, input_name)
    for note in mask_notes(masks, input_name):
        log.warning("%s: %s", node, note)
    return masks


def mask_notes(masks: Tensor | None, input_name: str = "attn_mask") -> list[Message]:
    """The notes of a node on a checked mask."""
    if masks is None or masks.any():
        return []
    return [Message("'<1>' is black everywhere: the reference has no effect.", input_name)]


def region_notes(mask: Tensor | None, own_mask: Tensor | None) -> list[Message]:
    """The notes of IPAdapter Region on its mask, and on the part of it in its box."""
    notes = mask_notes(mask, "mask")
    if notes or own_mask is None or own_mask.any():
        return notes
    return [Message("'mask' and 'region_box' do not overlap: the reference has no effect.")]


def region_mask(mask: object, region_box: str, node: str) -> Tensor | None:
    """A region's mask [M, H, W]: a MASK, a box, or where both overlap; None for everywhere.

    region_box: x, y, width, height in percent of the generated image. Raises ValueError for a box
    outside of it, and for what is no mask.
    """
    masks = checked_mask(mask, node, "mask")
    problem = box_problem(region_box, node, "region_box")
    if problem:
        raise ValueError(problem)
    box = parse_box(region_box)
    if box is None:
        return masks
    part = visible_part(box, PictureSize(100, 100))
    if not (part.width and part.height):
        raise ValueError(
            f"{node}'s 'region_box' ({printable(region_box.strip())}) lies outside the generated "
            "image: x, y, width and height are percentages from 0 to 100."
        )
    height, width = (SIDE, SIDE) if masks is None else masks.shape[-2:]
    box_mask = torch.zeros(1, height, width)
    row_slice = slice(round(part.y * height / 100), round((part.y + part.height) * height / 100))
    column_slice = slice(round(part.x * width / 100), round((part.x + part.width) * width / 100))
    box_mask[:, row_slice, column_slice] = 1.0
    return box_mask if masks is None else masks * box_mask.to(masks)
