"""A graph with old nodes becomes one with new nodes, with a word on each change.

For prompts, the API format; `canvas.py` does saved workflows. What has no counterpart stays and is named.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...ipadapter_core.checkpoint import AdapterSpec, read_spec
from . import prompts, resolve
from .base import OldNode
from .load import COMMUNITY, PRESETS
from .plans import PRESET_KINDS, Here, Kept, Known, Plan, Same, plan_of

Prompt = dict[str, dict[str, Any]]


@dataclass
class Change:
    """What happened to one node: the ids of those that stand in its place, or why it stays."""

    node: str
    old: str
    new: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def describe(self) -> str:
        name = f"{self.old} (node {self.node})"
        if not self.new:
            return f"{name} stays: {'; '.join(self.notes)}."
        new, notes = ", ".join(self.new), "; ".join(dict.fromkeys(self.notes))
        return f"{name} becomes {new}: {notes}." if notes else f"{name} becomes {new}."


def upgraded(prompt: Prompt, nodes: Mapping[str, type[OldNode]]) -> tuple[Prompt, list[Change]]:
    """A prompt with new nodes, and what was changed. nodes: old nodes by id."""
    copied = {key: {**node, "inputs": dict(node["inputs"])} for key, node in prompt.items()}
    prompt = prompts.understood(copied, nodes, nodes, {})
    plans, report = plans_for(prompt, nodes, None)
    made: Prompt = {}
    moved: dict[tuple[str, int], Any] = {}
    fresh = _fresh_names(prompt)
    for key, node in prompt.items():
        if key not in plans:
            made[key] = node
            continue
        plan, last = plans[key], list(plans[key].nodes)[-1]
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
    return inputs.get(value.name) if isinstance(value, Same) else value


def _followed(value: Any, moved: Mapping[tuple[str, int], Any]) -> Any:
    """Where a link leads now; an output can lead through another old node."""
    while isinstance(value, list) and len(value) == 2 and (str(value[0]), value[1]) in moved:
        value = moved[str(value[0]), value[1]]
    return list(value) if isinstance(value, tuple) else value


def plans_for(
    prompt: Prompt, nodes: Mapping[str, type[OldNode]], only: set[str] | None
) -> tuple[dict[str, Plan], list[Change]]:
    plans: dict[str, Plan] = {}
    report: list[Change] = []
    for key, node in prompt.items():
        kind = node.get("class_type", "")
        if kind not in nodes or (only is not None and key not in only):
            continue
        change = Change(key, nodes[kind].NAME)
        try:
            plan = plan_of(kind, node["inputs"], _known(key, prompt))
            plans[key] = plan
            change.new = [name for name, _ in plan.nodes.values()]
            change.notes = plan.notes
        except Kept as reason:
            change.notes = [str(reason)]
        report.append(change)
    return plans, report


def _known(key: str, prompt: Prompt) -> Known:
    used = frozenset(
        value[1]
        for node in prompt.values()
        for value in node.get("inputs", {}).values()
        if isinstance(value, list) and len(value) == 2 and str(value[0]) == key
    )
    file, kind = _adapter(key, prompt)
    return Known(kind, file, used)


def _adapter(key: str, prompt: Prompt) -> tuple[str | None, str | None]:
    """File and kind of the adapter that a node loads, or that is connected to it."""
    node = prompt[key]
    inputs = node["inputs"]
    for name in ("ipadapter_file", "model_name"):
        if isinstance(inputs.get(name), str):
            return _file(inputs[name])
    preset = inputs.get("preset")
    if preset in PRESET_KINDS:
        want = (PRESETS | COMMUNITY)[preset][_is_sdxl(inputs.get("model"), prompt)]
        found = resolve.installed(want) if want else []
        return (found[0] if found else want and want.row.name), PRESET_KINDS[preset]
    link = inputs.get("ipadapter")
    if isinstance(link, list) and str(link[0]) in prompt:
        return _adapter(str(link[0]), prompt)
    return None, None


def _file(name: str) -> tuple[str, str | None]:
    try:
        found, path = resolve.adapter_path(name)
        spec = resolve.spec_of(path, read_spec)
        return found, spec.kind if isinstance(spec, AdapterSpec) else None
    except ValueError:
        want = resolve.named(name)
        return name, want.row.kind if want else None


def _is_sdxl(link: Any, prompt: Prompt) -> bool:
    """By the checkpoint upstream: what it holds if it is here, else its name."""
    seen: set[str] = set()
    while isinstance(link, list) and str(link[0]) in prompt and str(link[0]) not in seen:
        seen.add(str(link[0]))
        inputs = prompt[str(link[0])]["inputs"]
        for folder, name in (("checkpoints", "ckpt_name"), ("diffusion_models", "unet_name")):
            if isinstance(inputs.get(name), str):
                return resolve.is_sdxl(folder, inputs[name])
        link = inputs.get("model")
    return False
