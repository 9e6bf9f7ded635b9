"""A saved workflow with old nodes becomes one with new nodes, by the same plans as a prompt."""

import copy
from collections.abc import Mapping

from ..reading import prompts, saved_graph
from ..reading.primitives import primitive_values, type_primitives
from .canvas import Canvas, HostNode, SavedLink
from .facts.graph import Graph
from .links import OldLink, OldSource
from .planning import OldNodes, make_plans
from .plans import TYPED_INPUTS
from .readable import ReadableNode, SavedGraph, readable_subgraphs
from .report import Change

REROUTE = "Reroute"  # the page's own node, which no prompt has
CHAIN_TYPES = ("EMBEDS", "IPADAPTER_PARAMS")  # types of links whose both ends change together
INACTIVE_MODES = (2, 4)  # of nodes that are muted or bypassed


def upgraded_workflow(
    workflow: SavedGraph,
    old_nodes: OldNodes,
    registered: Mapping[str, HostNode],
    only: set[str] | None = None,
) -> tuple[SavedGraph, list[Change]]:
    """A saved workflow with new nodes, and the report.

    registered: the host's node classes by id; only: ids of the nodes to change, None for all.
    """
    workflow = copy.deepcopy(workflow)
    report: list[Change] = []
    for graph in (workflow, *readable_subgraphs(workflow)):
        report += _GraphUpgrade(graph, old_nodes, registered).run(only)
    return workflow, report


class _GraphUpgrade:
    """One graph of a saved workflow while its nodes are replaced."""

    def __init__(self, graph: SavedGraph, old_nodes: OldNodes, registered: Mapping[str, HostNode]):
        self._canvas = Canvas(graph, registered)
        self._old_nodes = old_nodes
        self._saved_nodes = dict(self._canvas.nodes)  # as they were

    def run(self, only: set[str] | None) -> list[Change]:
        canvas = self._canvas
        prompt = self._read_prompt()
        graph = Graph(prompt, self._inactive_nodes(), self._leaving_links())
        plans, report = make_plans(graph, self._old_nodes, only)
        passing = canvas.nodes_with_readers()
        moves: dict[OldSource, object] = {}
        for node_id, plan in plans.items():
            inputs = prompt[node_id]["inputs"]
            moves |= canvas.replace(self._saved_nodes[node_id], inputs, plan)
        canvas.redirect(moves)
        self._remove_unused_reroutes(passing)
        canvas.write()
        return report

    def _read_prompt(self) -> dict[str, ReadableNode]:
        saved_links = {
            saved_link.id: list(saved_link) for saved_link in self._canvas.links.values()
        }
        prompt = {
            node_id: saved_graph.read_node(
                saved_node, saved_links, self._old_nodes, {}, self._source
            )
            for node_id, saved_node in self._saved_nodes.items()
        }
        primitives = primitive_values(self._saved_nodes)
        prompt = {
            node_id: type_primitives(node, primitives, TYPED_INPUTS)
            for node_id, node in prompt.items()
        }
        return prompts.read_prompt(prompt, self._old_nodes, self._old_nodes, {})

    def _inactive_nodes(self) -> set[str]:
        return {
            node_id
            for node_id, saved_node in self._saved_nodes.items()
            if saved_node.get("mode") in INACTIVE_MODES
        }

    def _leaving_links(self) -> set[OldLink]:
        """The outputs that are read past the border of a subgraph."""
        saved_links = self._canvas.links.values()
        return {
            OldLink(str(origin.origin), origin.origin_slot)
            for origin in (
                self._chain_origin(saved_link) or saved_link
                for saved_link in saved_links
                if str(saved_link.target) not in self._saved_nodes
            )
        }

    def _source(self, kind: str, link: list[object]) -> list[object] | None:
        """Node and slot that a link to a node of that class comes from, for reading prompts."""
        saved_link = SavedLink._make(link)
        chain = self._chain_origin(saved_link)
        if chain is None:
            return [str(saved_link.origin), saved_link.origin_slot]
        # the nodes behind a reroute read the chain themselves
        return None if kind == REROUTE else [str(chain.origin), chain.origin_slot]

    def _chain_origin(self, saved_link: SavedLink) -> SavedLink | None:
        """The first link, before reroutes, where both ends change together; None for others."""
        first_link = self._link_before_reroutes(saved_link)
        if first_link is None:
            return None
        outputs = (self._saved_nodes.get(str(first_link.origin)) or {}).get("outputs") or []
        if first_link.origin_slot >= len(outputs):
            return None
        return first_link if outputs[first_link.origin_slot].get("type") in CHAIN_TYPES else None

    def _link_before_reroutes(self, saved_link: SavedLink) -> SavedLink | None:
        """The link that a row of reroutes begins with; None where the row ends or is a ring."""
        saved_node = self._saved_nodes.get(str(saved_link.origin))
        visited: set[int] = set()
        while saved_node is not None and saved_node.get("type") == REROUTE:
            visited.add(saved_link.id)
            sockets = saved_node.get("inputs") or [{}]
            previous_link = self._canvas.links.get(sockets[0].get("link") or 0)
            if previous_link is None or previous_link.id in visited:
                return None
            saved_link = previous_link
            saved_node = self._saved_nodes.get(str(previous_link.origin))
        return saved_link

    def _remove_unused_reroutes(self, passing_before: set[str]) -> None:
        """Reroutes that passed something on before, and now pass nothing."""
        while True:
            passing = self._canvas.nodes_with_readers()
            unused = [
                saved_node
                for node_id, saved_node in self._canvas.nodes.items()
                if saved_node.get("type") == REROUTE
                and node_id in passing_before
                and node_id not in passing
            ]
            if not unused:
                return
            self._canvas.remove(unused)
