"""A graph with old nodes becomes one with new nodes, with a word on each change.

For prompts, the API format; `canvas.py` does saved workflows. What has no counterpart stays and is named.
"""

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ....ipadapter_core.adapter.checkpoint import AdapterSpec, read_spec
from ....ipadapter_core.adapter.features import Unconditional
from ....ipadapter_core.doctor.model_table import ModelFile
from ..ids import installed_files
from ..ids.installed_files import COMMUNITY_PRESETS, PRESETS
from ..ids.old_node import OldNode
from ..reading import prompts
from .graph import OUTSIDE, Graph, is_link
from .plan import BEHIND, Behind, Here, Kept, Known, Plan, Same
from .plans import plan_of

Prompt = dict[str, dict[str, Any]]


@dataclass
class Change:
    """What happened to one node: the ids of those that stand in its place, or why it stays; or it is gone."""

    node: str
    old: str
    new: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    gone: bool = False

    def describe(self) -> str:
        name = f"{self.old} (node {self.node})"
        notes = "; ".join(dict.fromkeys(self.notes))
        if self.gone:
            return f"{name} goes: {notes}."
        if not self.new:
            return f"{name} stays: {notes}."
        new = ", ".join(self.new)
        return f"{name} becomes {new}: {notes}." if notes else f"{name} becomes {new}."


def upgraded(prompt: Prompt, nodes: Mapping[str, type[OldNode]]) -> tuple[Prompt, list[Change]]:
    """A prompt with new nodes, and what was changed. nodes: old nodes by id."""
    copied = {key: {**node, "inputs": dict(node["inputs"])} for key, node in prompt.items()}
    prompt = prompts.read_prompt(copied, nodes, nodes, {})
    plans, report = plans_for(Graph(prompt), nodes, None)
    made: Prompt = {}
    moved: dict[tuple[str, int], Any] = {}
    fresh = _fresh_names(prompt)
    for key, node in prompt.items():
        if key not in plans:
            made[key] = node
            continue
        plan = plans[key]
        last = list(plan.nodes)[-1] if plan.nodes else ""
        names = {one: key if one == last else fresh(f"{key}_{one}") for one in plan.nodes}
        for one, (kind, inputs) in plan.nodes.items():
            given = {name: value_of(value, node["inputs"], names) for name, value in inputs.items()}
            given = {name: value for name, value in given.items() if value is not None}
            made[names[one]] = {"class_type": kind, "inputs": given}
        for slot, source in plan.outputs.items():
            moved[key, slot] = value_of(source, node["inputs"], names)
    for node in made.values():
        for name, value in node["inputs"].items():
            node["inputs"][name] = _followed(value, moved)
    return made, report


def _fresh_names(prompt: Prompt) -> Callable[[str], str]:
    """Numbers where the prompt has numbers for names, as saved workflows give them."""
    if not all(key.isdigit() for key in prompt):
        return lambda name: name
    numbers = itertools.count(max(map(int, prompt), default=0) + 1)
    return lambda name: str(next(numbers))


def value_of(value: Any, inputs: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """A tuple for a link to a new node, a list for one of the old graph, which may lead elsewhere by now."""
    if isinstance(value, Here):
        return names[value.key], value.slot
    if isinstance(value, Behind):
        return [inputs[value.name][0], BEHIND]
    return inputs.get(value.name) if isinstance(value, Same) else value


def _followed(value: Any, moved: Mapping[tuple[str, int], Any]) -> Any:
    """Where a link leads now; an output can lead through another old node."""
    while is_link(value) and (str(value[0]), value[1]) in moved:
        value = moved[str(value[0]), value[1]]
    return list(value) if isinstance(value, tuple) else value


def plans_for(
    graph: Graph, nodes: Mapping[str, type[OldNode]], only: Collection[str] | None
) -> tuple[dict[str, Plan], list[Change]]:
    """The plans of the old nodes, and a word on each. only: those to change, with what can change only with them."""
    plans: dict[str, Plan] = {}
    kept: dict[str, str] = {}
    old = [key for key, node in graph.prompt.items() if node.get("class_type") in nodes]
    for key in old:
        node = graph.prompt[key]
        try:
            plans[key] = plan_of(node["class_type"], dict(node["inputs"]), _known(key, graph))
        except Kept as reason:
            kept[key] = str(reason)
    _drop_torn(plans, kept, graph)
    if only is not None:
        wanted = _with_partners(set(only), plans, graph)
        plans = {key: plan for key, plan in plans.items() if key in wanted}
        old = [key for key in old if key in wanted]
    report: list[Change] = []
    for key in old:
        change = Change(key, nodes[graph.prompt[key]["class_type"]].NAME)
        if key in plans:
            change.new = [name for name, _ in plans[key].nodes.values()]
            change.gone, change.notes = not change.new, plans[key].notes
        else:
            change.notes = [kept[key]]
        report.append(change)
    return plans, report


def _partners(key: str, plan: Plan, graph: Graph) -> list[str]:
    """The nodes that must change with this one: who reads what new nodes alone can read, and who gives it."""
    inputs = graph.prompt[key]["inputs"]
    readers = [other for slot in plan.handed for other, _ in graph.readers(key, slot)]
    given = [str(inputs[name][0]) for name in plan.taken if is_link(inputs.get(name))]
    return readers + given


def _drop_torn(plans: dict[str, Plan], kept: dict[str, str], graph: Graph) -> None:
    """Takes back each plan whose node hands on to one that stays, until there is none."""
    torn = True
    while torn:
        torn = False
        for key in list(plans):
            apart = [one for one in _partners(key, plans[key], graph) if one not in plans]
            if apart:
                del plans[key]
                torn = True
                kept[key] = (
                    "what it gives leaves the subgraph"
                    if apart[0] == OUTSIDE
                    else f"node {apart[0]}, which it is connected to, stays"
                )


def _with_partners(wanted: set[str], plans: Mapping[str, Plan], graph: Graph) -> set[str]:
    waiting = list(wanted)
    while waiting:
        key = waiting.pop()
        found = [] if key not in plans else _partners(key, plans[key], graph)
        waiting += [one for one in found if one not in wanted]
        wanted |= set(found)
    return wanted


class _Adapter(NamedTuple):
    """The adapter that a node loads, or that is connected to it, as far as the graph says."""

    file: str | None = None
    unconditional: Unconditional | None = None
    base: str | None = None


def _known(key: str, graph: Graph) -> Known:
    found = _adapter(key, graph.prompt)
    used, paper = graph.used(key), graph.is_paper(key)
    return Known(found.unconditional, found.file, found.base, used, paper, key, graph)


def _adapter(key: str, prompt: Mapping[str, Mapping[str, Any]]) -> _Adapter:
    inputs = prompt[key].get("inputs", {})
    for name in prompts.ADAPTER_INPUTS:
        if isinstance(inputs.get(name), str):
            return _file(inputs[name])
    pair = (PRESETS | COMMUNITY_PRESETS).get(inputs.get("preset"), (None, None))
    want = pair[_is_sdxl(inputs.get("model"), prompt)] if any(pair) else None
    if want is not None:
        found = installed_files.installed_adapters(want)
        return _published(found[0] if found else want.published.name, want.published)
    link = inputs.get("ipadapter")
    if isinstance(link, list) and str(link[0]) in prompt:
        return _adapter(str(link[0]), prompt)
    return _Adapter()


def _file(name: str) -> _Adapter:
    try:
        found, path = installed_files.find_adapter(name)
        spec = installed_files.cached_spec(path, read_spec)
        if isinstance(spec, AdapterSpec):
            return _Adapter(found, spec.unconditional, spec.base_model)
        return _Adapter(found)
    except ValueError:
        want = installed_files.kind_named(name)
        return _published(name, want.published) if want else _Adapter(name)


def _published(name: str, file: ModelFile) -> _Adapter:
    unconditional = file.family.unconditional if file.family else None
    return _Adapter(name, unconditional, file.base)


def _is_sdxl(link: Any, prompt: Mapping[str, Mapping[str, Any]]) -> bool:
    """By the checkpoint upstream: what it holds if it is here, else its name."""
    seen: set[str] = set()
    while isinstance(link, list) and str(link[0]) in prompt and str(link[0]) not in seen:
        seen.add(str(link[0]))
        inputs = prompt[str(link[0])]["inputs"]
        for folder, name in (("checkpoints", "ckpt_name"), ("diffusion_models", "unet_name")):
            if isinstance(inputs.get(name), str):
                return installed_files.is_sdxl_checkpoint(folder, inputs[name])
        link = inputs.get("model")
    return False
