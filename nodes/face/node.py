"""Face Crop: the face in a picture becomes the square that the face adapters want."""

from typing import Any

from torch import Tensor

from comfy_api.latest import io, ui

from ...ipadapter_core.faces.face_square import PictureSize
from ..drawing import editor_picture
from ..notes import shown_texts
from ..pictures import rgb
from ..sockets import ABSENT, KEEPS_SHOWING, option_problem
from .host_faces import HostBoxes, HostLandmarks, write_box, write_landmarks
from .preview import draw_previews
from .report import report_faces
from .search import find_contradiction, search
from .settings import (
    LARGEST,
    NODE,
    WHICH,
    FaceCropSettings,
    LandmarksSocket,
    face_inputs,
    picture_inputs,
    widget_inputs,
)
from .shots import cut_shots, list_shots


class FaceCrop(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FaceCrop",
            display_name="Face Crop",
            category="ipadapter",
            **KEEPS_SHOWING,
            search_aliases=[
                "crop face",
                "face detection",
                "detect face",
                "square crop",
                "plus-face",
                "full-face",
                "insightface",
                "prep image",
            ],
            description=(
                "Finds the face in an image and crops a square around it, as the face adapters "
                "need. You can also say where the face is: with a typed box, a mask, or another "
                "node's boxes or landmarks."
            ),
            inputs=[*picture_inputs(), *widget_inputs(), *face_inputs()],
            outputs=[
                io.Image.Output("image", tooltip="The crops, for 'image' of Apply IPAdapter."),
                io.Mask.Output(
                    "mask",
                    tooltip=(
                        "For each crop, a mask of the face in the original image: the box without "
                        "padding, with a soft edge, for 'attn_mask' if that image is redrawn. All "
                        "white where the whole image was used, all black if every image was "
                        "skipped."
                    ),
                ),
                io.BoundingBox.Output(
                    "bboxes", tooltip="The same faces as boxes, a list per image."
                ),
                LandmarksSocket.Output(
                    "face_landmarks",
                    tooltip=(
                        "Eyes, nose and corners of the mouth of these faces, in ComfyUI's "
                        "FACE_LANDMARKS format."
                    ),
                ),
                io.Image.Output(
                    "preview",
                    tooltip=(
                        "The images, at most 768 pixels large, with the faces marked: the chosen "
                        "face green, an uncertain one orange, other faces and the crop grey."
                    ),
                ),
                io.Int.Output(
                    "picture",
                    is_output_list=True,
                    tooltip=(
                        "For each crop, the number of its image, counted from 0: for 'batch_index' "
                        "of Get Image from Batch."
                    ),
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, which: str | None = LARGEST, mask: object = ABSENT, follow: bool | None = False
    ) -> bool | str:
        problem = option_problem(which, WHICH, NODE, "which")
        return problem or find_contradiction(which, mask is not ABSENT, bool(follow)) or True

    @classmethod
    def execute(
        cls,
        image: Tensor,
        mask: Tensor | None = None,
        bboxes: HostBoxes | None = None,
        face_landmarks: HostLandmarks | None = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        settings = FaceCropSettings(**widgets)
        pictures = _checked_pictures(image)
        picture_size = PictureSize(*pictures.shape[1:3])
        faces_by_picture = search(pictures, mask, bboxes, face_landmarks, settings)
        notes = report_faces(faces_by_picture, settings)
        shots_by_picture = list_shots(faces_by_picture, picture_size, settings)
        crops, masks = cut_shots(pictures, shots_by_picture, settings)
        previews = draw_previews(pictures, faces_by_picture, shots_by_picture)
        boxes = [
            [write_box(shot.face, picture_size) for shot in shots] for shots in shots_by_picture
        ]
        landmarks = write_landmarks(
            [picture_faces.chosen_faces for picture_faces in faces_by_picture], picture_size
        )
        picture_numbers = [shot.picture_number for shots in shots_by_picture for shot in shots]
        preview_images = ui.PreviewImage(crops if len(crops) else previews, cls=cls)
        page_data: dict[str, Any] = {
            **preview_images.as_dict(),
            **editor_picture(pictures[0]),
            **shown_texts(*notes),
        }
        return io.NodeOutput(
            crops, masks, boxes, landmarks, previews, picture_numbers, ui=page_data
        )


def _checked_pictures(image: Tensor) -> Tensor:
    """[B, H, W, any] -> [B, H, W, 3]."""
    if 0 in image.shape:
        raise ValueError(
            f"{NODE}'s 'image' holds no image: its shape is {list(image.shape)}. Connect "
            f"the IMAGE output of another node."
        )
    return rgb(image, NODE, "image")
