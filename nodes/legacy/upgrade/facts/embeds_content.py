"""References on an EMBEDS link: their number, and whether a negative side is stacked behind."""

from collections.abc import Sequence
from typing import NamedTuple

from .....ipadapter_core.references.embeds_file import is_stack
from ....files.open_files import read_embeds
from ....references.embeds import embeds_path
from ..links import parse_link
from .graph import Graph, GraphNode
from .images import image_count


class EmbedsContent(NamedTuple):
    """The content of an EMBEDS link.

    count: None where it cannot be determined.
    is_empty: whether every reference stands for no image at all.
    has_negative: whether a negative side is stacked behind, None where it cannot be determined.
    """

    count: int | None = None
    is_empty: bool = False
    has_negative: bool | None = False


UNKNOWN = EmbedsContent(has_negative=None)


def find_embeds(graph: Graph, link: object) -> EmbedsContent:
    """The content of an EMBEDS link, as far as its source node tells."""
    return graph.once("embeds", link, lambda: _read_embeds(graph, link), UNKNOWN)


def _read_embeds(graph: Graph, link: object) -> EmbedsContent:
    node = graph.source(link)
    if node is None:
        return UNKNOWN
    match node.kind:
        case "IPAdapterEncoder":
            return _encoded(graph, node, link)
        case "IPAdapterEncodeImages":
            return _encoded_images(graph, node)
        case "IPAdapterLoadEmbeds":
            return _loaded(node)
        case "IPAdapterCombineEmbeds" | "IPAdapterBatchEmbeds":
            return _combined(graph, node)
        case _:
            return UNKNOWN


def _encoded(graph: Graph, encoder: GraphNode, link: object) -> EmbedsContent:
    """An output of IPAdapter Encoder; the number on the negative one is sure for one image only."""
    old_link = parse_link(link)
    slot = old_link.slot if old_link else 0
    count = image_count(graph, encoder.inputs.get("image"))
    return EmbedsContent(count if slot == 0 or count == 1 else None, is_empty=slot == 1)


def _encoded_images(graph: Graph, encoder: GraphNode) -> EmbedsContent:
    has_one_input = "image_2" not in encoder.inputs
    is_single = has_one_input and image_count(graph, encoder.inputs.get("image_1")) == 1
    return EmbedsContent(1 if is_single else None, is_empty=True, has_negative=True)


def _loaded(loader: GraphNode) -> EmbedsContent:
    try:
        content, metadata = read_embeds(embeds_path(str(loader.inputs.get("embeds"))))
    except (ValueError, OSError):
        return UNKNOWN
    if metadata is not None:
        return UNKNOWN
    if is_stack(content):
        return EmbedsContent(content.shape[1], has_negative=True)
    shape = getattr(content, "shape", None)
    return EmbedsContent(shape[0] if shape else None)


def _combined(graph: Graph, combiner: GraphNode) -> EmbedsContent:
    parts = [
        find_embeds(graph, value)
        for name, value in combiner.inputs.items()
        if name.startswith("embed")
    ]
    if not parts:
        return EmbedsContent()
    is_concat = combiner.inputs.get("method", "concat") == "concat"
    return EmbedsContent(
        _total(parts) if is_concat else 1,
        is_empty=all(part.is_empty for part in parts),
        has_negative=_common([part.has_negative for part in parts]),
    )


def _total(parts: Sequence[EmbedsContent]) -> int | None:
    counts = [part.count for part in parts if part.count is not None]
    return sum(counts) if len(counts) == len(parts) else None


def _common(answers: Sequence[bool | None]) -> bool | None:
    """The answer that all give, None where they differ."""
    return answers[0] if len(set(answers)) == 1 else None
