"""A small copy of each picture with the faces and the crops drawn in."""

import numpy
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import interpolate

from ...ipadapter_core.faces.face_square import PictureSize
from ...ipadapter_core.faces.find import Face
from ...ipadapter_core.faces.turned_square import TurnedSquare, to_picture
from ...ipadapter_core.references.images import to_bytes
from .search import PictureFaces
from .shots import Shot

LONGEST_SIDE = 768
SURE_COLOUR, DOUBTFUL_COLOUR, OTHER_COLOUR = (60, 220, 60), (255, 150, 0), (170, 170, 170)


def draw_previews(
    pictures: Tensor, faces_by_picture: list[PictureFaces], shots_by_picture: list[list[Shot]]
) -> Tensor:
    """Pictures [B, H, W, 3] -> [B, h, w, 3], each written in its place."""
    preview_size = _preview_size(PictureSize(*pictures.shape[1:3]))
    previews = torch.empty(len(pictures), *preview_size, 3)
    for picture_number, picture in enumerate(pictures):
        faces = faces_by_picture[picture_number].faces
        previews[picture_number] = _draw_preview(
            picture, faces, shots_by_picture[picture_number], preview_size
        )
    return previews


def _preview_size(picture_size: PictureSize) -> PictureSize:
    scale = min(1.0, LONGEST_SIDE / max(picture_size))
    return PictureSize(*(max(1, round(side * scale)) for side in picture_size))


def _draw_preview(
    picture: Tensor, faces: list[Face], shots: list[Shot], preview_size: PictureSize
) -> Tensor:
    """All faces in grey, the chosen in green - orange if doubtful - and their crops in grey."""
    channels_first = picture.movedim(-1, 0)[None].float()
    pixels = interpolate(channels_first, preview_size, mode="area")[0].movedim(0, -1)
    image = Image.fromarray(to_bytes(pixels).cpu().numpy())
    pen = _Pen(image, max(preview_size) / max(picture.shape[:2]))
    for face in faces:
        pen.draw_box(face, OTHER_COLOUR)
    for _, face, square in shots:
        if face is not None:
            pen.draw_square(square)
            pen.draw_chosen_face(face)
    return torch.as_tensor(numpy.array(image)).float() / 255


class _Pen:
    """Draws places of a picture into a smaller copy of it."""

    def __init__(self, image: Image.Image, scale: float):
        self.draw = ImageDraw.Draw(image)
        self.scale = scale
        self.line_width = max(1, max(image.size) // 250)

    def draw_box(self, face: Face, colour: tuple[int, int, int]) -> None:
        left, top, right, bottom = (side * self.scale for side in face.box)
        corners = min(left, right), min(top, bottom), max(left, right), max(top, bottom)
        self.draw.rectangle(corners, outline=colour, width=self.line_width)

    def draw_square(self, square: TurnedSquare) -> None:
        corners = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
        outline = to_picture(square, corners, 1) * self.scale
        points = [(float(x), float(y)) for x, y in outline]
        self.draw.line(points, fill=OTHER_COLOUR, width=self.line_width)

    def draw_chosen_face(self, face: Face) -> None:
        """The box, the landmarks and the score."""
        colour = SURE_COLOUR if face.is_sure else DOUBTFUL_COLOUR
        self.draw_box(face, colour)
        if face.landmarks is None:
            return
        width = self.line_width
        for x, y in (face.landmarks * self.scale).unbind():
            x, y = float(x), float(y)
            self.draw.ellipse((x - width, y - width, x + width, y + width), fill=colour)
        left, top = face.box[0] * self.scale, face.box[1] * self.scale
        label = f"{face.score:.2f}{'' if face.is_sure else '?'}"
        self.draw.text((left + 2 * width, top + width), label, fill=colour)
