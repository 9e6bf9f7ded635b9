"""An old graph as a prompt, and what is seen of it without running it: who reads what, how many pictures there are, how large they are."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

from PIL import Image

import folder_paths

Inputs = dict[str, Any]
Prompt = Mapping[str, Mapping[str, Any]]
BEHIND = -1  # a slot: what is stacked behind the first output
OPTION, PAPER = "IPAdapterOldGraphs", "paper"
OUTSIDE = ""  # stands for whatever reads an output past the border of the graph
SIDE = 224
ORIENTATION = 274  # of EXIF
# nodes that give as many pictures as they get, by the input
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


class Kept(Exception):
    """The node stays as it is; the message says why."""


class Node(NamedTuple):
    key: str
    kind: str
    inputs: Inputs


class Graph:
    """What can be asked of a prompt. idle: nodes that are muted or bypassed; open: outputs that leave the graph."""

    def __init__(
        self,
        prompt: Prompt,
        idle: Collection[str] = (),
        open: Collection[tuple[str, int]] = (),
    ):
        self.prompt, self._idle, self._open = prompt, idle, open

    def source(self, link: Any) -> Node | None:
        """The node that gives a link, if it is there and runs."""
        if not is_link(link) or str(link[0]) not in self.prompt or str(link[0]) in self._idle:
            return None
        node = self.prompt[str(link[0])]
        return Node(str(link[0]), node.get("class_type", ""), node.get("inputs", {}))

    def readers(self, key: str, slot: int) -> Iterator[tuple[str, str]]:
        """Node and input of each that reads an output."""
        for other, node in self.prompt.items():
            for name, value in node.get("inputs", {}).items():
                if is_link(value) and (str(value[0]), value[1]) == (key, slot):
                    yield other, name
        if (key, slot) in self._open:
            yield OUTSIDE, ""

    def used(self, key: str) -> frozenset[int]:
        read = {
            value[1]
            for node in self.prompt.values()
            for value in node.get("inputs", {}).values()
            if is_link(value) and str(value[0]) == key
        }
        return frozenset(read | {slot for other, slot in self._open if other == key})

    def reader_with(
        self, key: str, slot: int, name: str, seen: frozenset[str] = frozenset()
    ) -> Node | None:
        """The first node downstream that has an input of that name, through whatever reads the output."""
        for other, _ in self.readers(key, slot):
            if other == OUTSIDE or other in seen:
                continue
            inputs = self.prompt[other].get("inputs", {})
            if is_link(inputs.get(name)):
                return Node(other, self.prompt[other].get("class_type", ""), inputs)
            found = self.reader_with(other, 0, name, seen | {key, other})
            if found:
                return found
        return None

    def is_paper(self, key: str) -> bool:
        """Whether IPAdapter Old Graphs stands between the model and a node, and asks for the paper's behaviour."""
        seen: set[str] = set()
        link = self.prompt[key].get("inputs", {}).get("model")
        while is_link(link) and str(link[0]) in self.prompt and str(link[0]) not in seen:
            seen.add(str(link[0]))
            node = self.prompt[str(link[0])]
            if node.get("class_type") == OPTION and str(link[0]) not in self._idle:
                return node.get("inputs", {}).get("behaviour") == PAPER
            link = node.get("inputs", {}).get("model")
        return False

    def count(self, link: Any) -> int | None:
        """How many pictures a link holds, where that is to be seen."""
        node = self.source(link)
        if node is None:
            return None
        if node.kind in ONE_FOR_ONE:
            image = node.inputs.get(ONE_FOR_ONE[node.kind])
            return 1 if image is None else self.count(image)
        if node.kind == "LoadImage":
            there = _look(node.inputs.get("image"))
            return there[1] if there else 1
        if node.kind == "EmptyImage":
            return _whole(node.inputs.get("batch_size", 1))
        if node.kind == "ImageBatch":
            both = [self.count(node.inputs.get(name)) for name in ("image1", "image2")]
            return None if None in both else sum(one or 0 for one in both)
        return None

    def size(self, link: Any) -> tuple[int, int] | None:
        """Width and height of its pictures, where that is to be seen."""
        node = self.source(link)
        if node is None:
            return None
        if node.kind in ("PrepImageForClipVision", "PrepImageWithWeight", "IPAdapterNoise"):
            return SIDE, SIDE
        if node.kind in ("ImageScale", "EmptyImage"):
            both = tuple(_whole(node.inputs.get(name)) for name in ("width", "height"))
            return both if all(both) else None  # type: ignore[return-value]
        there = _look(node.inputs.get("image")) if node.kind == "LoadImage" else None
        return there and there[0]


def is_link(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _look(name: Any) -> tuple[tuple[int, int], int] | None:
    """Size and number of the pictures in a file, as LoadImage opens it: turned as the camera says."""
    try:
        with Image.open(folder_paths.get_annotated_filepath(name)) as picture:
            width, height = picture.size
            if picture.getexif().get(ORIENTATION, 1) >= 5:
                width, height = height, width
            return (width, height), getattr(picture, "n_frames", 1)
    except (OSError, ValueError, AttributeError, TypeError):
        return None
