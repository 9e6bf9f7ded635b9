"""The embeds nodes, and those of before March 2024, which stacked both sides on one link."""

from collections.abc import Sequence
from dataclasses import replace

from .....ipadapter_core.messages import Message
from .....ipadapter_core.references.embeds import CONCAT
from ...ids import weight_types
from ..facts.embeds_content import EmbedsContent, find_embeds
from ..facts.graph import Inputs
from ..plan import Fragment, NewNode, NewOutput, NodeContext, OldInput, Plan, StackedNegative
from ..report import CannotUpgrade
from . import apply_inputs
from .weight_kinds import apply_nodes

ENCODE_ID, COMBINE_EMBEDS_ID = "EncodeIPAdapterReference", "CombineIPAdapterEmbeds"
FIRST_OUTPUT = frozenset({0})
COMBINED_INPUTS = tuple(f"embed{number}" for number in range(1, 6))
BATCHED_INPUTS = ("embed1", "embed2")
UNKNOWN_NEGATIVE = "it is unknown whether its embeds include negative ones"
SINGLE_NOTE = Message("it had a single reference and passed it on")
FILE_NOTE = Message("the file is a .safetensors now, for Load IPAdapter Embeds")


def encode_node(
    connections: Inputs, image: object, weight: object, options: Inputs | None = None
) -> NewNode:
    """Encode IPAdapter Reference; a weight multiplies the features, as in IPAdapter_plus."""
    is_weighted = apply_inputs.is_set(weight, 1)
    new_inputs: Inputs = {**connections, "image": image, "weight": weight, "fit": "crop"}
    new_inputs |= {"weight_on": "features"} if is_weighted else {}
    return NewNode(ENCODE_ID, {**new_inputs, **(options or {})})


def combine_node(embeds: Sequence[object], method: object, follows_paper: bool = False) -> NewNode:
    references = {f"references.embeds{place}": link for place, link in enumerate(embeds)}
    method = apply_inputs.combine_method(method, follows_paper)
    return NewNode(COMBINE_EMBEDS_ID, {**references, "method": method, "projection": "before"})


def plan_encoder(old_node: NodeContext) -> Plan:
    if "mask" in old_node.inputs:
        raise CannotUpgrade("its mask applies to the small image that the encoder gets")
    encoder = apply_inputs.encoder(old_node)
    helpers = dict(encoder.helpers)
    connections: Inputs = {"ipadapter": OldInput("ipadapter"), **encoder.inputs}
    outputs: dict[int, NewOutput | OldInput] = {}
    if 1 in old_node.used_outputs:
        outputs[1] = NewOutput(slot=1)
        if apply_inputs.needs_black_image(old_node):
            helpers["black"] = apply_inputs.negative_reference("black", connections)
            outputs[1] = NewOutput("black")
    outputs[0] = NewOutput()
    weight = old_node.inputs.get("weight", 1.0)
    replacement = encode_node(connections, OldInput("image"), weight)
    return Plan(replacement, helpers, outputs, needs_new_readers=frozenset({0, 1}))


def plan_combine(old_node: NodeContext) -> Plan:
    input_names = [input_name for input_name in COMBINED_INPUTS if input_name in old_node.inputs]
    contents = [
        find_embeds(old_node.graph, old_node.inputs[input_name]) for input_name in input_names
    ]
    method = str(old_node.inputs.get("method", CONCAT))
    if any(content.has_negative is not False for content in contents):
        raise CannotUpgrade("it combines embeds that hold negative embeds after the positive ones")
    _require_counts(contents)
    chain = Plan(needs_new_readers=FIRST_OUTPUT, needs_new_sources=tuple(input_names))
    if len(input_names) == 1:
        if method != CONCAT and contents[0].count != 1:
            raise CannotUpgrade("it combines only one batch")
        return replace(chain, outputs={0: OldInput(input_names[0])}, notes=(SINGLE_NOTE,))
    combined = combine_node([OldInput(input_name) for input_name in input_names], method)
    return replace(chain, replacement=combined, outputs={0: NewOutput()})


def plan_apply_embeds(old_node: NodeContext) -> Plan:
    """IPAdapter Embeds and its batch."""
    if 1 in old_node.used_outputs:
        raise CannotUpgrade("its second output is in use")
    connections = _references(old_node, "pos_embed", "neg_embed")
    if "attn_mask" in old_node.inputs:
        connections |= apply_inputs.mask(OldInput("attn_mask"))
    old_node = replace(
        old_node, inputs={**old_node.inputs, "weight": old_node.inputs.get("weight", 1.0)}
    )
    applied = apply_nodes(old_node, "apply", connections)
    sources = ("pos_embed", *(("neg_embed",) if "neg_embed" in old_node.inputs else ()))
    return replace(applied, outputs={0: NewOutput()}, needs_new_sources=sources)


def plan_apply_encoded(old_node: NodeContext) -> Plan:
    """Apply IPAdapter from Encoded, of before March 2024, which reached every layer."""
    if "attn_mask" in old_node.inputs:
        raise CannotUpgrade("it resizes masks differently")
    old_node = replace(
        old_node,
        inputs=first_settings(old_node.inputs),
        by_frame=old_node.inputs.get("unfold_batch") is True,
        follows_paper=False,
    )
    connections = _references(old_node, "embeds")
    new_inputs = {**connections.inputs, **apply_inputs.settings(old_node, OldInput("weight"))}
    return Plan(
        NewNode(apply_inputs.APPLY_ID, new_inputs),
        connections.helpers,
        {0: NewOutput()},
        notes=connections.notes,
        needs_new_sources=("embeds",),
    )


def first_settings(new_inputs: Inputs) -> Inputs:
    """Inputs of an apply node of before March 2024, whose weight types were scalings."""
    weight_type = str(new_inputs.get("weight_type", "original"))
    scaling = weight_types.SCALINGS_BEFORE_MARCH_2024.get(weight_type, weight_types.V_ONLY)
    return {**new_inputs, "embeds_scaling": scaling, "weight_type": weight_types.LINEAR}


def _references(old_node: NodeContext, positive: str, negative: str = "") -> Fragment:
    """Model, adapter and references; negative ones are linked, stacked, or of no image."""
    links: Inputs = {"model": OldInput("model"), "ipadapter": OldInput("ipadapter")}
    connections = Fragment({**links, "embeds": OldInput(positive)})
    content = find_embeds(old_node.graph, old_node.inputs.get(positive))
    if negative in old_node.inputs:
        _require_equal_counts(content, find_embeds(old_node.graph, old_node.inputs[negative]))
        return connections | Fragment({"embeds_negative": OldInput(negative)})
    if content.has_negative is None:
        raise CannotUpgrade(UNKNOWN_NEGATIVE)
    if content.has_negative:
        return connections | Fragment({"embeds_negative": StackedNegative(positive)})
    black = apply_inputs.negative_image(old_node)
    if not black.inputs:
        return connections
    encoder = apply_inputs.encoder(old_node)
    new_inputs = {**connections.inputs, **encoder.inputs, **black.inputs}
    return Fragment(new_inputs, {**black.helpers, **encoder.helpers}, black.notes)


def plan_save(old_node: NodeContext) -> Plan:
    content = find_embeds(old_node.graph, old_node.inputs.get("embeds"))
    if content.has_negative is None:
        raise CannotUpgrade(UNKNOWN_NEGATIVE)
    new_inputs: Inputs = {
        input_name: OldInput(input_name) for input_name in ("embeds", "filename_prefix")
    }
    new_inputs |= {"embeds_negative": StackedNegative("embeds")} if content.has_negative else {}
    save = NewNode("SaveIPAdapterEmbeds", new_inputs)
    return Plan(save, notes=(FILE_NOTE,), needs_new_sources=("embeds",))


def plan_load(old_node: NodeContext) -> Plan:
    return Plan(
        NewNode("LoadIPAdapterEmbeds", {"file": OldInput("embeds")}),
        outputs={0: NewOutput()},
        stacked_negative=NewOutput(slot=1),
        needs_new_readers=FIRST_OUTPUT,
    )


def plan_batch(old_node: NodeContext) -> Plan:
    """IPAdapter Batch Embeds, of before March 2024: one batch behind the other, on both sides."""
    contents = [
        find_embeds(old_node.graph, old_node.inputs.get(input_name))
        for input_name in BATCHED_INPUTS
    ]
    has_negative = contents[0].has_negative
    if has_negative is None or contents[1].has_negative is not has_negative:
        raise CannotUpgrade(UNKNOWN_NEGATIVE)
    _require_counts(contents)
    positive = combine_node([OldInput(input_name) for input_name in BATCHED_INPUTS], CONCAT)
    chain = Plan(
        positive,
        outputs={0: NewOutput()},
        needs_new_readers=FIRST_OUTPUT,
        needs_new_sources=BATCHED_INPUTS,
    )
    if not has_negative:
        return chain
    negative = combine_node([StackedNegative(input_name) for input_name in BATCHED_INPUTS], CONCAT)
    return replace(chain, helpers={"negative": negative}, stacked_negative=NewOutput("negative"))


def _require_counts(contents: Sequence[EmbedsContent]) -> None:
    """References of no image are one today: beside others their number has to be known."""
    is_uncounted = any(content.is_empty and content.count is None for content in contents)
    if is_uncounted and not all(content.is_empty for content in contents):
        raise CannotUpgrade("the number of negative references that it combines is unknown")


def _require_equal_counts(positive: EmbedsContent, negative: EmbedsContent) -> None:
    if negative.is_empty or negative.count == 1:
        return
    if negative.count is None or negative.count != positive.count:
        raise CannotUpgrade("the number of its negative references is unknown")


PLANS = {
    "IPAdapterEncoder": plan_encoder,
    "IPAdapterCombineEmbeds": plan_combine,
    "IPAdapterEmbeds": plan_apply_embeds,
    "IPAdapterEmbedsBatch": plan_apply_embeds,
    "IPAdapterSaveEmbeds": plan_save,
    "IPAdapterLoadEmbeds": plan_load,
    "IPAdapterApplyEncoded": plan_apply_encoded,
    "IPAdapterBatchEmbeds": plan_batch,
}
