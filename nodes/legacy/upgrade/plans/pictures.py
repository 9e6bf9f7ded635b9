"""Nodes about images: prepared and noisy ones, tiles, and the enhancer with its tiles."""

from typing import NamedTuple

from .....ipadapter_core.references.embeds import CONCAT
from ...ids import weight_types
from ...ids.apply_nodes import MOST_ENHANCER_TILES
from ...ids.image_tiles import MOST_TILES, TILE_SIZE
from ..facts.graph import Inputs
from ..facts.images import ENCODER_SIDE, image_count, image_size
from ..facts.weight_lists import find_weight_list
from ..links import is_link
from ..plan import Fragment, NewNode, NewOutput, NodeContext, OldInput, Plan
from ..report import CannotUpgrade
from . import apply_inputs
from .embeds import combine_node, encode_node
from .weight_kinds import MAYBE_A_LIST, read_kind

OLD_SQUARE_ASPECTS = (0.75, 1.33)  # height / width of what is cut into two by two tiles
FILTERS = ("lanczos", "bicubic", "bilinear", "area", "nearest-exact")  # of the host's ImageScale
SAME_NOISE = ("fade", "dissolve", "gaussian")
FACE_SIDE, SMALL_FACE_SIDE, WHITE_COLOR = 640, 580, 0xFFFFFF
UNKNOWN_SIZE = "the size of its image is unknown"
SHARED_SETTINGS = ("weight", "start_at", "end_at", "scaling")


class Scaling(NamedTuple):
    """How the host's ImageScale resizes an image."""

    filter: str
    width: int
    height: int
    crop: str

    def node(self) -> NewNode:
        sizes: Inputs = {"width": self.width, "height": self.height, "crop": self.crop}
        image: Inputs = {"image": OldInput("image"), "upscale_method": self.filter}
        return NewNode("ImageScale", {**image, **sizes})


def plan_prepared(old_node: NodeContext) -> Plan:
    """The middle square at the encoder's size, as the host's own resizing makes it."""
    filter = str(old_node.inputs.get("interpolation", "LANCZOS"))
    filter = filter.lower() if filter == "LANCZOS" else filter
    if filter not in FILTERS:
        raise CannotUpgrade("ComfyUI does not resize by '<1>'", filter)
    _require_host_crop(old_node)
    scale = Scaling(filter=filter, width=ENCODER_SIDE, height=ENCODER_SIDE, crop="center").node()
    if old_node.inputs.get("add_weight") is not True:
        return Plan(scale, outputs={0: NewOutput()})
    repeat = NewNode("RepeatImageBatch", {"image": NewOutput("small"), "amount": 2})
    return Plan(repeat, {"small": scale}, {0: NewOutput()})


def plan_prepared_face(old_node: NodeContext) -> Plan:
    """The middle square at 640 pixels, or smaller on a white one."""
    _require_host_crop(old_node)
    if old_node.inputs.get("pad_around", True) is not True:
        whole = Scaling(filter="lanczos", width=FACE_SIDE, height=FACE_SIDE, crop="center").node()
        return Plan(whole, outputs={0: NewOutput()})
    count = image_count(old_node.graph, old_node.inputs.get("image"))
    if count is None:
        raise CannotUpgrade("the number of images that it prepares is unknown")
    sides: Inputs = {"width": FACE_SIDE, "height": FACE_SIDE}
    white = NewNode("EmptyImage", {**sides, "batch_size": count, "color": WHITE_COLOR})
    small = Scaling(
        filter="lanczos", width=SMALL_FACE_SIDE, height=SMALL_FACE_SIDE, crop="center"
    ).node()
    images: Inputs = {"destination": NewOutput("white"), "source": NewOutput("small")}
    border = (FACE_SIDE - SMALL_FACE_SIDE) // 2
    place: Inputs = {"x": border, "y": border, "resize_source": False}
    paste = NewNode("ImageCompositeMasked", {**images, **place})
    return Plan(paste, {"white": white, "small": small}, {0: NewOutput()})


def _require_host_crop(old_node: NodeContext) -> None:
    """Raises CannotUpgrade where the host's resizing gives another picture."""
    if old_node.inputs.get("crop_position", "center") != "center":
        raise CannotUpgrade("it crops at an edge, where ComfyUI's nodes need numbers")
    if apply_inputs.is_set(old_node.inputs.get("sharpening"), 0):
        raise CannotUpgrade("no new node sharpens as it does")
    _require_same_crop(image_size(old_node.graph, old_node.inputs.get("image")))


def _require_same_crop(size: tuple[int, int] | None) -> None:
    if size is None:
        raise CannotUpgrade(UNKNOWN_SIZE)
    if (size[0] - size[1]) % 2:
        raise CannotUpgrade(
            "at this image size, its crop is half a pixel off the crop that ComfyUI's nodes make"
        )


def plan_noise(old_node: NodeContext) -> Plan:
    """Noise on black has the seed 0; in an image it has a seed made of the image."""
    if "image_optional" in old_node.inputs:
        raise CannotUpgrade("it takes the seed of its noise from the image")
    if old_node.inputs.get("type", "fade") not in SAME_NOISE:
        raise CannotUpgrade("its shuffle moves pixels differently")
    if apply_inputs.is_set(old_node.inputs.get("blur"), 0):
        raise CannotUpgrade("it blurs differently")
    reader = old_node.graph.reader_with(old_node.id, "ipadapter")
    if reader is None:
        raise CannotUpgrade("it is unknown which adapter it is for")
    adapter, clip_vision = reader.inputs["ipadapter"], reader.inputs.get("clip_vision")
    encoder = apply_inputs.automatic_encoder(adapter)
    if is_link(clip_vision):
        encoder = Fragment({"clip_vision": clip_vision})
    strength: Inputs = {"strength": old_node.inputs.get("strength", 1.0)}
    noise = apply_inputs.negative_reference(
        str(old_node.inputs.get("type", "fade")), {"ipadapter": adapter, **encoder.inputs}, strength
    )
    return Plan(noise, encoder.helpers, {0: NewOutput(slot=1)})


def plan_tiled(old_node: NodeContext) -> Plan:
    """IPAdapter Tiles cuts the same tiles where they do not overlap."""
    _require_plain_tiles(old_node)
    weight = old_node.inputs.get("weight", 1.0)
    take, second_amount = read_kind(old_node)
    if is_link(weight) and (second_amount is not None or find_weight_list(old_node.graph, weight)):
        raise CannotUpgrade.of(MAYBE_A_LIST)
    scaled = _scaling_for_tiles(image_size(old_node.graph, old_node.inputs.get("image"))).node()
    encoder = apply_inputs.encoder(old_node)
    connections: Inputs = {"ipadapter": OldInput("ipadapter"), **encoder.inputs}
    negative = _negative_of_tiles(old_node, connections)
    amounts = (1.0, 1.0) if second_amount is None else (weight, second_amount)
    weight_map = apply_inputs.weight_map(old_node, "map", weight_types.NEW_TAKES[take], amounts)
    settings = apply_inputs.settings(old_node, OldInput("weight") if second_amount is None else 1.0)
    sources = {"image": NewOutput("scaled"), **negative.inputs, **weight_map.inputs}
    shared = {input_name: settings[input_name] for input_name in SHARED_SETTINGS}
    tiles = NewNode(
        "IPAdapterTiles", {**connections, **sources, **shared, "fit": "crop", "short_side": 1}
    )
    regions: Inputs = {"model": OldInput("model"), "regions.region0": NewOutput("tiles")}
    return Plan(
        NewNode("ApplyIPAdapterRegions", {**regions, "feather": 0, "overlap": "added"}),
        {
            "scaled": scaled,
            **encoder.helpers,
            **negative.helpers,
            **weight_map.helpers,
            "tiles": tiles,
        },
        {0: NewOutput(), 1: NewOutput("tiles", 1), 2: NewOutput("tiles", 2)},
        notes=weight_map.notes,
    )


def _require_plain_tiles(old_node: NodeContext) -> None:
    if apply_inputs.is_set(old_node.inputs.get("sharpening"), 0):
        raise CannotUpgrade("no new node sharpens as it does")
    if "attn_mask" in old_node.inputs:
        raise CannotUpgrade("IPAdapter Tiles takes no mask")
    if image_count(old_node.graph, old_node.inputs.get("image")) != 1:
        raise CannotUpgrade("the number of images that it tiles is unknown")


def _negative_of_tiles(old_node: NodeContext, connections: Inputs) -> Fragment:
    if "image_negative" in old_node.inputs:
        image: Inputs = {"image": OldInput("image_negative")}
        negative = apply_inputs.negative_reference("image", connections, image)
    elif apply_inputs.needs_black_image(old_node):
        negative = apply_inputs.negative_reference("black", connections)
    else:
        return Fragment()
    return Fragment({"embeds_negative": NewOutput("negative")}, {"negative": negative})


def _scaling_for_tiles(size: tuple[int, int] | None) -> Scaling:
    """The size at which the image was cut. Raises CannotUpgrade where its tiles would overlap."""
    if size is None:
        raise CannotUpgrade(UNKNOWN_SIZE)
    width, height = size
    if OLD_SQUARE_ASPECTS[0] < height / width < OLD_SQUARE_ASPECTS[1]:
        _require_same_crop(size)
        return Scaling(filter="lanczos", width=2 * TILE_SIZE, height=2 * TILE_SIZE, crop="center")
    long_side = TILE_SIZE * max(size) // min(size)
    if long_side % TILE_SIZE:
        raise CannotUpgrade("its tiles overlap and add up there")
    if long_side > MOST_TILES * TILE_SIZE:
        raise CannotUpgrade("it cuts off the ends of an image this long")
    if width > height:
        return Scaling(filter="lanczos", width=long_side, height=TILE_SIZE, crop="disabled")
    return Scaling(filter="lanczos", width=TILE_SIZE, height=long_side, crop="disabled")


def tiled_references(old_node: NodeContext, clip_vision: object) -> Fragment | None:
    """An image and its tiles as references, one for each of several; None without tiles."""
    tile_count = _enhancer_tile_count(old_node)
    if tile_count < 2:
        return None
    image_number = _require_whole_tiles(old_node, tile_count)
    method = str(old_node.inputs.get("combine_embeds", CONCAT))
    ratio = old_node.inputs.get("enhance_ratio", 1.0)
    connections: Inputs = {"ipadapter": OldInput("ipadapter"), "clip_vision": clip_vision}
    image, detail = OldInput("image"), {"detail": tile_count}
    if image_number == 1:
        whole = encode_node(connections, image, ratio)
        tiles = encode_node(connections, image, 1.0, {**detail, "detail_ratio": 1.0})
        both = combine_node(
            [NewOutput("whole"), NewOutput("tiles")], method, old_node.follows_paper
        )
        helpers = {"whole": whole, "tiles": tiles, "both": both}
        return Fragment({"embeds": NewOutput("both")}, helpers)
    if is_link(ratio) or method != CONCAT:
        raise CannotUpgrade("it combines several images with their tiles")
    tiles_ratio = 1 - apply_inputs.typed_number(old_node, "enhance_ratio", 1.0)
    tiles = encode_node(connections, image, 1.0, {**detail, "detail_ratio": tiles_ratio})
    return Fragment({"embeds": NewOutput("tiles")}, {"tiles": tiles})


def _enhancer_tile_count(old_node: NodeContext) -> int:
    if is_link(old_node.inputs.get("enhance_tiles")):
        raise CannotUpgrade("its number of tiles comes from another node")
    return min(int(apply_inputs.typed_number(old_node, "enhance_tiles", 1)), MOST_ENHANCER_TILES)


def _require_whole_tiles(old_node: NodeContext, tile_count: int) -> int:
    """How many images are cut: squares that the tiles divide evenly. Raises CannotUpgrade."""
    if not old_node.adapter.is_known:
        raise CannotUpgrade.of(apply_inputs.unknown_adapter(old_node))
    if old_node.adapter.takes_zero_features:
        raise CannotUpgrade(
            "with a base adapter, it treats the embeddings of its tiles as an image"
        )
    count = image_count(old_node.graph, old_node.inputs.get("image"))
    size = image_size(old_node.graph, old_node.inputs.get("image"))
    if count is None or size is None:
        raise CannotUpgrade(UNKNOWN_SIZE)
    width, height = size
    if width != height or width % tile_count:
        raise CannotUpgrade("it cuts tiles from the whole image, the new node from a square")
    return count


PLANS = {
    "PrepImageForClipVision": plan_prepared,
    "PrepImageWithWeight": plan_prepared,
    "PrepImageForInsightFace": plan_prepared_face,
    "IPAdapterNoise": plan_noise,
    "IPAdapterTiled": plan_tiled,
}
