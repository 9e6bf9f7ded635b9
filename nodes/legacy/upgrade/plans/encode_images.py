"""The encoder of before March 2024: up to four images with weights, both sides on one link."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from .....ipadapter_core.references.embeds import CONCAT
from ..facts.graph import GraphNode, Inputs
from ..facts.images import image_count
from ..links import is_link
from ..plan import NewNode, NewOutput, NodeContext, OldInput, Plan
from ..report import CannotUpgrade
from . import apply_inputs
from .embeds import FIRST_OUTPUT, combine_node, encode_node

IMAGE_INPUTS = tuple(f"image_{number}" for number in (1, 2, 3, 4))
ALL_FRAMES = 4096


def plan_encode_images(old_node: NodeContext) -> Plan:
    """The first IPAdapter Encoder: up to four images, each scaled by its weight squared."""
    images = _weighted_images(old_node)
    connections: Inputs = {
        "ipadapter": _find_reader(old_node).inputs["ipadapter"],
        "clip_vision": OldInput("clip_vision"),
    }
    helpers: dict[str, NewNode] = {}
    if old_node.inputs.get("ipadapter_plus") is True:
        helpers["black"] = apply_inputs.negative_reference("black", connections)
    black = NewOutput("black") if helpers else None
    batches = _batch_by_weight(old_node, images)
    helpers |= batches.helpers
    encoders = {
        f"seen{place}": encode_node(connections, image, weight**2)
        for place, (image, weight) in enumerate(batches.weighted_images)
    }
    chain = Plan(outputs={0: NewOutput()}, needs_new_readers=FIRST_OUTPUT)
    if len(encoders) == 1:
        return replace(
            chain,
            replacement=encoders["seen0"],
            helpers=helpers,
            stacked_negative=black or NewOutput(slot=1),
        )
    return replace(
        chain,
        replacement=combine_node([NewOutput(encoder) for encoder in encoders], CONCAT),
        helpers={**helpers, **encoders},
        stacked_negative=black or NewOutput("seen0", 1),
    )


def _weighted_images(old_node: NodeContext) -> dict[str, float]:
    """The connected image inputs, each with its weight. Raises CannotUpgrade."""
    if apply_inputs.is_set(old_node.inputs.get("noise"), 0):
        raise CannotUpgrade("no new node makes its noise")
    weight_names = {
        image_name: image_name.replace("image", "weight")
        for image_name in IMAGE_INPUTS
        if image_name in old_node.inputs
    }
    if any(is_link(old_node.inputs.get(weight_name)) for weight_name in weight_names.values()):
        raise CannotUpgrade("its weights come from another node, and it squares them")
    return {
        image_name: apply_inputs.typed_number(old_node, weight_name, 1.0)
        for image_name, weight_name in weight_names.items()
    }


def _find_reader(old_node: NodeContext) -> GraphNode:
    reader = old_node.graph.reader_with(old_node.id, "ipadapter")
    if reader is None:
        raise CannotUpgrade("it is unknown which adapter it encodes for")
    return reader


class WeightedBatches(NamedTuple):
    """Images with their weights, and the nodes that batch them."""

    weighted_images: list[tuple[NewOutput | OldInput, float]]
    helpers: dict[str, NewNode]


def _batch_by_weight(old_node: NodeContext, images: Mapping[str, float]) -> WeightedBatches:
    """One batch for each weight; all get the size of the first image, as the host batches them."""
    if not images:
        raise CannotUpgrade("its inputs cannot be read")
    first_name, *other_names = images
    first_image, first_weight = OldInput(first_name), images[first_name]
    helpers: dict[str, NewNode] = {}
    if len(set(images.values())) == 1:
        image: NewOutput | OldInput = first_image
        for image_name in other_names:
            helpers[f"with_{image_name}"] = _image_batch(image, image_name)
            image = NewOutput(f"with_{image_name}")
        return WeightedBatches([(image, first_weight)], helpers)
    count = image_count(old_node.graph, old_node.inputs[first_name])
    if count is None:
        raise CannotUpgrade("the number of images in its first input is unknown")
    batches = WeightedBatches([(first_image, first_weight)], helpers)
    for image_name in other_names:
        helpers[f"with_{image_name}"] = _image_batch(first_image, image_name)
        batch: Inputs = {"image": NewOutput(f"with_{image_name}")}
        rest: Inputs = {"batch_index": count, "length": ALL_FRAMES}
        helpers[image_name] = NewNode("ImageFromBatch", {**batch, **rest})
        batches.weighted_images.append((NewOutput(image_name), images[image_name]))
    return batches


def _image_batch(image: NewOutput | OldInput, input_name: str) -> NewNode:
    return NewNode("ImageBatch", {"image1": image, "image2": OldInput(input_name)})


PLANS = {"IPAdapterEncodeImages": plan_encode_images}
