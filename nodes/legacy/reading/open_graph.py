"""A saved graph as it is read when it is opened: the page then shows nodes, options and files that
exist.

What a prompt is read as, written back into the graph: `prompts.read_prompt` decides alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....ipadapter_core.messages import Message
from ..ids.old_node import InputValues
from . import saved_graph
from .encoders import ADAPTER_INPUTS, ENCODER_LOADER
from .primitives import ReadNode, changed_values, primitive_values, type_primitives
from .promoted import Promoted, inner_source, promoted_inputs
from .prompts import OldNodes, Registry, read_prompt
from .readers import SUBGRAPH_OUTPUT
from .saved_graph import OUTPUT_BORDER, SavedNode

SAVED_FILE_INPUTS = *ADAPTER_INPUTS, "clip_name", "ipadapter", "ipadatper", "clip_vision"
XLABS_SAMPLER, XLABS_APPLY_ID = "XlabsSampler", "ApplyFluxIPAdapter"
XLABS_SAMPLER_NOTE = Message(
    "Xlabs Sampler is a node of x-flux-comfyui, which is not installed: use KSampler with cfg 1 "
    "instead."
)


def open_graph(
    workflow: object, old_nodes: OldNodes, our_nodes: Registry, foreign_nodes: Registry
) -> tuple[list[list[Any]], list[Message]]:
    """The nodes of a saved graph, then of each of its subgraphs, as they are read, and what was
    replaced.

    old_nodes, our_nodes, foreign_nodes: as for `read_prompt`. What is no node stays as it is, in
    its place. Raises TypeError or ValueError for what is no workflow.
    """
    if not isinstance(workflow, Mapping) or not isinstance(workflow.get("nodes"), list):
        raise ValueError("it has no list of nodes")
    definitions = workflow.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    graphs: list[Any] = [workflow, *(subgraphs if isinstance(subgraphs, list) else [])]
    by_id = {str(graph.get("id")): graph for graph in graphs[1:] if isinstance(graph, dict)}
    opening = Opening(
        old_nodes=old_nodes,
        our_nodes=_with_subgraphs(our_nodes, graphs[1:]),
        foreign_nodes=foreign_nodes,
        subgraphs=by_id,
    )
    return [opening.read(graph) for graph in graphs], list(opening.report)


@dataclass
class Opening:
    """One workflow while it is opened.

    subgraphs: by id; promoted: what values on subgraphs' nodes have been read as; report: what was
    replaced, each once.
    """

    old_nodes: OldNodes
    our_nodes: Registry
    foreign_nodes: Registry
    subgraphs: Mapping[str, saved_graph.GraphData]
    promoted: dict[tuple[Promoted, str], Any] = field(default_factory=dict)
    report: dict[Message, None] = field(default_factory=dict)

    def read(self, graph: object) -> list[Any]:
        if not isinstance(graph, dict):
            return []
        self._note_missing_sampler(graph)
        saved = _by_key(graph)
        linked = self._linked(graph)
        primitives = primitive_values(saved)
        before = {key: type_primitives(node, primitives) for key, node in linked.items()}
        after = self._meant(graph, before)
        rewritten = {
            key: self._rewrite_promoted(self._rewrite(node, before[key], after[key]))
            for key, node in saved.items()
        }
        for key, value in changed_values(linked, after, primitives).items():
            values = saved_graph.widget_values(saved[key])
            rewritten[key] = {**saved[key], "widgets_values": [value, *values[1:]]}
        nodes = _nodes(graph)
        node_keys = _unique_keys(nodes)
        return [rewritten.get(key, node) for key, node in zip(node_keys, nodes, strict=True)]

    def _linked(self, graph: saved_graph.GraphData) -> dict[str, ReadNode]:
        """Its nodes as a prompt has them, with links where values come out of nodes."""
        links = saved_graph.links_by_id(graph)
        return {
            key: saved_graph.read_node(
                node, links, self.old_nodes, self.foreign_nodes, inner_source
            )
            for key, node in _by_key(graph).items()
        }

    def _meant(self, graph: saved_graph.GraphData, nodes: Mapping[str, ReadNode]) -> dict[str, Any]:
        prompt = {**nodes, **_border(saved_graph.links_by_id(graph))}
        return read_prompt(prompt, self.old_nodes, self.our_nodes, self.foreign_nodes)

    def _rewrite_promoted(self, node: SavedNode) -> SavedNode:
        """The node of a subgraph with other values, where the nodes inside would have others."""
        values = saved_graph.widget_values(node)
        for promoted in promoted_inputs(node, self.subgraphs):
            if promoted.place >= len(values) or not isinstance(values[promoted.place], str):
                continue
            before = values[promoted.place]
            if (promoted, before) not in self.promoted:
                self.promoted[promoted, before] = self._promoted_value(promoted, before)
            values[promoted.place] = self.promoted[promoted, before]
            if values[promoted.place] != before:
                replacement = _replacement(before, values[promoted.place], promoted.input_name)
                self.report[replacement] = None
        is_same = values == saved_graph.widget_values(node)
        return node if is_same else {**node, "widgets_values": values}

    def _promoted_value(self, promoted: Promoted, value: str) -> Any:
        """The value as the node inside takes it, where that alone means the same there."""
        inputs = self._inputs_inside(promoted, value)
        meant = inputs.get(promoted.input_name, value)
        return meant if self._inputs_inside(promoted, meant) == inputs else value

    def _inputs_inside(self, promoted: Promoted, value: object) -> InputValues:
        """Inputs of the node inside as they are meant; an encoder is chosen by the graph around."""
        graph, key, name = self.subgraphs[promoted.subgraph], promoted.node_key, promoted.input_name
        nodes = self._linked(graph)
        inner_node = {**nodes[key], "inputs": {**nodes[key]["inputs"], name: value}}
        around = nodes if inner_node["class_type"] == ENCODER_LOADER else {}
        return self._meant(graph, {**around, key: inner_node})[key]["inputs"]

    def _rewrite(self, node: SavedNode, before: ReadNode, after: ReadNode) -> SavedNode:
        """The saved node with another id, other names of sockets and other typed values, where they
        differ.
        """
        node = self._rename(node)
        old_inputs, new_inputs = before["inputs"], after["inputs"]
        changes = {
            name: value
            for name, value in new_inputs.items()
            if name in old_inputs and value != old_inputs[name]
        }
        if not changes:
            return node
        for name in sorted(changes):
            self.report[_replacement(old_inputs[name], changes[name], name)] = None
        if isinstance(values := node.get("widgets_values"), dict):
            return {**node, "widgets_values": {**values, **changes}}
        names = saved_graph.widget_names(after["class_type"], self.old_nodes)
        return {**node, "widgets_values": _widget_values(node, names, new_inputs)}

    def _note_missing_sampler(self, graph: saved_graph.GraphData) -> None:
        """XLabs' own, where its pack is not installed: else that pack has its other ids too."""
        if XLABS_SAMPLER in _node_classes(graph) and XLABS_APPLY_ID in self.old_nodes:
            self.report[XLABS_SAMPLER_NOTE] = None

    def _rename(self, node: SavedNode) -> SavedNode:
        reused = saved_graph.meant_node(node, self.foreign_nodes)
        if reused is None:
            return node
        sockets = [
            {**socket, "name": reused.new_names.get(socket["name"], socket["name"])}
            for socket in saved_graph.saved_sockets(node)
        ]
        saved_properties = node.get("properties")
        properties = saved_properties if isinstance(saved_properties, dict) else {}
        properties = {**properties, "Node name for S&R": reused.meant_id}
        return {**node, "type": reused.meant_id, "inputs": sockets, "properties": properties}


def _with_subgraphs(our_nodes: Registry, subgraphs: list[object]) -> Registry:
    """A subgraph with nodes of ours, or with such a subgraph, takes an encoder like one of them."""
    graphs = [graph for graph in subgraphs if isinstance(graph, dict)]
    kinds_within = {str(graph.get("id")): _node_classes(graph) for graph in graphs}
    known_nodes = dict(our_nodes)
    while graph_ids := [
        graph_id
        for graph_id, kinds in kinds_within.items()
        if graph_id not in known_nodes and not kinds.isdisjoint(known_nodes)
    ]:
        known_nodes |= dict.fromkeys(graph_ids)
    return known_nodes


def _node_classes(graph: saved_graph.GraphData) -> set[str]:
    return {saved_graph.saved_class(node) for node in _nodes(graph) if isinstance(node, dict)}


def _by_key(graph: saved_graph.GraphData) -> dict[str, SavedNode]:
    nodes = _nodes(graph)
    keyed = zip(_unique_keys(nodes), nodes, strict=True)
    return {key: node for key, node in keyed if isinstance(node, dict)}


def _nodes(graph: saved_graph.GraphData) -> list[object]:
    nodes = graph.get("nodes")
    return nodes if isinstance(nodes, list) else []


def _unique_keys(nodes: list[object]) -> list[str]:
    """A key for each place; the first node of an id has the id, as links mean it."""
    node_keys: dict[str, int] = {}
    for place, node in enumerate(nodes):
        key = str(node.get("id")) if isinstance(node, dict) else ""
        node_keys[f"{key} at {place}" if key in node_keys or not key else key] = place
    return list(node_keys)


def _border(links: Mapping[int, saved_graph.Link]) -> dict[str, ReadNode]:
    """The readers beyond a subgraph's outputs, as one node."""
    outgoing = [link for link in links.values() if link[3] == OUTPUT_BORDER]
    inputs = {str(place): [str(link[1]), link[2]] for place, link in enumerate(outgoing)}
    return {str(OUTPUT_BORDER): {"class_type": SUBGRAPH_OUTPUT, "inputs": inputs}} if inputs else {}


def _widget_values(node: SavedNode, names: list[str], inputs: InputValues) -> list[Any]:
    """Typed values in order, with those of later widgets; what is linked keeps the value that it
    shadows.
    """
    saved = saved_graph.widget_values(node)
    values: list[Any] = []
    for place, name in enumerate(names):
        shadowed = saved[place] if place < len(saved) else None
        value = inputs.get(name, shadowed)
        values.append(shadowed if isinstance(value, list) else value)
    return values + saved[len(values) :]


def _replacement(old_value: object, new_value: object, name: str) -> Message:
    if name in SAVED_FILE_INPUTS:
        return Message(
            "'<1>' is not installed: '<2>', of the same kind, is used instead.",
            old_value,
            new_value,
        )
    return Message("'<1>' is now called '<2>'.", old_value, new_value)
