"""Face Crop's inputs: their names, defaults and tooltips, and the values of one run."""

from dataclasses import dataclass

from comfy_api.latest import io

from ...ipadapter_core.faces.find import ALL, BEST_SCORE, LARGEST, LEFTMOST, MOST_CENTRAL, RIGHTMOST

NODE = "Face Crop"
WHOLE, ERROR, SKIP = "whole image", "error", "skip"
BLACK, EDGE, SHIFT = "black", "edge", "shift"
BY_SIZE, INSIDE = "n-th by size", "inside the mask"
WHICH = [LARGEST, MOST_CENTRAL, LEFTMOST, RIGHTMOST, BEST_SCORE, BY_SIZE, ALL, INSIDE]
SQUARE, PORTRAIT, LANDSCAPE = "square", "portrait 3:4", "landscape 4:3"
NOT_TURNED, UPRIGHT, ARCFACE = "none", "upright", "ArcFace"
DEFAULT, CPU = "default", "cpu"
LARGEST_PICTURE = 16384  # pixels, the host's own limit
LandmarksSocket = io.Custom("FACE_LANDMARKS")  # the host's


@dataclass(frozen=True)
class FaceCropSettings:
    """The widgets of one run."""

    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0
    padding: float = 0.08
    size: int = 224
    border: str = BLACK
    on_none: str = WHOLE
    which: str = LARGEST
    number: int = 1
    shape: str = SQUARE
    align: str = UPRIGHT
    threshold: float = 0.6
    follow: bool = False
    fill_gaps: bool = False
    smooth: float = 0.0
    device: str = DEFAULT


def picture_inputs() -> list[io.Input]:
    return [
        io.Image.Input("image", tooltip="The image with the face, or a batch of images."),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip=(
                "Paint over the face: the box around the paint is used. With 'which' at 'inside "
                "the mask', it shows where to look for faces instead. One mask for all images or "
                "one for each, of any size; an empty mask is ignored."
            ),
        ),
    ]


def face_inputs() -> list[io.Input]:
    return [
        io.BoundingBox.Input(
            "bboxes",
            optional=True,
            force_input=True,
            tooltip=(
                "Boxes around faces from another node (MediaPipe, RT-DETR, SAM), used instead of "
                "detecting. An image without a box is searched by the built-in detector."
            ),
        ),
        LandmarksSocket.Input(
            "face_landmarks",
            optional=True,
            tooltip=(
                "Faces with their landmarks, from Detect Face Landmarks (MediaPipe) or another "
                "Face Crop, used instead of detecting."
            ),
        ),
    ]


def widget_inputs() -> list[io.Input]:
    """The first eight are the first version's, in its order; the others may be missing from
    older graphs."""
    return [
        *_square_inputs(),
        *_fallback_inputs(),
        *_choice_of_face_inputs(),
        *_alignment_inputs(),
        _threshold_input(),
        *_video_inputs(),
        _device_input(),
    ]


def _square_inputs() -> list[io.Input]:
    return [
        _pixel_input("x", -LARGEST_PICTURE, "Left edge of the box around the face, in pixels."),
        _pixel_input("y", -LARGEST_PICTURE, "Top edge of the box around the face, in pixels."),
        _pixel_input(
            "width", 0, "Width of the box around the face, in pixels. 0: there is no box."
        ),
        _pixel_input(
            "height", 0, "Height of the box around the face, in pixels. 0: there is no box."
        ),
        _number_input(
            "padding",
            (-0.5, 4.0, 0.01),
            (
                "Room around the face: the side of the square is the longer side of the face times "
                "1 + padding. 0.08: the face alone, as in training; 0.4: with hair; 1.2: head and "
                "shoulders."
            ),
        ),
        io.Int.Input(
            "size",
            default=FaceCropSettings.size,
            min=16,
            max=4096,
            tooltip=(
                "Height of the crop in pixels. CLIP Vision sees 224 pixels, so an adapter gains "
                "nothing from more."
            ),
        ),
    ]


def _fallback_inputs() -> list[io.Input]:
    return [
        _choice_input(
            "border",
            [BLACK, EDGE, SHIFT],
            (
                "What to do if the square extends beyond the image. black: fill the rest with "
                "black, as in training; edge: repeat the outermost pixels; shift: move the square "
                "back into the image."
            ),
            advanced=True,
        ),
        _choice_input(
            "on_none",
            [WHOLE, ERROR, SKIP],
            (
                "What to do if no face is found. whole image: use its centre square, with a "
                "warning; error: stop; skip: leave this image out (if none is left, Apply "
                "IPAdapter treats it as no reference)."
            ),
        ),
    ]


def _choice_of_face_inputs() -> list[io.Input]:
    return [
        _choice_input(
            "which",
            WHICH,
            "Which face to use if there are several: one per image, or all of them (one crop "
            "each).",
            optional=True,
        ),
        io.Int.Input(
            "number",
            default=FaceCropSettings.number,
            min=1,
            max=999,
            optional=True,
            tooltip="For 'n-th by size': 1 is the largest face.",
        ),
    ]


def _alignment_inputs() -> list[io.Input]:
    return [
        _choice_input(
            "shape",
            [SQUARE, PORTRAIT, LANDSCAPE],
            (
                "Shape of the crop; its height is 'size'. Adapters see squares: they crop the "
                "middle of other shapes."
            ),
            optional=True,
            advanced=True,
        ),
        _choice_input(
            "align",
            [NOT_TURNED, UPRIGHT, ARCFACE],
            (
                "upright: a tilted face is rotated until its eyes are level. ArcFace: eyes, nose "
                "and mouth are placed as in the training of the face adapters, and 'padding' is "
                "ignored. none: the face is not rotated. Typed boxes and painted masks are rotated "
                "by ArcFace only."
            ),
            optional=True,
        ),
    ]


def _threshold_input() -> io.Input:
    return _number_input(
        "threshold",
        (0.3, 0.95, 0.01),
        (
            "How sure the detector has to be. Lower it to find more drawn and blurred faces; more "
            "objects are then taken for faces too."
        ),
        optional=True,
    )


def _video_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "follow",
            default=FaceCropSettings.follow,
            optional=True,
            advanced=True,
            tooltip=(
                "For a batch that is a video: stay with the person chosen in the first frame that "
                "has a face."
            ),
        ),
        io.Boolean.Input(
            "fill_gaps",
            default=FaceCropSettings.fill_gaps,
            optional=True,
            advanced=True,
            tooltip=(
                "With 'follow': in frames where the person is not found, use a position between "
                "those in the frames before and after."
            ),
        ),
        _number_input(
            "smooth",
            (0.0, 30.0, 0.5),
            (
                "With 'follow': average position, size and rotation over this many frames before "
                "and after. 0: no smoothing."
            ),
            optional=True,
            advanced=True,
        ),
    ]


def _device_input() -> io.Input:
    return _choice_input(
        "device",
        [DEFAULT, CPU],
        "Where the detector runs: on the device that ComfyUI uses, or on the processor.",
        optional=True,
        advanced=True,
    )


def _pixel_input(input_name: str, lowest: int, tooltip: str) -> io.Int.Input:
    return io.Int.Input(input_name, default=0, min=lowest, max=LARGEST_PICTURE, tooltip=tooltip)


def _number_input(
    input_name: str,
    limits: tuple[float, float, float],
    tooltip: str,
    *,
    optional: bool = False,
    advanced: bool | None = None,
) -> io.Float.Input:
    """Limits are the lowest value, the highest, and the step."""
    lowest, highest, step = limits
    return io.Float.Input(
        input_name,
        default=getattr(FaceCropSettings, input_name),
        min=lowest,
        max=highest,
        step=step,
        tooltip=tooltip,
        optional=optional,
        advanced=advanced,  # pyright: ignore[reportArgumentType] - None is the host's default
    )


def _choice_input(
    input_name: str,
    choices: list[str],
    tooltip: str,
    *,
    optional: bool = False,
    advanced: bool | None = None,
) -> io.Combo.Input:
    return io.Combo.Input(
        input_name,
        options=choices,
        default=getattr(FaceCropSettings, input_name),
        tooltip=tooltip,
        optional=optional,
        advanced=advanced,  # pyright: ignore[reportArgumentType] - None is the host's default
    )
