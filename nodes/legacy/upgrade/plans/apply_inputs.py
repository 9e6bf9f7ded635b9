"""Inputs of the new Apply IPAdapter: encoder, negative reference, mask, weight map and settings."""

from .....ipadapter_core.attention.scaling import V_ONLY
from .....ipadapter_core.messages import Message
from .....ipadapter_core.references.embeds import CONCAT, PLUS_NORM_AVERAGE
from ....apply.settings import PER_FRAME, TOGETHER
from ....files.twins import AUTO
from ....references.negative_reference import BLACK_SIDE
from ...ids import weight_types
from ..facts.graph import Inputs
from ..links import is_link, is_number
from ..plan import Fragment, NewNode, NewOutput, NodeContext, OldInput
from ..report import CannotUpgrade

APPLY_ID = "ApplyIPAdapter"
WITHOUT_MIDDLE = "middle:0, rest:1"  # IPAdapter_plus does not reach the middle block
NORM_AVERAGE = "norm average"
UNKNOWN_ADAPTER = Message("the kind of its adapter is unknown: its file is not installed")
NAMING_INPUTS = "preset", "ipadapter_file", "model_name"
BLACK_NOTE = Message(
    "a black image is the negative reference, as in IPAdapter_plus (without it, the adapter gets "
    "the unconditional embeds that it was trained with)"
)
MASK_NOTE = Message(
    "masks are exact now: the same as in IPAdapter_plus for images whose sides are multiples of "
    "64 pixels, and no longer skewed for others"
)
MIDDLE_NOTE = Message(
    "the weight map leaves out the middle block, as IPAdapter_plus did"
    " (empty its 'layers' to use it)"
)


def encoder(old_node: NodeContext) -> Fragment:
    """The encoder connected to the node, else the installed one that fits."""
    if "clip_vision" in old_node.inputs:
        return Fragment({"clip_vision": OldInput("clip_vision")})
    return automatic_encoder(OldInput("ipadapter"))


def automatic_encoder(adapter: object) -> Fragment:
    loader = NewNode("LoadCLIPVision", {"clip_name": AUTO, "ipadapter": adapter})
    return Fragment({"clip_vision": NewOutput("encoder")}, {"encoder": loader})


def needs_black_image(old_node: NodeContext) -> bool:
    """Whether IPAdapter_plus made a black negative image: for all but base adapters."""
    if old_node.follows_paper:
        return False
    if not old_node.adapter.is_known:
        raise CannotUpgrade.of(unknown_adapter(old_node))
    return not old_node.adapter.takes_zero_features


def unknown_adapter(old_node: NodeContext) -> Message:
    """Why the kind of adapter is not known: its loader gets the name, or the file is missing."""
    for loader in old_node.graph.upstream(old_node.inputs.get("ipadapter"), "ipadapter"):
        for input_name in NAMING_INPUTS:
            if is_link(loader.inputs.get(input_name)):
                return Message(
                    "the kind of its adapter depends on '<1>' of node <2>,"
                    " which comes from another node",
                    input_name,
                    loader.id,
                )
    return UNKNOWN_ADAPTER


def negative_image(old_node: NodeContext) -> Fragment:
    """The negative image that is connected, or a black one where IPAdapter_plus made one."""
    if "image_negative" in old_node.inputs:
        return Fragment({"image_negative": OldInput("image_negative")})
    if not needs_black_image(old_node):
        return Fragment()
    size: Inputs = {"width": BLACK_SIDE, "height": BLACK_SIDE, "batch_size": 1, "color": 0}
    black = NewNode("EmptyImage", size)
    return Fragment({"image_negative": NewOutput("black")}, {"black": black}, (BLACK_NOTE,))


def negative_reference(kind: str, connections: Inputs, settings: Inputs | None = None) -> NewNode:
    """An IPAdapter Negative Reference of a kind. connections: adapter and encoder."""
    defaults: Inputs = {"kind": kind, "strength": 1.0, "seed": 0, "blur": 0}
    return NewNode("IPAdapterNegativeReference", {**connections, **defaults, **(settings or {})})


def mask(value: object) -> Fragment:
    return Fragment({"attn_mask": value}, notes=(MASK_NOTE,))


def connections(old_node: NodeContext) -> Fragment:
    """Model, adapter, encoder, negative image and mask of an old apply node."""
    links = Fragment({"model": OldInput("model"), "ipadapter": OldInput("ipadapter")})
    links = links | encoder(old_node) | negative_image(old_node)
    return links | mask(OldInput("attn_mask")) if "attn_mask" in old_node.inputs else links


def weight_map(
    old_node: NodeContext,
    map_name: str,
    take: str,
    amounts: tuple[object, object] = (1.0, 1.0),
    layers: str = "",
    added_map: str = "",
) -> Fragment:
    """An IPAdapter Weight Map of that name.

    layers: those of the old node, else all but the middle block.
    added_map: the name of another weight map to add.
    """
    notes: tuple[Message, ...] = ()
    if not old_node.follows_paper:
        layers, notes = layers or WITHOUT_MIDDLE, (MIDDLE_NOTE,)
    new_inputs: Inputs = {
        "model": OldInput("model"),
        "take": take,
        "amount": amounts[0],
        "second_amount": amounts[1],
        "layers": layers,
    }
    if added_map:
        new_inputs["add"] = NewOutput(added_map)
    new_node = NewNode("IPAdapterWeightMap", new_inputs)
    return Fragment({"weight_map": NewOutput(map_name)}, {map_name: new_node}, notes)


def settings(old_node: NodeContext, weight: object) -> Inputs:
    """Weight, range, scaling and combination, in the words of the new node."""
    is_channel_penalty = old_node.inputs.get("weight_type") == "channel penalty"
    scaling = (
        weight_types.MEAN_PENALTY if is_channel_penalty else old_node.inputs.get("embeds_scaling")
    )
    return {
        "weight": weight,
        "start_at": old_node.inputs.get("start_at", 0.0),
        "end_at": old_node.inputs.get("end_at", 1.0),
        "scaling": weight_types.NEW_SCALINGS.get(str(scaling), V_ONLY),
        "combine": combine_method(
            old_node.inputs.get("combine_embeds", CONCAT), old_node.follows_paper
        ),
        "batch": PER_FRAME if old_node.by_frame else TOGETHER,
    }


def combine_method(method: object, follows_paper: bool = False) -> object:
    """The way to combine references; IPAdapter_plus computes the norm average in its own way."""
    return PLUS_NORM_AVERAGE if method == NORM_AVERAGE and not follows_paper else method


def typed_number(old_node: NodeContext, input_name: str, default: float) -> float:
    """A number that is typed. Raises CannotUpgrade for anything else."""
    value = old_node.inputs.get(input_name, default)
    if not is_number(value):
        raise CannotUpgrade("its '<1>' is not a number", input_name)
    return value


def is_set(value: object, default: object) -> bool:
    """Whether an input is linked, or typed as something else than its default."""
    return is_link(value) or (value is not None and value != default)
