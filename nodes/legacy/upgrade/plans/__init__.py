"""What each old node becomes: functions from a node in its graph to a plan.

Data in and out; results stay equal.

- `loaders.py`: files and presets
- `faces.py`: FaceID adapters on apply nodes, and their loader
- `apply_nodes.py`, `first_nodes.py`: apply nodes, and those of before March 2024 and laksjdjf's
- `flux.py`: those of XLabs and Shakker-Labs for FLUX.1
- `embeds.py`, `encode_images.py`, `pictures.py`, `regions.py`, `weight_lists.py`: nodes that feed
  apply nodes
- `apply_inputs.py`, `weight_kinds.py`: inputs and weights of the new Apply IPAdapter
"""

from collections.abc import Callable

from .....ipadapter_core.messages import Message
from ..links import is_link
from ..plan import NodeContext, Plan
from ..report import CannotUpgrade
from . import (
    apply_inputs,
    apply_nodes,
    embeds,
    encode_images,
    faces,
    first_nodes,
    flux,
    loaders,
    pictures,
    regions,
    weight_lists,
)

__all__ = ["TYPED_INPUTS", "make_plan"]

PLANS: dict[str, Callable[[NodeContext], Plan]] = {
    **loaders.PLANS,
    **apply_nodes.PLANS,
    **embeds.PLANS,
    **encode_images.PLANS,
    **faces.PLANS,
    **first_nodes.PLANS,
    **flux.PLANS,
    **pictures.PLANS,
    **regions.PLANS,
    **weight_lists.PLANS,
}
TYPED_INPUTS = (  # say which nodes there are, or what they are called now: a plan reads them
    *("weight_type", "embeds_scaling", "combine_embeds", "method", "layer_weights"),
    *("unfold_batch", "ipadapter_plus", "expand_style", "add_weight", "preset"),
)
FACE_PLANS = (
    *(loaders.plan_model_loader, faces.plan_loader),
    *(apply_nodes.plan_apply, first_nodes.plan_apply),
)
NO_FACES = Message(
    "it works as before; with a FaceID adapter, only nodes that find the face are converted"
)
FACE_IDS = (  # may have a FaceID adapter
    *("IPAdapterFaceID", "IPAAdapterFaceIDBatch", "IPAdapterFaceIDKolors", "IPAdapterMS"),
    "IPAdapterApplyFaceID",
)
REASONS = {  # why a node stays whatever its inputs are
    "IPAdapterTiledBatch": Message("IPAdapter Tiles takes one image, not one for each frame"),
    "IPAdapterTilesMasked": Message("its tiles overlap, each with its own weights"),
}
WORKS = Message("it works as before")


def make_plan(old_node: NodeContext) -> Plan:
    """The new nodes that give the same picture. Raises CannotUpgrade where there are none."""
    plan = PLANS.get(old_node.kind)
    if old_node.adapter.face_spec is not None and plan not in FACE_PLANS:
        raise CannotUpgrade.of(NO_FACES)
    if old_node.kind in FACE_IDS and not old_node.adapter.is_known:
        raise CannotUpgrade.of(apply_inputs.unknown_adapter(old_node))
    if plan is None:
        raise CannotUpgrade.of(REASONS.get(old_node.kind, WORKS))
    linked = next(
        (input_name for input_name in TYPED_INPUTS if is_link(old_node.inputs.get(input_name))),
        None,
    )
    if linked is not None:
        raise CannotUpgrade("its '<1>' comes from another node", linked)
    return plan(old_node)
