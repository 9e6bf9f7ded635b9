"""A saved workflow with old nodes becomes one with new nodes: the same plans as for prompts, drawn on the canvas."""

import copy
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ..ids.old_node import OldNode
from ..reading import prompts, saved_graph
from ..reading.saved_graph import (
    as_object,
    default_value,
    expand_inputs,
    is_widget,
    last_id,
    socket_type,
)
from .graph import Graph
from .plan import Plan
from .upgrade import Change, plans_for, value_of

WIDE, FOLDED = 320, 40  # width of a new node on the canvas, height of one that is folded up
REROUTE = "Reroute"  # the page's own node, which is in no prompt
CHAINED = ("EMBEDS", "IPADAPTER_PARAMS")  # links whose both ends change together
IDLE = (2, 4)  # modes of nodes that are muted or bypassed
BORDER = {"inputs": -10, "outputs": -20}  # of a subgraph, as nodes that links come from and go to
EMBEDS, AGAINST = ("embeds", "IPADAPTER_EMBEDS"), ("embeds_negative", "IPADAPTER_EMBEDS")
IMAGE = ("IMAGE", "IMAGE")
OUTPUTS = {
    "LoadIPAdapter": [("ipadapter", "IPADAPTER")],
    "LoadCLIPVision": [("clip_vision", "CLIP_VISION")],
    "CLIPVisionEncode": [("CLIP_VISION_OUTPUT", "CLIP_VISION_OUTPUT")],
    "EmptyImage": [IMAGE],
    "ImageScale": [IMAGE],
    "ImageBatch": [IMAGE],
    "ImageFromBatch": [IMAGE],
    "RepeatImageBatch": [IMAGE],
    "PrimitiveInt": [("INT", "INT")],
    "PrimitiveStringMultiline": [("STRING", "STRING")],
    "ConditioningSetMask": [("CONDITIONING", "CONDITIONING")],
    "IPAdapterWeightMap": [("weight_map", "IPADAPTER_WEIGHTS"), ("picture", "IMAGE")],
    "IPAdapterNegativeReference": [EMBEDS, ("image", "IMAGE")],
    "CombineIPAdapterEmbeds": [EMBEDS],
    "SaveIPAdapterEmbeds": [],
    "EncodeIPAdapterReference": [EMBEDS, AGAINST],
    "LoadIPAdapterEmbeds": [EMBEDS, AGAINST],
    "IPAdapterTiles": [("region", "IPADAPTER_REGION"), ("tiles", "IMAGE"), ("masks", "MASK")],
    "ApplyIPAdapterRegions": [("model", "MODEL"), ("masks", "MASK")],
    "ApplyIPAdapter": [("model", "MODEL")],
}


def upgraded_workflow(
    workflow: dict[str, Any],
    nodes: Mapping[str, type[OldNode]],
    inputs_of: Callable[[str], Mapping[str, Any]],
    only: set[str] | None = None,
) -> tuple[dict[str, Any], list[Change]]:
    """A saved workflow with new nodes, and what was changed.

    nodes: old nodes by id; inputs_of: class -> its INPUT_TYPES; only: ids of the nodes to change, else all.
    """
    workflow = copy.deepcopy(workflow)
    report: list[Change] = []
    for graph in [workflow, *(workflow.get("definitions") or {}).get("subgraphs", [])]:
        report += _Canvas(graph, nodes, inputs_of).change(only)
    return workflow, report


class _Canvas:
    """One graph of a saved workflow while its nodes are replaced."""

    def __init__(
        self,
        graph: dict[str, Any],
        nodes: Mapping[str, type[OldNode]],
        inputs_of: Callable[[str], Mapping[str, Any]],
    ):
        self.graph, self.old, self.inputs_of = graph, nodes, inputs_of
        self.objects = bool(graph.get("links")) and isinstance(graph["links"][0], dict)
        self.links = saved_graph.links_by_id(graph)
        self.final: set[int] = set()  # links to new nodes
        self.nodes = {node["id"]: node for node in graph.get("nodes", [])}  # as they were
        ids = [int(id) for id in self.nodes]
        self.node_ids = itertools.count(max([*ids, last_id(graph, "node")], default=0) + 1)
        self.link_ids = itertools.count(max([*self.links, last_id(graph, "link")], default=0) + 1)

    def change(self, only: set[str] | None) -> list[Change]:
        by_id = {str(node["id"]): node for node in self.graph.get("nodes", [])}
        prompt = {
            key: saved_graph.read_node(node, self.links, self.old, {}, self._source)
            for key, node in by_id.items()
        }
        prompt = prompts.read_prompt(prompt, self.old, self.old, {})
        plans, report = plans_for(self._graph(prompt, by_id), self.old, only)
        passed = {link[1] for link in self.links.values()}
        moved: dict[tuple[int, int], tuple[tuple[int, int], bool]] = {}
        for key, plan in plans.items():
            moved |= self._replace(by_id[key], prompt[key]["inputs"], plan)
        for number, link in self.links.items():
            source, final = (link[1], link[2]), number in self.final
            while not final and source in moved:
                source, final = moved[source]
            link[1], link[2] = source
        self._clear(passed)
        self._write()
        return report

    def _graph(self, prompt: dict[str, Any], by_id: Mapping[str, dict[str, Any]]) -> Graph:
        idle = {key for key, node in by_id.items() if node.get("mode") in IDLE}
        leaving = {
            (str(origin), slot)
            for link in self.links.values()
            if str(link[3]) not in by_id
            for origin, slot, _ in (self._origin(link),)
        }
        return Graph(prompt, idle, leaving)

    def _origin(self, link: Sequence[Any]) -> tuple[Any, int, bool]:
        """Node and slot that a link comes from, past reroutes if it is one whose ends change together; whether it is."""
        found = link
        while (node := self.nodes.get(found[1])) and node.get("type") == REROUTE:
            before = [one.get("link") for one in node.get("inputs") or []]
            if not before or before[0] not in self.links:
                return link[1], link[2], False
            found = self.links[before[0]]
        outputs = (node or {}).get("outputs") or []
        chained = found[2] < len(outputs) and outputs[found[2]].get("type") in CHAINED
        found = found if chained else link
        return found[1], found[2], chained

    def _clear(self, passed: Collection[int]) -> None:
        """Reroutes that passed something on, and now pass nothing."""
        while True:
            passing = {link[1] for link in self.links.values()}
            idle = [
                node
                for node in self.graph.get("nodes", [])
                if node.get("type") == REROUTE
                and node["id"] in passed
                and node["id"] not in passing
            ]
            if not idle:
                return
            for node in idle:
                self._take_off(node)

    def _take_off(self, node: dict[str, Any]) -> None:
        self.graph["nodes"].remove(node)
        for number in [number for number, link in self.links.items() if link[3] == node["id"]]:
            del self.links[number]

    def _source(self, kind: str, link: Sequence[Any]) -> list[Any] | None:
        """Node and slot that a link to a node of that class comes from."""
        origin, slot, chained = self._origin(link)
        # those behind a reroute read a chain themselves
        return None if chained and kind == REROUTE else [str(origin), slot]

    def _replace(
        self, node: dict[str, Any], inputs: Mapping[str, Any], plan: Plan
    ) -> dict[tuple[int, int], tuple[tuple[int, int], bool]]:
        """Draws the new nodes; old output -> what gives it now, and whether that is a new node."""
        if not plan.nodes:
            self._take_off(node)
            return _moved(node, inputs, plan, {})
        *others, last = plan.nodes
        ids = {one: next(self.node_ids) for one in others} | {last: node["id"]}
        x, y = (node.get("pos") or [0, 0])[:2] if isinstance(node.get("pos"), list) else (0, 0)
        # folded up, one above the other: nothing is covered
        for number, one in enumerate(others, 1):
            self.graph["nodes"].append(
                {
                    "id": ids[one],
                    "pos": [x, y - FOLDED * (number + 1)],
                    "flags": {"collapsed": True},
                    "order": 0,
                    "mode": node.get("mode", 0),
                }
            )
        by_id = {one["id"]: one for one in self.graph["nodes"]}
        names = {one: str(id) for one, id in ids.items()}
        before = [one["link"] for one in node.get("inputs") or [] if one.get("link") in self.links]
        for one, (kind, given) in plan.nodes.items():
            values = {name: value_of(value, inputs, names) for name, value in given.items()}
            self._make(by_id[ids[one]], kind, values)
        for link in before:
            self.links.pop(link, None)
        return _moved(node, inputs, plan, names)

    def _make(self, node: dict[str, Any], kind: str, values: dict[str, Any]) -> None:
        """Turns a node into one of a kind with these inputs, typed or linked."""
        sockets: list[dict[str, Any]] = []
        typed: list[Any] = []
        for name, spec in expand_inputs(self.inputs_of(kind), values):
            value = values.get(name)
            linked = isinstance(value, (list, tuple))
            if not is_widget(spec):
                link = self._link(value, node["id"], len(sockets), spec[0]) if linked else None
                sockets.append({"name": name, "type": spec[0], "link": link})
                continue
            if linked:
                link = self._link(value, node["id"], len(sockets), socket_type(spec))
                sockets.append(
                    {
                        "name": name,
                        "type": socket_type(spec),
                        "widget": {"name": name},
                        "link": link,
                    }
                )
            typed.append(default_value(spec) if linked or value is None else value)
            if name == "seed" or (kind == "PrimitiveInt" and name == "value"):
                typed.append("fixed")  # the page's own widget after a seed
        outputs = [{"name": name, "type": type_, "links": []} for name, type_ in OUTPUTS[kind]]
        node.update(type=kind, inputs=sockets, outputs=outputs, widgets_values=typed)
        node.setdefault("flags", {})
        node.setdefault("size", [WIDE, 160])
        node["properties"] = {"Node name for S&R": kind}

    def _link(self, source: Sequence[Any], target: int, slot: int, type_: str) -> int:
        number = next(self.link_ids)
        if isinstance(source, tuple):
            self.final.add(number)
        self.links[number] = [number, int(source[0]), source[1], target, slot, type_]
        return number

    def _write(self) -> None:
        """The links, and which outputs they leave from."""
        nodes = {node["id"]: node for node in self.graph.get("nodes", [])}
        for node in nodes.values():
            for one in node.get("outputs") or []:
                one["links"] = []
        for link in self.links.values():
            outputs = (nodes.get(link[1]) or {}).get("outputs") or []
            if link[2] < len(outputs):
                outputs[link[2]]["links"].append(link[0])
        self.graph["links"] = [
            as_object(link) if self.objects else link for link in self.links.values()
        ]
        for name, end in (("inputs", 1), ("outputs", 3)):  # of a subgraph
            for slot, one in enumerate(self.graph.get(name) or []):
                here = (BORDER[name], slot)
                one["linkIds"] = [
                    link[0] for link in self.links.values() if tuple(link[end : end + 2]) == here
                ]
        state = self.graph.get("state")
        counters = {"lastNodeId": next(self.node_ids) - 1, "lastLinkId": next(self.link_ids) - 1}
        if isinstance(state, dict):
            state.update(counters)
        if "last_node_id" in self.graph:
            self.graph["last_node_id"] = counters["lastNodeId"]
            self.graph["last_link_id"] = counters["lastLinkId"]


def _moved(
    node: Mapping[str, Any], inputs: Mapping[str, Any], plan: Plan, names: Mapping[str, str]
) -> dict[tuple[int, int], tuple[tuple[int, int], bool]]:
    """Old output -> what gives it now, and whether that is a new node."""
    moved: dict[tuple[int, int], tuple[tuple[int, int], bool]] = {}
    for slot, source in plan.outputs.items():
        found = value_of(source, inputs, names)
        if found is not None:
            moved[node["id"], slot] = (int(found[0]), found[1]), isinstance(found, tuple)
    return moved
