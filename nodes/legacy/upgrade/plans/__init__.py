"""What each old node becomes: functions from a node in its graph to a plan.

Data in and out; results stay equal.

- `loaders.py`: files and presets
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
    apply_nodes,
    embeds,
    encode_images,
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
FACES = Message(
    "it works as before; the new nodes choose other faces, combine them differently, and use a "
    "different negative side"
)
REASONS = {  # why a node stays whatever its inputs are
    "IPAdapterTiledBatch": Message("IPAdapter Tiles takes one image, not one for each frame"),
    "IPAdapterTilesMasked": Message("its tiles overlap, each with its own weights"),
    "PrepImageForInsightFace": Message("Face Crop frames faces differently"),
    "IPAdapterUnifiedLoaderFaceID": FACES,
}
WORKS = Message("it works as before")


def make_plan(old_node: NodeContext) -> Plan:
    """The new nodes that give the same picture. Raises CannotUpgrade where there are none."""
    if old_node.adapter.takes_faces:
        raise CannotUpgrade.because(FACES)
    plan = PLANS.get(old_node.kind)
    if plan is None:
        raise CannotUpgrade.because(REASONS.get(old_node.kind, WORKS))
    linked = next(
        (input_name for input_name in TYPED_INPUTS if is_link(old_node.inputs.get(input_name))),
        None,
    )
    if linked is not None:
        raise CannotUpgrade("its '<1>' comes from another node", linked)
    return plan(old_node)
