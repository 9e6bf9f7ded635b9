"""A saved workflow with old nodes becomes one with new nodes: the same plans as for prompts, drawn on the canvas."""

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import prompts, saved
from .base import OldNode
from .plans import Plan
from .upgrade import Change, plans_for, value_of

WIDE, FOLDED = 320, 40  # width of a new node on the canvas, height of one that is folded up
OUTPUTS = {
    "LoadIPAdapter": [("ipadapter", "IPADAPTER")],
    "LoadCLIPVision": [("clip_vision", "CLIP_VISION")],
    "EmptyImage": [("IMAGE", "IMAGE")],
    "IPAdapterWeightMap": [("weight_map", "IPADAPTER_WEIGHTS"), ("picture", "IMAGE")],
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
        self.links = saved.links_of(graph)
        self.final: set[int] = set()  # links to new nodes
        ids = [int(node["id"]) for node in graph.get("nodes", [])]
        self.node_ids = itertools.count(max([*ids, _last(graph, "node")], default=0) + 1)
        self.link_ids = itertools.count(max([*self.links, _last(graph, "link")], default=0) + 1)

    def change(self, only: set[str] | None) -> list[Change]:
        by_id = {str(node["id"]): node for node in self.graph.get("nodes", [])}
        prompt = {key: saved.read(node, self.links, self.old, {}) for key, node in by_id.items()}
        prompt = prompts.understood(prompt, self.old, self.old, {})
        plans, report = plans_for(prompt, self.old, only)
        moved: dict[tuple[int, int], tuple[tuple[int, int], bool]] = {}
        for key, plan in plans.items():
            moved |= self._replace(by_id[key], prompt[key]["inputs"], plan)
        for number, link in self.links.items():
            source, final = (link[1], link[2]), number in self.final
            while not final and source in moved:
                source, final = moved[source]
            link[1], link[2] = source
        self._write()
        return report

    def _replace(
        self, node: dict[str, Any], inputs: Mapping[str, Any], plan: Plan
    ) -> dict[tuple[int, int], tuple[tuple[int, int], bool]]:
        """Draws the new nodes; old output -> what gives it now, and whether that is a new node."""
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
        moved: dict[tuple[int, int], tuple[tuple[int, int], bool]] = {}
        for slot, source in plan.outputs.items():
            found = value_of(source, inputs, names)
            if found is not None:
                moved[node["id"], slot] = (int(found[0]), found[1]), isinstance(found, tuple)
        return moved

    def _make(self, node: dict[str, Any], kind: str, values: dict[str, Any]) -> None:
        """Turns a node into one of a kind with these inputs, typed or linked."""
        sockets: list[dict[str, Any]] = []
        typed: list[Any] = []
        for name, spec in saved.all_inputs(self.inputs_of(kind)):
            value = values.get(name)
            linked = isinstance(value, (list, tuple))
            if not saved.is_widget(spec):
                link = self._link(value, node["id"], len(sockets), spec[0]) if linked else None
                sockets.append({"name": name, "type": spec[0], "link": link})
                continue
            if linked:
                link = self._link(value, node["id"], len(sockets), _type(spec))
                sockets.append(
                    {"name": name, "type": _type(spec), "widget": {"name": name}, "link": link}
                )
            typed.append(_default(spec) if linked or value is None else value)
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
            _as_object(link) if self.objects else link for link in self.links.values()
        ]
        state = self.graph.get("state")
        counters = {"lastNodeId": next(self.node_ids) - 1, "lastLinkId": next(self.link_ids) - 1}
        if isinstance(state, dict):
            state.update(counters)
        if "last_node_id" in self.graph:
            self.graph["last_node_id"] = counters["lastNodeId"]
            self.graph["last_link_id"] = counters["lastLinkId"]


def _type(spec: Any) -> str:
    return "COMBO" if isinstance(spec[0], list) else spec[0]


def _default(spec: Any) -> Any:
    options = spec[1] if len(spec) > 1 else {}
    choices = spec[0] if isinstance(spec[0], list) else options.get("options") or [None]
    return options.get("default", choices[0])


def _as_object(link: list[Any]) -> dict[str, Any]:
    return dict(zip(saved.LINK, link, strict=True))


def _last(graph: Mapping[str, Any], kind: str) -> int:
    state = graph.get("state") or {}
    known = graph.get(f"last_{kind}_id"), state.get(f"last{kind.capitalize()}Id")
    return max(one for one in (*known, 0) if isinstance(one, int))
