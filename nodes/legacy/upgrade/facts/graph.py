"""An old graph as a prompt: its nodes and links, and which nodes read an output."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from ...ids import old_graphs_switch
from ..links import OldLink, parse_link
from ..report import CannotUpgrade

Inputs = dict[str, object]
MOST_NODES_IN_A_ROW = 100  # that a fact about a link may depend on
T = TypeVar("T")
OUTSIDE = ""  # stands for whatever reads an output past the border of a subgraph


class GraphNode(NamedTuple):
    id: str
    kind: str
    inputs: Inputs


class Graph:
    """Nodes of a prompt.

    idle: those that are muted or bypassed; leaving: outputs that leave the graph.
    """

    def __init__(
        self,
        prompt: Mapping[str, Mapping[str, Any]],
        idle: Collection[str] = (),
        leaving: Collection[OldLink] = (),
    ):
        self.nodes = {
            id: GraphNode(id, node.get("class_type", ""), node.get("inputs", {}))
            for id, node in prompt.items()
        }
        self._idle = idle
        self._answers: dict[tuple[str, OldLink | None], Any] = {}
        self._depth = 0
        self._readers: dict[OldLink, list[str]] = {}
        self._used_outputs: dict[str, set[int]] = {}
        for reader in self.nodes.values():
            for value in reader.inputs.values():
                if link := parse_link(value):
                    self._add_reader(link, reader.id)
        for link in leaving:
            self._add_reader(link, OUTSIDE)

    def _add_reader(self, link: OldLink, reader_id: str) -> None:
        self._readers.setdefault(link, []).append(reader_id)
        self._used_outputs.setdefault(link.node_id, set()).add(link.slot)

    def once(self, question: str, link: object, answer: Callable[[], T], unknown: T) -> T:
        """An answer about a link, found once; unknown where it depends on itself or too much."""
        key = (question, parse_link(link))
        if key in self._answers:
            return self._answers[key]
        if self._depth > MOST_NODES_IN_A_ROW:
            return unknown
        self._answers[key] = unknown
        self._depth += 1
        try:
            self._answers[key] = answer()
        except CannotUpgrade:
            del self._answers[key]
            raise
        finally:
            self._depth -= 1
        return self._answers[key]

    def source(self, link: object) -> GraphNode | None:
        """The node that gives a link, if it exists and is active."""
        old_link = parse_link(link)
        if old_link is None or old_link.node_id in self._idle:
            return None
        return self.nodes.get(old_link.node_id)

    def readers(self, node_id: str, slot: int) -> list[str]:
        """The ids of the nodes that read an output; OUTSIDE for those past the border."""
        return self._readers.get(OldLink(node_id, slot), [])

    def used_outputs(self, node_id: str) -> frozenset[int]:
        return frozenset(self._used_outputs.get(node_id, ()))

    def reader_with(self, node_id: str, input: str) -> GraphNode | None:
        """The first node downstream, through first outputs, in which an input is linked."""
        visited = {node_id}
        waiting = self.readers(node_id, 0)[::-1]
        while waiting:
            reader_id = waiting.pop()
            if reader_id == OUTSIDE or reader_id in visited:
                continue
            visited.add(reader_id)
            if parse_link(self.nodes[reader_id].inputs.get(input)):
                return self.nodes[reader_id]
            waiting += self.readers(reader_id, 0)[::-1]
        return None

    def upstream(self, link: object, input: str) -> Iterator[GraphNode]:
        """The nodes that a link comes through, each linked to the input of the one before."""
        visited: set[str] = set()
        while (old_link := parse_link(link)) and old_link.node_id not in visited:
            node = self.nodes.get(old_link.node_id)
            if node is None:
                return
            visited.add(node.id)
            yield node
            link = node.inputs.get(input)

    def follows_paper(self, node_id: str) -> bool:
        """Whether IPAdapter Old Graphs before a node asks for the paper's behaviour."""
        for node in self.upstream(self.nodes[node_id].inputs.get("model"), "model"):
            if node.kind == old_graphs_switch.NODE_ID and node.id not in self._idle:
                return node.inputs.get("behaviour") == old_graphs_switch.PAPER
        return False
