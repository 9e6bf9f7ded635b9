"""Plans for the old nodes of a graph. Nodes that must change together all change, or all stay."""

from collections.abc import Collection, Mapping

from ....ipadapter_core.messages import Message
from ..ids.old_node import OldNode
from .facts.adapters import find_adapter
from .facts.graph import OUTSIDE, Graph, GraphNode
from .links import parse_link
from .plan import NodeContext, Plan
from .plans import make_plan
from .report import CannotUpgrade, Change

OldNodes = Mapping[str, type[OldNode]]
Plans = dict[str, Plan]
Reasons = dict[str, Message]
LEAVES_NOTE = Message("its output leaves the subgraph")


def make_plans(
    graph: Graph, old_nodes: OldNodes, only: Collection[str] | None = None
) -> tuple[Plans, list[Change]]:
    """The plans of the old nodes by node id, and a report on each node.

    only: the nodes to change, with those that can change only with them; None: all.
    """
    plans, reasons = _plan_each(graph, old_nodes)
    _keep_chains_whole(plans, reasons, graph)
    selected = graph.nodes if only is None else _with_partners(only, plans, graph)
    report = [
        _change(node, old_nodes[node.kind].NAME, plans.get(node.id), reasons.get(node.id))
        for node in graph.nodes.values()
        if node.kind in old_nodes and node.id in selected
    ]
    return {node_id: plan for node_id, plan in plans.items() if node_id in selected}, report


def _plan_each(graph: Graph, old_nodes: OldNodes) -> tuple[Plans, Reasons]:
    """A plan for each old node, or the reason why it stays."""
    plans: Plans = {}
    reasons: Reasons = {}
    for node in graph.nodes.values():
        if node.kind not in old_nodes:
            continue
        try:
            plans[node.id] = make_plan(_node_context(node, graph, old_nodes))
        except CannotUpgrade as refusal:
            reasons[node.id] = refusal.message
    return plans, reasons


def _node_context(node: GraphNode, graph: Graph, old_nodes: OldNodes) -> NodeContext:
    return NodeContext(
        id=node.id,
        kind=node.kind,
        inputs=dict(node.inputs),
        graph=graph,
        adapter=find_adapter(node.id, graph),
        used_outputs=graph.used_outputs(node.id),
        by_frame=old_nodes[node.kind].BY_FRAME,
        follows_paper=graph.follows_paper(node.id),
    )


def _change(node: GraphNode, node_name: str, plan: Plan | None, reason: Message | None) -> Change:
    if plan is None:
        return Change(node.id, node_name, notes=[reason] if reason else [])
    new_kinds = [new_node.kind for new_node in plan.new_nodes.values()]
    return Change(
        node_id=node.id,
        name=node_name,
        new_kinds=new_kinds,
        notes=list(plan.notes),
        is_removed=not new_kinds,
    )


def _partners(node_id: str, plan: Plan, graph: Graph) -> list[str]:
    """The nodes that must change with this one, since only new nodes can read or give a link."""
    readers = [reader for slot in plan.needs_new_readers for reader in graph.readers(node_id, slot)]
    inputs = graph.nodes[node_id].inputs
    links = (parse_link(inputs.get(node_name)) for node_name in plan.needs_new_sources)
    return readers + [link.node_id for link in links if link]


def _keep_chains_whole(plans: Plans, reasons: Reasons, graph: Graph) -> None:
    """Drops each plan whose node has a partner that stays, until there is none."""
    dropped = True
    while dropped:
        dropped = False
        for node_id, plan in list(plans.items()):
            partners = _partners(node_id, plan, graph)
            staying = next((partner for partner in partners if partner not in plans), None)
            if staying is None:
                continue
            del plans[node_id]
            dropped = True
            reasons[node_id] = _chain_reason(staying)


def _chain_reason(staying: str) -> Message:
    if staying == OUTSIDE:
        return LEAVES_NOTE
    return Message("node <1>, to which it is connected, is not converted", staying)


def _with_partners(only: Collection[str], plans: Plans, graph: Graph) -> set[str]:
    selected, waiting = set(only), list(only)
    while waiting:
        node_id = waiting.pop()
        plan = plans.get(node_id)
        partners = _partners(node_id, plan, graph) if plan else []
        waiting += [partner for partner in partners if partner not in selected]
        selected |= set(partners)
    return selected
