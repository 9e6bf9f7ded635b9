"""The weights nodes are removed: their lists are typed into the nodes that use them."""

from dataclasses import replace

from .....ipadapter_core.messages import Message
from ..facts.weight_lists import LIST_OUTPUTS, run_weights_node
from ..plan import NewNode, NewOutput, NodeContext, Plan
from ..report import CannotUpgrade

IMAGE_OUTPUTS, STRATEGY_OUTPUT = (3, 4), 5
LIST_NOTE = Message("its list is written into 'frame_weights' of the nodes that use it")
SCHEDULE_NOTE = Message("the schedule is written into the node")


def plan_weights(old_node: NodeContext) -> Plan:
    if old_node.used_outputs.intersection(IMAGE_OUTPUTS):
        raise CannotUpgrade("it makes one image for each frame, which no new node does")
    return _plan_list(old_node, count_output=2, chained=(*LIST_OUTPUTS, STRATEGY_OUTPUT))


def plan_combined_weights(old_node: NodeContext) -> Plan:
    return _plan_list(old_node, count_output=1, chained=(0,))


def _plan_list(old_node: NodeContext, count_output: int, chained: tuple[int, ...]) -> Plan:
    """The node is removed, or gives the number of weights where that is used."""
    weights = run_weights_node(old_node.graph, [old_node.id, 0])[0]
    plan = Plan(notes=(LIST_NOTE,), needs_new_readers=frozenset(chained))
    if count_output not in old_node.used_outputs:
        return plan
    count = NewNode("PrimitiveInt", {"value": len(weights)})
    return replace(plan, replacement=count, outputs={count_output: NewOutput()})


def plan_prompt_schedule(old_node: NodeContext) -> Plan:
    text = run_weights_node(old_node.graph, [old_node.id, 0])[0]
    schedule = NewNode("PrimitiveStringMultiline", {"value": text})
    return Plan(schedule, outputs={0: NewOutput()}, notes=(SCHEDULE_NOTE,))


PLANS = {
    "IPAdapterWeights": plan_weights,
    "IPAdapterWeightsFromStrategy": plan_weights,
    "IPAdapterCombineWeights": plan_combined_weights,
    "IPAdapterPromptScheduleFromWeightsStrategy": plan_prompt_schedule,
}
