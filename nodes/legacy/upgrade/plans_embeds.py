"""The embeds nodes, those of before March 2024 as well, which stacked both sides on one link."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from ...files.open_files import read_embeds
from ...references.embeds import embeds_path
from ..ids import weight_types
from ..ids.encoder_views import is_stack
from . import parts
from .graph import Graph
from .plan import BEHIND, Behind, Here, Inputs, Kept, Known, Plan, Same, is_link
from .plans_apply import applied

ENCODE, COMBINE = "EncodeIPAdapterReference", "CombineIPAdapterEmbeds"
ON_FEATURES = {"weight_on": "features"}
ONLY = frozenset({0})
IMAGES = tuple(f"image_{number}" for number in (1, 2, 3, 4))


class Held(NamedTuple):
    """What an EMBEDS link holds: how many references, None where that is not to be seen, and whether all are of nothing."""

    count: int | None = None
    nothing: bool = False
    stack: bool | None = False  # None: not to be seen


def _encoder(node_id: str, inputs: Inputs, known: Known) -> Plan:
    if "mask" in inputs:
        raise Kept("its mask lies on the small picture that the encoder gets")
    plan = Plan(handed=frozenset({0, 1}))
    clip_vision = parts.encoder(plan, inputs)
    if 1 in known.used:
        plan.outputs[1] = Here("embeds", 1)
        if not parts.takes_nothing(known):
            plan.nodes["black"] = parts.unseen("black", Same("ipadapter"), clip_vision)
            plan.outputs[1] = Here("black")
    encode(plan, "embeds", Same("ipadapter"), clip_vision, Same("image"), inputs.get("weight", 1.0))
    plan.outputs[0] = Here("embeds")
    return plan


def encode(
    plan: Plan, key: str, ipadapter: Any, clip_vision: Any, image: Any, weight: Any, **more: Any
) -> Here:
    given = {"ipadapter": ipadapter, "clip_vision": clip_vision, "image": image, "weight": weight}
    scaled = ON_FEATURES if parts.is_set(weight, 1) else {}
    plan.nodes[key] = (ENCODE, {**given, "fit": "crop", **scaled, **more})
    return Here(key)


def combine(plan: Plan, key: str, embeds: list[Any], method: str, paper: bool = False) -> Here:
    links = {f"references.embeds{number}": one for number, one in enumerate(embeds)}
    method = parts.NORM if method == "norm average" and not paper else method
    plan.nodes[key] = (COMBINE, {**links, "method": method, "projection": "before"})
    return Here(key)


def _combine(node_id: str, inputs: Inputs, known: Known) -> Plan:
    names = [f"embed{number}" for number in range(1, 6) if f"embed{number}" in inputs]
    held = [held_by(known.graph, inputs[name]) for name in names]
    method = str(inputs.get("method", "concat"))
    if any(one.stack is not False for one in held):
        raise Kept("it combines embeds whose negative side is stacked behind the positive one")
    _check_nothing(held)
    plan = Plan(handed=ONLY, taken=tuple(names))
    if len(names) == 1:
        if method != "concat" and held[0].count != 1:
            raise Kept("it combines one batch alone")
        plan.outputs[0] = Same(names[0])
        plan.notes = ["it had one reference alone, and gave it on"]
    else:
        plan.outputs[0] = combine(plan, "embeds", [Same(name) for name in names], method)
    return plan


def _apply(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """IPAdapter Embeds and its batch."""
    if 1 in known.used:
        raise Kept("its second output is used")
    plan = Plan(taken=("pos_embed", *(("neg_embed",) if "neg_embed" in inputs else ())))
    found = _sides(plan, "pos_embed", "neg_embed", inputs, known)
    if "attn_mask" in inputs:
        found |= parts.mask(plan, Same("attn_mask"))
    applied(plan, "apply", node_id, {**inputs, "weight": inputs.get("weight", 1.0)}, found, known)
    plan.outputs = {0: Here("apply")}
    return plan


def _apply_first(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """Apply IPAdapter from Encoded, of before March 2024, which reached every layer."""
    if "attn_mask" in inputs:
        raise Kept("it resizes masks in another way")
    plan = Plan(taken=("embeds",))
    found = _sides(plan, "embeds", "", inputs, replace(known, paper=False))
    scaling = weight_types.SCALINGS_BEFORE_MARCH_2024.get(
        str(inputs.get("weight_type", "original")), weight_types.V_ONLY
    )
    given = {**inputs, "embeds_scaling": scaling, "weight_type": weight_types.LINEAR}
    found |= parts.settings(given, inputs.get("unfold_batch") is True, Same("weight"))
    plan.nodes["apply"] = (parts.APPLY, found)
    plan.outputs = {0: Here("apply")}
    return plan


def _sides(plan: Plan, name: str, other: str, inputs: Inputs, known: Known) -> Inputs:
    """Model, adapter and both sides, the negative one from its own link, from behind the positive one, or of nothing."""
    found: Inputs = {"model": Same("model"), "ipadapter": Same("ipadapter"), "embeds": Same(name)}
    seen = held_by(known.graph, inputs.get(name))
    if other in inputs:
        unseen = held_by(known.graph, inputs[other])
        if not unseen.nothing and unseen.count != 1 and unseen.count != (seen.count or -1):
            raise Kept("how many references its negative side has is not to be seen")
        return {**found, "embeds_negative": Same(other)}
    if seen.stack is None:
        raise Kept("whether its embeds hold a negative side is not to be seen")
    if seen.stack:
        return {**found, "embeds_negative": Behind(name)}
    unseen = parts.negative(plan, inputs, known)
    if unseen:
        found["clip_vision"] = parts.encoder(plan, inputs)
    return found | unseen


def _save(node_id: str, inputs: Inputs, known: Known) -> Plan:
    held = held_by(known.graph, inputs.get("embeds"))
    if held.stack is None:
        raise Kept("whether its embeds hold a negative side is not to be seen")
    behind = {"embeds_negative": Behind("embeds")} if held.stack else {}
    given = {"embeds": Same("embeds"), "filename_prefix": Same("filename_prefix"), **behind}
    plan = Plan({"save": ("SaveIPAdapterEmbeds", given)}, taken=("embeds",))
    plan.notes = ["the file is a .safetensors now, for Load IPAdapter Embeds"]
    return plan


def _load(node_id: str, inputs: Inputs, known: Known) -> Plan:
    plan = Plan({"embeds": ("LoadIPAdapterEmbeds", {"file": Same("embeds")})}, handed=ONLY)
    plan.outputs = {0: Here("embeds"), BEHIND: Here("embeds", 1)}
    return plan


def _encode_images(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """The first IPAdapter Encoder: up to four pictures, each scaled by the square of its weight, with the negative side."""
    if parts.is_set(inputs.get("noise"), 0):
        raise Kept("its noise has no counterpart")
    names = [name for name in IMAGES if name in inputs]
    weights = [inputs.get(name.replace("image", "weight"), 1.0) for name in names]
    if any(map(is_link, weights)):
        raise Kept("its weights come from another node, and it squares them")
    reader = known.graph.reader_with(known.key, 0, "ipadapter")
    if reader is None:
        raise Kept("which adapter it encodes for is not to be seen")
    adapter, clip_vision = reader.inputs["ipadapter"], Same("clip_vision")
    plan = Plan(handed=ONLY)
    if inputs.get("ipadapter_plus") is True:
        plan.nodes["black"] = parts.unseen("black", adapter, clip_vision)
        plan.outputs[BEHIND] = Here("black")
    groups = _batched(plan, names, weights, known, inputs)
    made = [
        encode(plan, f"seen{number}", adapter, clip_vision, image, weight * weight)
        for number, (image, weight) in enumerate(groups)
    ]
    plan.outputs.setdefault(BEHIND, Here(made[0].key, 1))
    plan.outputs[0] = made[0] if len(made) == 1 else combine(plan, "embeds", [*made], "concat")
    return plan


def _batched(
    plan: Plan, names: list[str], weights: list[float], known: Known, inputs: Inputs
) -> list[tuple[Any, float]]:
    """Pictures with their weights; the others get the size of the first, as the host's Batch Images makes it."""
    first = Same(names[0])
    if len(set(weights)) == 1:
        image: Same | Here = first
        for name in names[1:]:
            plan.nodes[f"with_{name}"] = ("ImageBatch", {"image1": image, "image2": Same(name)})
            image = Here(f"with_{name}")
        return [(image, weights[0])]
    count = known.graph.count(inputs[names[0]])
    if count is None:
        raise Kept("how many pictures its first one is, is not to be seen")
    made: list[tuple[Any, float]] = [(first, weights[0])]
    for name, weight in zip(names[1:], weights[1:], strict=True):
        plan.nodes[f"with_{name}"] = ("ImageBatch", {"image1": first, "image2": Same(name)})
        rest = {"image": Here(f"with_{name}"), "batch_index": count, "length": 4096}
        plan.nodes[name] = ("ImageFromBatch", rest)
        made.append((Here(name), weight))
    return made


def _batch(node_id: str, inputs: Inputs, known: Known) -> Plan:
    """Of before March 2024: one behind the other, on both sides."""
    names = ("embed1", "embed2")
    held = [held_by(known.graph, inputs.get(name)) for name in names]
    stacks = {one.stack for one in held}
    if len(stacks) > 1 or None in stacks:
        raise Kept("whether its embeds hold a negative side is not to be seen")
    _check_nothing(held)
    plan = Plan(handed=ONLY, taken=names)
    if stacks == {True}:
        plan.outputs[BEHIND] = combine(plan, "negative", [Behind(name) for name in names], "concat")
    plan.outputs[0] = combine(plan, "embeds", [Same(name) for name in names], "concat")
    return plan


def _check_nothing(held: list[Held]) -> None:
    """What stands for nothing is one reference now; beside others it counts as often as it did only if it was one."""
    if any(one.nothing and one.count is None for one in held) and not all(h.nothing for h in held):
        raise Kept("how many negative references it combines is not to be seen")


def held_by(graph: Graph, link: Any) -> Held:
    """What there is on an EMBEDS link, as far as that is to be seen."""
    node = graph.source(link)
    if node is None:
        return Held(stack=None)
    if node.kind == "IPAdapterEncoder":
        count = graph.count(node.inputs.get("image"))
        return Held(count if link[1] == 0 or count == 1 else None, nothing=link[1] == 1)
    if node.kind == "IPAdapterLoadEmbeds":
        return _in_file(node.inputs.get("embeds"))
    if node.kind == "IPAdapterEncodeImages":
        alone = graph.count(node.inputs.get("image_1")) == 1 and "image_2" not in node.inputs
        return Held(1 if alone else None, nothing=True, stack=True)
    if node.kind in ("IPAdapterCombineEmbeds", "IPAdapterBatchEmbeds"):
        return _combined(graph, node.inputs)
    return Held(stack=None)


def _combined(graph: Graph, inputs: Inputs) -> Held:
    given = [held_by(graph, value) for name, value in inputs.items() if name.startswith("embed")]
    if not given:
        return Held()
    stacks = {one.stack for one in given}
    counts = [one.count for one in given]
    count = 1 if inputs.get("method", "concat") != "concat" else None
    if count is None and None not in counts:
        count = sum(one or 0 for one in counts)
    return Held(
        count, all(one.nothing for one in given), stacks.pop() if len(stacks) == 1 else None
    )


def _in_file(name: Any) -> Held:
    try:
        content, metadata = read_embeds(embeds_path(str(name)))
    except (ValueError, OSError):
        return Held(stack=None)
    if metadata is not None:
        return Held(stack=None)
    if is_stack(content):
        return Held(content.shape[1], stack=True)
    shape = getattr(content, "shape", None)
    return Held(shape[0] if shape else None)


PLANS: dict[str, Callable[[str, Inputs, Known], Plan]] = {
    "IPAdapterEncoder": _encoder,
    "IPAdapterCombineEmbeds": _combine,
    "IPAdapterEmbeds": _apply,
    "IPAdapterEmbedsBatch": _apply,
    "IPAdapterSaveEmbeds": _save,
    "IPAdapterLoadEmbeds": _load,
    "IPAdapterApplyEncoded": _apply_first,
    "IPAdapterEncodeImages": _encode_images,
    "IPAdapterBatchEmbeds": _batch,
}
