"""The loaders: a file or a preset becomes Load IPAdapter; those of InsightFace are removed."""

from .....ipadapter_core.messages import Message
from ....files.twins import AUTO
from ..facts.graph import Inputs
from ..plan import NewNode, NewOutput, NodeContext, OldInput, Plan
from ..report import CannotUpgrade

INSIGHTFACE_NOTE = Message("this pack does not use InsightFace")


def plan_model_loader(old_node: NodeContext) -> Plan:
    file = old_node.adapter.file or old_node.inputs.get("ipadapter_file") or ""
    return Plan(load_adapter(file), outputs={0: NewOutput()})


def plan_unified_loader(old_node: NodeContext) -> Plan:
    file = old_node.adapter.file
    if file is None:
        raise CannotUpgrade(
            "which adapter its preset stands for depends on the model, and no such file is "
            "installed"
        )
    outputs = {0: OldInput("model"), 1: NewOutput()}
    return Plan(load_adapter(file), outputs=outputs, notes=(preset_note(old_node, file),))


def preset_note(old_node: NodeContext, file: str) -> Message:
    return Message("the preset '<1>' is the file '<2>'", old_node.inputs.get("preset"), file)


def load_adapter(file: object, variant: str = AUTO) -> NewNode:
    variants: Inputs = {} if variant == AUTO else {"variant": variant}
    return NewNode("LoadIPAdapter", {"ipadapter_file": file, **variants})


def plan_insightface_loader(old_node: NodeContext) -> Plan:
    return Plan(notes=(INSIGHTFACE_NOTE,), needs_new_readers=frozenset({0}))


PLANS = {
    "IPAdapterModelLoader": plan_model_loader,
    "IPAdapterUnifiedLoader": plan_unified_loader,
    "IPAdapterUnifiedLoaderCommunity": plan_unified_loader,
    "IPAdapterInsightFaceLoader": plan_insightface_loader,
    "InsightFaceLoader": plan_insightface_loader,
}
