"""Who reads the outputs of a graph, through the nodes that hand on what they get."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

Nodes = Mapping[str, Any]  # a prompt's, by key
Registry = Mapping[str, Any]  # nodes by id
# nodes of the page that hand on what they get
PASSING = frozenset(("Reroute", "Reroute (rgthree)", "ReroutePrimitive|pysssss"))
# a setter's input comes out of all getters of its name
NAME_WIDGET = "Constant"
SETTERS = frozenset(("SetNode", "easy setNode"))
GETTERS = frozenset(("GetNode", "easy getNode"))
SUBGRAPH_OUTPUT = "subgraph output"  # stands for the readers beyond the border of a subgraph
# nodes whose readers no link shows: those behind a border, and every input that is not connected
HIDING = frozenset(
    (SUBGRAPH_OUTPUT, "Anything Everywhere", "Anything Everywhere?", "Anything Everywhere3")
)


def class_of(node: object) -> str:
    return str(node.get("class_type")) if isinstance(node, dict) else ""


def inputs_of(node: object) -> dict[str, Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def link_source(value: object) -> str | None:
    """The node that a link comes from; None for what is no link."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int):
        return str(value[0])
    return None


class Readers:
    """The nodes of a graph by what they read."""

    def __init__(self, nodes: Nodes):
        self._nodes = nodes
        self._readers: dict[str, list[str]] = {}
        getters, self._setters = self._named(GETTERS), self._named(SETTERS)
        for node_key, node in nodes.items():
            for source in _sources(node):
                self._readers.setdefault(source, []).append(node_key)
        for name, setter_keys in self._setters.items():
            for setter_key in setter_keys:
                self._readers.setdefault(setter_key, []).extend(getters.get(name, []))

    def _named(self, kinds: Collection[str]) -> dict[str, list[str]]:
        node_keys: dict[str, list[str]] = {}
        for node_key, node in self._nodes.items():
            if class_of(node) in kinds:
                node_keys.setdefault(_name(node), []).append(node_key)
        return node_keys

    def reached(self, node_key: str, also_through: str) -> list[object]:
        """The nodes that read an output, through those that hand it on and those of one class."""
        passing = {*PASSING, *SETTERS, *GETTERS, also_through}
        reached: dict[str, None] = {}
        waiting = [node_key]
        while waiting:
            for reader in self._readers.get(waiting.pop(), []):
                if reader not in reached:
                    reached[reader] = None
                    if class_of(self._nodes[reader]) in passing:
                        waiting.append(reader)
        return [self._nodes[reader] for reader in reached]

    def hides_readers(self, node: object) -> bool:
        """Whether a node hands on what it gets to nodes that no link shows."""
        if class_of(node) in SETTERS:
            return not any(
                class_of(self._nodes[reader]) in GETTERS
                for setter_key in self._setters[_name(node)]
                for reader in self._readers.get(setter_key, [])
            )
        return class_of(node) in HIDING

    def origin(self, link: object) -> object:
        """The node that a link comes from, through those that hand it on; None without one."""
        visited: set[str] = set()
        source = link_source(link)
        while source is not None and source not in visited:
            visited.add(source)
            node = self._nodes.get(source)
            if class_of(node) in GETTERS:
                source = next(iter(self._setters.get(_name(node), [])), None)
            elif class_of(node) in PASSING | SETTERS:
                source = next(_sources(node), None)
            else:
                return node
        return None

    def feeding(self, input_name: str, our_nodes: Registry) -> set[str]:
        """The nodes that an input of one of ours may come from, through nodes of other packs."""
        waiting = [
            link_source(inputs_of(node).get(input_name))
            for node in self._nodes.values()
            if class_of(node) in our_nodes
        ]
        feeding: set[str] = set()
        while waiting:
            source = waiting.pop()
            node = self._nodes.get(source) if source is not None else None
            if source is None or source in feeding or class_of(node) in our_nodes:
                continue
            feeding.add(source)
            waiting += _sources(node)
            if class_of(node) in GETTERS:
                waiting += self._setters.get(_name(node), [])
        return feeding


def _sources(node: object) -> Iterator[str]:
    """The nodes that an input of a node is linked to, each once."""
    sources = dict.fromkeys(map(link_source, inputs_of(node).values()))
    return (source for source in sources if source is not None)


def _name(node: object) -> str:
    return str(inputs_of(node).get(NAME_WIDGET))
