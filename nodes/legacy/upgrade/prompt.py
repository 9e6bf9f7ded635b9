"""A prompt in the API format with old nodes becomes one with new nodes."""

import itertools
from collections.abc import Callable
from typing import Any

from ..reading import prompts
from .facts.graph import Graph, Inputs
from .links import Moves, NewLink, OldLink, OldSource, follow, parse_link
from .plan import REPLACEMENT, Plan, resolve
from .planning import OldNodes, make_plans
from .readable import is_number_text, is_prompt_node
from .report import Change

Prompt = dict[str, dict[str, Any]]


def upgraded(prompt: Prompt, old_nodes: OldNodes) -> tuple[Prompt, list[Change]]:
    """A prompt with new nodes, and the report. What has no counterpart stays and is named there."""
    readable = {
        node_id: {**node, "inputs": dict(node["inputs"])}
        for node_id, node in prompt.items()
        if is_prompt_node(node)
    }
    prompt = {**prompt, **prompts.read_prompt(readable, old_nodes, old_nodes, {})}
    plans, report = make_plans(Graph({id: prompt[id] for id in readable}), old_nodes)
    new_prompt: Prompt = {}
    moves: dict[OldSource, object] = {}
    new_id = _id_maker(prompt)
    for node_id, node in prompt.items():
        plan = plans.get(node_id)
        if plan is None:
            new_prompt[node_id] = node
            continue
        new_ids = {name: new_id(f"{node_id}_{name}") for name in plan.helpers}
        new_ids[REPLACEMENT] = node_id
        new_prompt |= _new_nodes(plan, node["inputs"], new_ids)
        moves |= plan.moves(node_id, node["inputs"], new_ids)
    for node in filter(is_prompt_node, new_prompt.values()):
        node["inputs"] = _written_inputs(node["inputs"], moves)
    return new_prompt, report


def _id_maker(prompt: Prompt) -> Callable[[str], str]:
    """Numbers where the prompt has numbers for ids, else the suggested name."""
    if not all(map(is_number_text, prompt)):
        return lambda name: name
    numbers = itertools.count(max(map(int, prompt), default=0) + 1)
    return lambda _name: str(next(numbers))


def _new_nodes(plan: Plan, old_inputs: Inputs, new_ids: dict[str, str]) -> Prompt:
    return {
        new_ids[name]: {
            "class_type": node.kind,
            "inputs": {
                input: resolved
                for input, value in node.inputs.items()
                if (resolved := resolve(value, old_inputs, new_ids)) is not None
            },
        }
        for name, node in plan.new_nodes.items()
    }


def _written_inputs(inputs: Inputs, moves: Moves) -> Inputs:
    """Without those that were linked to nothing behind a replaced node."""
    written = {name: _written(value, moves) for name, value in inputs.items()}
    return {
        name: value for name, value in written.items() if value is not None or inputs[name] is None
    }


def _written(value: object, moves: Moves) -> object:
    """An input as prompts have it; what no change concerns stays as it was written."""
    link = value if isinstance(value, OldSource) else parse_link(value)
    target = follow(link, moves) if link in moves else value
    if isinstance(target, OldLink | NewLink):
        return [target.node_id, target.slot]
    return target
