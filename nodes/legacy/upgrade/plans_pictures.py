"""Nodes about pictures: prepared and noisy ones, tiles, and the enhancer that also looks at tiles."""

from collections.abc import Callable
from typing import Any

from ....ipadapter_core.adapter.features import Unconditional
from ..ids import weight_types
from . import parts
from .plan import Here, Inputs, Kept, Known, Plan, Same, is_link
from .plans_embeds import combine, encode
from .plans_weights import listed

SIDE, TILE, MOST = 224, 256, 4
SCALED = ("lanczos", "bicubic", "bilinear", "area", "nearest-exact")  # of the host's ImageScale
SAME_NOISE = ("fade", "dissolve", "gaussian")
UNSIZED = "how large its picture is, is not to be seen"
SHIFTED = "its crop lies half a pixel beside the host's at the size of its picture"


def _prepared(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """The middle square at the encoder's size, as the host's own resizing makes it."""
    filter = str(inputs.get("interpolation", "LANCZOS"))
    filter = filter.lower() if filter == "LANCZOS" else filter
    if filter not in SCALED:
        raise Kept(f"the host does not resize by '{filter}'")
    if inputs.get("crop_position", "center") != "center":
        raise Kept("it crops at an edge, which the host's nodes do by numbers alone")
    if parts.is_set(inputs.get("sharpening"), 0):
        raise Kept("its sharpening has no counterpart")
    size = known.graph.size(inputs.get("image"))
    _check_middle(size)
    plan = Plan({"small": _scaled(filter, SIDE, SIDE, "center")}, {0: Here("small")})
    if inputs.get("add_weight") is True:
        plan.nodes["twice"] = ("RepeatImageBatch", {"image": Here("small"), "amount": 2})
        plan.outputs = {0: Here("twice")}
    return plan


def _check_middle(size: tuple[int, int] | None) -> None:
    if size is None:
        raise Kept(UNSIZED)
    if (size[0] - size[1]) % 2:
        raise Kept(SHIFTED)


def _scaled(filter: str, width: int, height: int, crop: str) -> tuple[str, Inputs]:
    given = {"upscale_method": filter, "width": width, "height": height, "crop": crop}
    return "ImageScale", {"image": Same("image"), **given}


def _noise(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """Noise on black begins with the seed 0; put into a picture it begins with one made of the picture."""
    if "image_optional" in inputs:
        raise Kept("its noise begins with a seed that it makes of the picture")
    if inputs.get("type", "fade") not in SAME_NOISE:
        raise Kept("its shuffle moves pixels in another way")
    if parts.is_set(inputs.get("blur"), 0):
        raise Kept("it blurs in another way")
    reader = known.graph.reader_with(known.key, 0, "ipadapter")
    if reader is None:
        raise Kept("which adapter it is for is not to be seen")
    plan = Plan()
    clip_vision = reader.inputs.get("clip_vision")
    adapter = reader.inputs["ipadapter"]
    if not is_link(clip_vision):
        given = {"clip_name": "auto", "ipadapter": adapter}
        plan.nodes["encoder"] = ("LoadCLIPVision", given)
        clip_vision = Here("encoder")
    kind, strength = str(inputs.get("type", "fade")), inputs.get("strength", 1.0)
    plan.nodes["noise"] = parts.unseen(kind, adapter, clip_vision, strength=strength)
    plan.outputs = {0: Here("noise", 1)}
    return plan


def _tiled(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """Where tiles do not overlap, IPAdapter Tiles cuts the same ones."""
    if parts.is_set(inputs.get("sharpening"), 0):
        raise Kept("its sharpening has no counterpart")
    if "attn_mask" in inputs:
        raise Kept("IPAdapter Tiles takes no mask")
    if known.graph.count(inputs.get("image")) != 1:
        raise Kept("how many pictures it cuts is not to be seen")
    weight = inputs.get("weight", 1.0)
    take, second = parts.kind_of(node_id, inputs, known)
    if is_link(weight) and (second is not None or listed(known.graph, weight)):
        raise Kept("its weight comes from another node and may be a list")
    plan = Plan({"scaled": _as_tiles(known.graph.size(inputs.get("image")))})
    amounts = (1.0, 1.0) if second is None else (weight, second)
    adapter, clip_vision = Same("ipadapter"), parts.encoder(plan, inputs)
    found: Inputs = {"ipadapter": adapter, "clip_vision": clip_vision, "image": Here("scaled")}
    if "image_negative" in inputs or not parts.takes_nothing(known):
        given = {"image": Same("image_negative")} if "image_negative" in inputs else {}
        kind = "image" if given else "black"
        plan.nodes["negative"] = parts.unseen(kind, adapter, clip_vision, **given)
        found["embeds_negative"] = Here("negative")
    found["weight_map"] = parts.weight_map(
        plan, known, "map", weight_types.NEW_TAKES[take], amounts
    )
    settings = parts.settings(inputs, False, Same("weight") if second is None else 1.0)
    shared = {name: settings[name] for name in ("weight", "start_at", "end_at", "scaling")}
    plan.nodes["tiles"] = ("IPAdapterTiles", {**found, **shared, "fit": "crop", "short_side": 1})
    regions = {"model": Same("model"), "regions.region0": Here("tiles")}
    plan.nodes["apply"] = ("ApplyIPAdapterRegions", {**regions, "feather": 0, "overlap": "added"})
    plan.outputs = {0: Here("apply"), 1: Here("tiles", 1), 2: Here("tiles", 2)}
    return plan


def _as_tiles(size: tuple[int, int] | None) -> tuple[str, Inputs]:
    """The picture at the size that it was cut at. Raises Kept where its tiles would overlap."""
    if size is None:
        raise Kept(UNSIZED)
    width, height = size
    if 0.75 < height / width < 1.33:
        _check_middle(size)
        return _scaled("lanczos", 2 * TILE, 2 * TILE, "center")
    long = TILE * max(size) // min(size)
    if long % TILE:
        raise Kept("its tiles overlap, and add up where they do")
    if long > MOST * TILE:
        raise Kept("it cuts off the ends of so long a picture")
    width, height = (long, TILE) if width > height else (TILE, long)
    return _scaled("lanczos", width, height, "disabled")


def enhanced(plan: Plan, inputs: Inputs, known: Known, found: Inputs) -> Inputs | None:
    """The whole picture and its tiles as two references, or as one for each of several pictures; None without tiles."""
    count = inputs.get("enhance_tiles", 1)
    if is_link(count):
        raise Kept("how many tiles it cuts comes from another node")
    count = min(count, 16)
    if count < 2:
        return None
    if known.unconditional is None:
        raise Kept(parts.UNSEEN)
    if known.unconditional is Unconditional.ZERO_FEATURES:
        raise Kept("with a base adapter it reads the embedding of its tiles as a picture")
    pictures, size = known.graph.count(inputs["image"]), known.graph.size(inputs["image"])
    if pictures is None or size is None:
        raise Kept(UNSIZED)
    if size[0] != size[1] or size[0] % count:
        raise Kept("its tiles are cut from the whole picture, and the new node's from a square")
    method, ratio = str(inputs.get("combine_embeds", "concat")), inputs.get("enhance_ratio", 1.0)
    sources: dict[str, Any] = {"clip_vision": found["clip_vision"], "image": Same("image")}
    sources["ipadapter"] = Same("ipadapter")
    if pictures == 1:
        whole = encode(plan, "whole", weight=ratio, **sources)
        tiles = encode(plan, "tiles", weight=1.0, detail=count, detail_ratio=1.0, **sources)
        return {"embeds": combine(plan, "both", [whole, tiles], method, known.paper)}
    if is_link(ratio) or method != "concat":
        raise Kept("it combines several pictures with their tiles")
    share = {"detail": count, "detail_ratio": 1 - ratio}
    return {"embeds": encode(plan, "tiles", weight=1.0, **share, **sources)}


PLANS: dict[str, Callable[[str, Inputs, Known], Plan]] = {
    "PrepImageForClipVision": _prepared,
    "PrepImageWithWeight": _prepared,
    "IPAdapterNoise": _noise,
    "IPAdapterTiled": _tiled,
}
