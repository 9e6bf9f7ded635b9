"""How many images a link holds and how large they are, where that can be determined."""

from typing import NamedTuple

from PIL import Image

import folder_paths

from .graph import Graph, GraphNode

ENCODER_SIDE = 224
EXIF_ORIENTATION, FIRST_ROTATED = 274, 5  # values from 5 on swap width and height
# square, for an encoder
PREPARED = ("PrepImageForClipVision", "PrepImageWithWeight", "IPAdapterNoise")
SIZED = ("ImageScale", "EmptyImage")  # have inputs for width and height
# nodes that give as many images as they get, and the input that gets them
ONE_FOR_ONE = {
    **dict.fromkeys(
        (
            *("ImageScale", "ImageScaleBy", "ImageScaleToTotalPixels", "ImageInvert", "ImageBlur"),
            *("ImageSharpen", "ImageCrop", "ImageFlip", "ImageRotate", "PrepImageForClipVision"),
            *("ImagePadForOutpaint", "ImageUpscaleWithModel"),
        ),
        "image",
    ),
    "IPAdapterNoise": "image_optional",
}


class ImageFile(NamedTuple):
    size: tuple[int, int]
    count: int


def image_count(graph: Graph, link: object) -> int | None:
    """How many images a link holds; None where only running the graph tells."""
    return graph.once("image count", link, lambda: _count_images(graph, link), None)


def _count_images(graph: Graph, link: object) -> int | None:
    node = graph.source(link)
    if node is None:
        return None
    if node.kind in ONE_FOR_ONE:
        image = node.inputs.get(ONE_FOR_ONE[node.kind])
        return 1 if image is None else image_count(graph, image)
    if node.kind == "ImageBatch":
        return _batch_count(graph, node)
    if node.kind == "EmptyImage":
        return _whole_number(node.inputs.get("batch_size", 1))
    if node.kind == "LoadImage":
        file = _read_image_file(node.inputs.get("image"))
        return file.count if file else 1
    return None


def _batch_count(graph: Graph, batch: GraphNode) -> int | None:
    first = image_count(graph, batch.inputs.get("image1"))
    second = image_count(graph, batch.inputs.get("image2"))
    return None if first is None or second is None else first + second


def image_size(graph: Graph, link: object) -> tuple[int, int] | None:
    """Width and height of the images on a link; None where only running the graph tells."""
    node = graph.source(link)
    if node is None:
        return None
    if node.kind in PREPARED:
        return ENCODER_SIDE, ENCODER_SIDE
    if node.kind in SIZED:
        width = _whole_number(node.inputs.get("width"))
        height = _whole_number(node.inputs.get("height"))
        return (width, height) if width and height else None
    file = _read_image_file(node.inputs.get("image")) if node.kind == "LoadImage" else None
    return file.size if file else None


def _whole_number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_image_file(name: object) -> ImageFile | None:
    """A file as LoadImage opens it: rotated as the camera says."""
    if not isinstance(name, str):
        return None
    try:
        with Image.open(folder_paths.get_annotated_filepath(name)) as image:
            width, height = image.size
            if image.getexif().get(EXIF_ORIENTATION, 1) >= FIRST_ROTATED:
                width, height = height, width
            return ImageFile((width, height), getattr(image, "n_frames", 1))
    except (OSError, ValueError, AttributeError, TypeError):
        return None
