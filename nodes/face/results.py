"""What Face Crop hands on: crops, masks, the host's boxes and landmarks, and a picture of what it found."""

from typing import Any

import numpy
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import interpolate

from ...ipadapter_core.faces import face_square, turned_square
from ...ipadapter_core.faces.find import Face
from ...ipadapter_core.faces.turned_square import Frame
from .given import Extent
from .search import Seen
from .settings import ARCFACE, EDGE, LANDSCAPE, NOT_TURNED, PORTRAIT, SHIFT, Settings

SOFT = 0.1  # width of the soft edge of the mask output, as a share of the box's shorter side
SHOWN = 768  # longer side of the preview, at most
SURE, UNSURE, OTHER = (60, 220, 60), (255, 150, 0), (170, 170, 170)
# connections of the five points in the host's terms: a face oval through eyes and mouth, the nose, the mouth
CONNECTIONS = {
    "face_oval": frozenset({(0, 1), (1, 4), (4, 3), (3, 0)}),
    "nose": frozenset({(0, 2), (1, 2), (2, 3), (2, 4)}),
    "lips": frozenset({(3, 4)}),
    **{f"{side}_{part}": frozenset() for side in ("left", "right") for part in ("eye", "eyebrow")},
    "irises": frozenset(),
}


def framed(chosen: Face | None, extent: Extent, settings: Settings) -> Frame:
    """What the crop of a face shows; of no face, the centre square."""
    if chosen is None:
        square = face_square.centre_square(*extent)
        return Frame(square.left + square.side / 2, square.top + square.side / 2, square.side)
    if settings.align == ARCFACE and chosen.landmarks is not None:
        shown = turned_square.arcface(chosen.landmarks, settings.size)
    else:
        turn = 0.0 if settings.align == NOT_TURNED else chosen.frame.angle
        side = chosen.frame.side * (1 + settings.padding)
        shown = chosen.frame._replace(side=side, angle=turn)
    return turned_square.shift_inside(shown, *extent) if settings.border == SHIFT else shown


def crop(picture: Tensor, shown: Frame, settings: Settings) -> Tensor:
    """The frame in the asked-for shape: a wider one is cut out of a larger square, a narrower one out of this."""
    height, width = crop_size(settings)
    longer = max(height, width)
    larger = shown._replace(side=shown.side * longer / height)
    whole = turned_square.crop(picture, larger, longer, settings.border == EDGE)
    top, left = (longer - height) // 2, (longer - width) // 2
    return whole[top : top + height, left : left + width]


def crop_size(settings: Settings) -> tuple[int, int]:
    """Height and width; the same is added or cut off on both sides."""
    more = {PORTRAIT: -1 / 8, LANDSCAPE: 1 / 6}.get(settings.shape, 0)
    return settings.size, settings.size + 2 * round(settings.size * more)


def preview_size(extent: Extent) -> tuple[int, int]:
    scale = min(1.0, SHOWN / max(extent))
    return max(1, round(extent[0] * scale)), max(1, round(extent[1] * scale))


def box_of(chosen: Face | None, extent: Extent) -> face_square.Box:
    """The face's box in whole pixels; without a face the whole picture's."""
    if chosen is None:
        return face_square.Box(0, 0, extent[1], extent[0])
    left, top, right, bottom = (round(value) for value in chosen.box)
    return face_square.Box(left, top, max(1, right - left), max(1, bottom - top))


def mask(chosen: Face | None, extent: Extent) -> Tensor:
    return face_square.box_mask(box_of(chosen, extent), *extent, soft=SOFT)


def host_box(chosen: Face | None, extent: Extent) -> dict[str, Any]:
    """The host's BOUNDING_BOX; what was found, not given, says so and how surely."""
    box = face_square.visible(box_of(chosen, extent), *extent)._asdict()
    if chosen is None or not chosen.found:
        return box
    label = "face" if chosen.sure else "face?"
    return {**box, "label": label, "score": round(chosen.score, 3)}


def host_landmarks(frames: list[list[Face]], extent: Extent) -> dict[str, Any]:
    """The host's FACE_LANDMARKS, of five points: eyes, nose and corners of the mouth, each from the picture's left."""
    return {
        "frames": [[_marks(one) for one in faces if one.landmarks is not None] for faces in frames],
        "image_size": extent,
        "connection_sets": CONNECTIONS,
    }


def preview(picture: Tensor, seen: Seen, frames: list[Frame]) -> Tensor:
    """The picture, shrunk, with all that was found in grey, the chosen in green - orange if doubtful - and the crops."""
    size = preview_size((picture.shape[0], picture.shape[1]))
    scale = max(size) / max(picture.shape[:2])
    small = interpolate(picture.movedim(-1, 0)[None].float(), size, mode="area")[0].movedim(0, -1)
    image = Image.fromarray((small.clamp(0, 1) * 255).round().byte().cpu().numpy())
    draw = ImageDraw.Draw(image)
    line = max(1, max(size) // 250)
    for one in seen.faces:
        draw.rectangle([value * scale for value in _ordered(one.box)], outline=OTHER, width=line)
    for one, shown in zip(seen.chosen, frames, strict=True):
        colour = SURE if one.sure else UNSURE
        corners = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
        outline = turned_square.to_picture(shown, corners, 1) * scale
        draw.line([tuple(point) for point in outline.tolist()], fill=OTHER, width=line)
        draw.rectangle([value * scale for value in _ordered(one.box)], outline=colour, width=line)
        if one.landmarks is not None:
            for x, y in (one.landmarks * scale).tolist():
                draw.ellipse((x - line, y - line, x + line, y + line), fill=colour)
            place = one.box[0] * scale + 2 * line, one.box[1] * scale + line
            draw.text(place, f"{one.score:.2f}{'' if one.sure else '?'}", fill=colour)
    return torch.from_numpy(numpy.array(image)).float() / 255


def _ordered(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _marks(one: Face) -> dict[str, Any]:
    points = numpy.asarray(one.landmarks, dtype=numpy.float32)
    return {
        "bbox_xyxy": numpy.asarray(one.box, dtype=numpy.float32),
        "landmarks_xy": points,
        "landmarks_3d": numpy.pad(points, ((0, 0), (0, 1))),
        "blendshapes": {},
        "presence": one.score,
        "score": one.score,
    }
