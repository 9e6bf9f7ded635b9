"""A graph of a saved workflow while it is redrawn: nodes, sockets, widgets, links and counters."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..reading import saved_graph
from ..reading.saved_graph import (
    INPUT_BORDER,
    OUTPUT_BORDER,
    default_value,
    expand_inputs,
    is_widget,
    socket_type,
)
from .facts.graph import Inputs
from .links import Moves, NewLink, OldLink, OldSource, follow, is_number
from .plan import REPLACEMENT, Plan, resolve
from .readable import (
    ReadableNode,
    SavedGraph,
    highest_node_id,
    readable_links,
    readable_nodes,
    readable_objects,
)

NodeId = int | str
SavedSocket = dict[str, Any]
NEW_NODE_SIZE = (320, 160)
FOLDED_HEIGHT = 40  # of a node that is folded up


class HostNode(Protocol):
    """A node class as the host's registry describes it."""

    RETURN_TYPES: Sequence[str]

    @classmethod
    def INPUT_TYPES(cls) -> Mapping[str, Any]: ...


class SavedLink(NamedTuple):
    """A link as saved: numbers of its nodes, and places of its sockets."""

    id: int
    origin: NodeId
    origin_slot: int
    target: NodeId
    target_slot: int
    type: str


class Canvas:
    """Draws plans into one graph of a saved workflow, in place."""

    def __init__(self, graph: SavedGraph, registered: Mapping[str, HostNode]):
        self._graph, self._registered = graph, registered
        links, self._unreadable_links = readable_links(graph)
        self.links = {link[0]: SavedLink._make(link) for link in links}
        self._has_object_links = bool(links) and isinstance(graph["links"][0], dict)
        self._nodes = readable_nodes(graph)
        self._sources: dict[int, OldSource | NewLink] = {}  # of the links to new nodes
        self._replaced_links: list[int] = []
        self._replaced_ids: set[str] = set()
        self._removed_nodes: list[ReadableNode] = []
        last_node = max(
            highest_node_id(graph, [*links, *map(saved_graph.as_list, self._unreadable_links)]),
            saved_graph.last_id(graph, "node"),
        )
        last_link = max([*self.links, saved_graph.last_id(graph, "link")], default=0)
        self._node_ids = itertools.count(last_node + 1)
        self._link_ids = itertools.count(last_link + 1)

    @property
    def nodes(self) -> Mapping[str, ReadableNode]:
        """The nodes that can be read, by id."""
        return self._nodes

    def nodes_with_readers(self) -> set[str]:
        return {str(saved_link.origin) for saved_link in self.links.values()}

    def replace(self, saved_node: ReadableNode, old_inputs: Inputs, plan: Plan) -> Moves:
        """Draws the new nodes of a plan; -> where the outputs of the old one come from now."""
        node_id = str(saved_node["id"])
        self._replaced_ids.add(node_id)
        if plan.replacement is None:
            self._removed_nodes.append(saved_node)
            return _links_only(plan.moves(node_id, old_inputs, {}))
        new_nodes = {
            name: self._add_folded(saved_node, place) for place, name in enumerate(plan.helpers, 1)
        }
        new_nodes[REPLACEMENT] = saved_node
        self._replaced_links += [socket.get("link") for socket in saved_node.get("inputs") or []]
        new_ids = {name: str(new_node["id"]) for name, new_node in new_nodes.items()}
        for name, new_node in plan.new_nodes.items():
            new_inputs = {
                input_name: resolve(value, old_inputs, new_ids)
                for input_name, value in new_node.inputs.items()
            }
            self._draw(new_nodes[name], new_node.kind, new_inputs)
        return _links_only(plan.moves(node_id, old_inputs, new_ids))

    def _add_folded(self, saved_node: ReadableNode, place: int) -> ReadableNode:
        """A node folded up above another one, so that nothing is covered; still without a class."""
        x, y = _position(saved_node)
        new_node: ReadableNode = {
            "id": next(self._node_ids),
            "pos": [x, y - FOLDED_HEIGHT * (place + 1)],
            "flags": {"collapsed": True},
            "order": 0,
            "mode": saved_node.get("mode", 0),
        }
        self._nodes[str(new_node["id"])] = new_node
        self._graph["nodes"].append(new_node)
        return new_node

    def _draw(self, saved_node: ReadableNode, node_kind: str, new_inputs: Inputs) -> None:
        """Turns a node into one of a class with these inputs, linked or typed."""
        node_class = self._registered[node_kind]
        sockets: list[dict[str, Any]] = []
        widget_values: list[object] = []
        for input_name, spec in expand_inputs(node_class.INPUT_TYPES(), new_inputs):
            value = new_inputs.get(input_name)
            is_linked = isinstance(value, OldSource | NewLink)
            link_id = None
            if is_linked:
                place = (saved_node["id"], len(sockets))
                link_id = self._add_link(value, *place, socket_type(spec))
            socket: SavedSocket = {"name": input_name, "type": socket_type(spec)}
            if not is_widget(spec):
                sockets.append({**socket, "link": link_id})
                continue
            if is_linked:
                sockets.append({**socket, "widget": {"name": input_name}, "link": link_id})
            has_value = value is not None and not is_linked
            widget_values.append(value if has_value else default_value(spec))
            if input_name == "seed" or (node_kind, input_name) == ("PrimitiveInt", "value"):
                widget_values.append("fixed")  # the page's own widget behind a seed
        saved_node.update(
            type=node_kind,
            inputs=sockets,
            outputs=output_sockets(node_class),
            widgets_values=widget_values,
        )
        saved_node.setdefault("flags", {})
        saved_node.setdefault("size", list(NEW_NODE_SIZE))
        saved_node["properties"] = {"Node name for S&R": node_kind}

    def _add_link(
        self, source: OldSource | NewLink, target: NodeId, target_slot: int, type: str
    ) -> int:
        """A link whose origin is settled when links are redirected."""
        link_id = next(self._link_ids)
        self._sources[link_id] = source
        self.links[link_id] = SavedLink(
            id=link_id,
            origin=source.node_id,
            origin_slot=0,
            target=target,
            target_slot=target_slot,
            type=type,
        )
        return link_id

    def redirect(self, moves: Moves) -> None:
        """Leads links to where their sources are now, and takes off removed nodes."""
        for link_id in self._replaced_links:
            self.links.pop(link_id, None)
        self.remove(self._removed_nodes)
        for link_id, saved_link in list(self.links.items()):
            source = self._sources.get(
                link_id, OldLink(str(saved_link.origin), saved_link.origin_slot)
            )
            target = follow(source, moves)
            if not isinstance(target, OldLink | NewLink) or self._is_stray(saved_link, target):
                self._disconnect(saved_link)
            elif link_id in self._sources or target != source:
                origin = self._saved_id(target.node_id)
                self.links[link_id] = saved_link._replace(origin=origin, origin_slot=target.slot)

    def _is_stray(self, saved_link: SavedLink, target: OldLink | NewLink) -> bool:
        """Whether a link came from or went to a socket of a replaced node that has no
        counterpart.
        """
        has_origin = isinstance(target, NewLink) or target.node_id not in self._replaced_ids
        has_target = (
            saved_link.id in self._sources or str(saved_link.target) not in self._replaced_ids
        )
        return not (has_origin and has_target)

    def _disconnect(self, saved_link: SavedLink) -> None:
        del self.links[saved_link.id]
        reader = self._nodes.get(str(saved_link.target)) or {}
        for socket in reader.get("inputs") or []:
            if socket.get("link") == saved_link.id:
                socket["link"] = None

    def _saved_id(self, node_id: str) -> NodeId:
        """An id as the graph has it, a number or text; that of a border is a number."""
        saved_node = self._nodes.get(node_id)
        if saved_node is not None:
            return saved_node["id"]
        return int(node_id) if node_id.lstrip("-").isdecimal() else node_id

    def remove(self, nodes: Sequence[ReadableNode]) -> None:
        """Takes off nodes, and the links to them."""
        removed_ids = {str(saved_node["id"]) for saved_node in nodes}
        if not removed_ids:
            return
        removed = {id(saved_node) for saved_node in nodes}
        self._graph["nodes"] = [
            saved_node for saved_node in self._graph["nodes"] if id(saved_node) not in removed
        ]
        for node_id in removed_ids:
            del self._nodes[node_id]
        self.links = {
            link_id: saved_link
            for link_id, saved_link in self.links.items()
            if str(saved_link.target) not in removed_ids
        }

    def write(self) -> None:
        """Writes the links into the graph, at both their ends."""
        as_lists = [list(saved_link) for saved_link in self.links.values()]
        as_saved = map(saved_graph.as_object, as_lists) if self._has_object_links else as_lists
        unreadable = [link for link in self._unreadable_links if not self._ends_at_replaced(link)]
        self._graph["links"] = [*as_saved, *unreadable]
        self._write_outputs()
        self._write_borders()
        self._write_counters()

    def _ends_at_replaced(self, unreadable_link: object) -> bool:
        ends = saved_graph.as_list(unreadable_link)[1:4:2]
        return any(str(node_id) in self._replaced_ids for node_id in ends)

    def _write_borders(self) -> None:
        """The links that enter and leave a subgraph, as its own inputs and outputs list them."""
        entering: dict[int, list[int]] = {}
        leaving: dict[int, list[int]] = {}
        for saved_link in self.links.values():
            if saved_link.origin == INPUT_BORDER:
                entering.setdefault(saved_link.origin_slot, []).append(saved_link.id)
            if saved_link.target == OUTPUT_BORDER:
                leaving.setdefault(saved_link.target_slot, []).append(saved_link.id)
        for slot, border_input in enumerate(readable_objects(self._graph.get("inputs"))):
            border_input["linkIds"] = entering.get(slot, [])
        for slot, border_output in enumerate(readable_objects(self._graph.get("outputs"))):
            border_output["linkIds"] = leaving.get(slot, [])

    def _write_outputs(self) -> None:
        outputs = {
            node_id: saved_node.get("outputs") or [] for node_id, saved_node in self._nodes.items()
        }
        for output in itertools.chain.from_iterable(outputs.values()):
            output["links"] = []
        for saved_link in self.links.values():
            node_outputs = outputs.get(str(saved_link.origin), [])
            if saved_link.origin_slot < len(node_outputs):
                node_outputs[saved_link.origin_slot]["links"].append(saved_link.id)

    def _write_counters(self) -> None:
        last_node, last_link = next(self._node_ids) - 1, next(self._link_ids) - 1
        state = self._graph.get("state")
        if isinstance(state, dict):
            state.update(lastNodeId=last_node, lastLinkId=last_link)
        if "last_node_id" in self._graph:
            self._graph["last_node_id"] = last_node
            self._graph["last_link_id"] = last_link


def output_sockets(node_class: HostNode) -> list[SavedSocket]:
    types = node_class.RETURN_TYPES
    names = getattr(node_class, "RETURN_NAMES", None) or types
    return [
        {"name": name, "type": type, "links": []} for name, type in zip(names, types, strict=True)
    ]


def _position(saved_node: ReadableNode) -> tuple[float, float]:
    position = saved_node.get("pos")
    if not isinstance(position, list) or len(position) < 2 or not all(map(is_number, position)):
        return 0, 0
    return position[0], position[1]


def _links_only(moves: Moves) -> Moves:
    return {
        output: source for output, source in moves.items() if isinstance(source, OldLink | NewLink)
    }
