"""Face crop: a typed box, or a mask, becomes a square picture of the face for the face adapters."""

import logging

import torch
from torch import Tensor

from comfy_api.latest import io, ui

from ..ipadapter_core import face

WHOLE, ERROR = "whole image", "error"
BLACK, EDGE, SHIFT = "black", "edge", "shift"
SOFT = 0.1  # width of the soft edge of the mask output, as a share of the box's shorter side
FAR = 16384  # the host's own largest picture
log = logging.getLogger("ipadapter")


class FaceCrop(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FaceCrop",
            display_name="Face Crop",
            category="ipadapter",
            search_aliases=["crop face", "square crop", "plus-face", "full-face", "prep image"],
            description="Cuts out the square around a face that the face adapters want. Type a box, or connect a mask of the face: it is not looked for yet.",
            inputs=[
                io.Image.Input("image", tooltip="The picture with the face, or a batch of them."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The face, painted: the box around it is used. One mask for all pictures or one for each, of any size; an empty one counts as none.",
                ),
                _pixels("x", -FAR, "Left edge of the face."),
                _pixels("y", -FAR, "Top edge of the face."),
                _pixels("width", 0, "Width of the face. 0: no box is typed, the mask is used."),
                _pixels("height", 0, "Height of the face. 0: no box is typed, the mask is used."),
                io.Float.Input(
                    "padding",
                    default=0.08,
                    min=-0.5,
                    max=4.0,
                    step=0.01,
                    tooltip="Room around the box: the square is its longer side times 1 + padding. 0.08: the face alone, as in training; 0.4: with hair; 1.2: head and shoulders.",
                ),
                io.Int.Input(
                    "size",
                    default=224,
                    min=16,
                    max=4096,
                    tooltip="Side of the crop in pixels. CLIP Vision sees 224: more brings nothing to an adapter.",
                ),
                io.Combo.Input(
                    "border",
                    options=[BLACK, EDGE, SHIFT],
                    default=BLACK,
                    advanced=True,
                    tooltip="Where the square reaches past the picture: black (as in training), the edge repeated, or the square shifted into the picture.",
                ),
                io.Combo.Input(
                    "on_none",
                    options=[WHOLE, ERROR],
                    default=WHOLE,
                    tooltip="With neither box nor mask: the centre square of the whole image, with a warning in the log, or stop.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The crops, for 'image' of Apply IPAdapter."),
                io.Mask.Output(
                    "mask",
                    tooltip="The box without padding, soft-edged, in the original picture: for 'attn_mask' when that picture is redrawn. All white where the whole image was taken.",
                ),
                io.BoundingBox.Output("bboxes", tooltip="The same as boxes, one per picture."),
            ],
        )

    @classmethod
    def execute(cls, image, x, y, width, height, padding, size, border, on_none, mask=None):
        pictures = _pictures(image)
        extent = pictures.shape[1:3]
        typed = _typed_box(face.Box(x, y, width, height), *extent)
        found = [typed or face.mask_box(one, *extent) for one in _masks(mask, len(pictures))]
        _report_missing(found, on_none)
        squares = [_square(box, extent, padding, border) for box in found]
        pairs = zip(pictures, squares, strict=True)
        crops = torch.stack([face.crop(*pair, size, repeat_edge=border == EDGE) for pair in pairs])
        boxes = [box or face.Box(0, 0, extent[1], extent[0]) for box in found]
        masks = torch.stack([face.box_mask(box, *extent, soft=SOFT) for box in boxes]).to(crops)
        bboxes = [[face.visible(box, *extent)._asdict()] for box in boxes]
        return io.NodeOutput(crops, masks, bboxes, ui=ui.PreviewImage(crops, cls=cls))


def _pixels(name: str, lowest: int, tooltip: str) -> io.Int.Input:
    return io.Int.Input(name, default=0, min=lowest, max=FAR, tooltip=f"{tooltip} In pixels.")


def _pictures(image: Tensor) -> Tensor:
    """[B, H, W, any] -> [B, H, W, 3]."""
    if image.ndim != 4 or 0 in image.shape:
        raise ValueError(
            f"Face Crop's 'image' must be pictures of shape [batch, height, width, channels], found {list(image.shape)}: connect the IMAGE output of another node."
        )
    _check_finite(image, "image")
    return image[..., :3] if image.shape[-1] >= 3 else image[..., :1].expand(-1, -1, -1, 3)


def _masks(mask: Tensor | None, count: int) -> Tensor:
    """One mask per picture [count, h, w]; no mask is an empty one."""
    masks = torch.zeros(1, 1, 1) if mask is None else mask.reshape(-1, *mask.shape[-2:])
    if len(masks) not in (1, count):
        raise ValueError(
            f"Face Crop has {count} pictures in 'image' but {len(masks)} masks in 'mask': connect one mask for all, or one for each picture."
        )
    _check_finite(masks, "mask")
    return masks.expand(count, -1, -1)


def _typed_box(box: face.Box, height: int, width: int) -> face.Box | None:
    if box.width <= 0 or box.height <= 0:
        return None
    if 0 in face.visible(box, height, width)[2:]:
        raise ValueError(
            f"Face Crop's box (x {box.x}, y {box.y}, width {box.width}, height {box.height}) lies outside the picture of {width} x {height} pixels: type where the face is in the picture connected to 'image', or width 0 for no box."
        )
    return box


def _square(box: face.Box | None, extent: torch.Size, padding: float, border: str) -> face.Square:
    square = face.square_around(box, padding) if box else face.centre_square(*extent)
    return face.shift_inside(square, *extent) if border == SHIFT else square


def _check_finite(batch: Tensor, name: str) -> None:
    for number, one in enumerate(batch, 1):
        if not one.isfinite().all():
            raise ValueError(
                f"Face Crop's '{name}' number {number} of {len(batch)} holds NaN or infinite values: repair the node it comes from (often a VAE in half precision)."
            )


def _report_missing(found: list[face.Box | None], on_none: str) -> None:
    missing = ", ".join(str(number) for number, box in enumerate(found, 1) if box is None)
    reason = f"Face Crop has neither a box nor a mask for picture {missing} of {len(found)}"
    if missing and on_none == ERROR:
        raise ValueError(
            f"{reason}: type 'width' and 'height', connect a mask of the face, or set 'on_none' to '{WHOLE}'."
        )
    if missing:
        log.warning("%s: it takes the centre square of the whole image.", reason)
