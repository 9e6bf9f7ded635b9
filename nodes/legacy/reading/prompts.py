"""Prompts as old graphs and other programs send them, before the host checks them.

Some old ids mean another node today, and are told apart by their inputs; what was added to a node later gets its
default; options that were renamed get today's names; a file that is not here is replaced by one of the same kind.
Everything else stays as it is. `open_graph.py` does the same to saved graphs.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ....ipadapter_core.adapter.checkpoint import AdapterSpec, read_spec
from ....ipadapter_core.adapter.features import CLIP_H
from ...files import folders
from ..ids import installed_files
from ..ids.old_node import OldNode

ENCODER_LOADER, ENCODER_NODE = "CLIPVisionLoader", "CLIPVisionEncode"  # the host's own


@dataclass(frozen=True)
class ReusedId:
    """An id that means another node where it has an input that only that one has; names: inputs called otherwise here."""

    id: str
    has: str
    here: str
    lacks: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def matches(self, kind: str, inputs: Collection[str]) -> bool:
        return kind == self.id and self.has in inputs and self.lacks not in inputs


ENCODER = {"image": "image_1", "plus": "ipadapter_plus"}
REUSED_IDS = (
    ReusedId("IPAdapterEncoder", "image_1", "IPAdapterEncodeImages"),
    ReusedId("IPAdapterEncoder", "plus", "IPAdapterEncodeImages", names=ENCODER),
    ReusedId("IPAdapterEncoder", "clip_vision", "IPAdapterEncodeImages", "ipadapter", ENCODER),
    ReusedId("IPAdapter", "clip_vision_output", "IPAdapterLaksjdjfSeen"),
    ReusedId("IPAdapter", "clip_vision", "IPAdapterLaksjdjf"),
    ReusedId("IPAdapterApply", "clip_vision_output", "IPAdapterApplySeen"),
    ReusedId("PrepImageForClipVision", "add_weight", "PrepImageWithWeight"),
)
ADAPTER_INPUTS = "ipadapter_file", "model_name"  # inputs that name an adapter
log = logging.getLogger("ipadapter")
Prompt = dict[str, dict[str, Any]]


def read_prompt(
    prompt: Any,
    nodes: Mapping[str, type[OldNode]],
    ours: Mapping[str, Any],
    others: Mapping[str, Any],
) -> Any:
    """The prompt, with old nodes as they are understood here.

    nodes: this pack's old nodes by id; ours: all its nodes; others: another pack's, whose ids are old nodes'. What
    is no prompt is handed back, for the host to refuse.
    """
    if not isinstance(prompt, dict):
        return prompt
    made = {key: _told_apart(node, others) for key, node in prompt.items()}
    made = {
        key: _with_current_options(_completed(node, nodes), nodes) for key, node in made.items()
    }
    made = {
        key: _with_adapter(node) if _class(node) in nodes else node for key, node in made.items()
    }
    for key in [k for k, node in made.items() if _class(node) == ENCODER_LOADER]:
        made[key] = _with_encoder(key, made, ours)
    return made


def reused_id(kind: str, inputs: Collection[str], others: Mapping[str, Any]) -> ReusedId | None:
    """The other node that is meant by an id with these inputs; None: the one that has it here.

    others: another pack's nodes by id, which may be the very one that is meant.
    """
    found = next((one for one in REUSED_IDS if one.matches(kind, inputs)), None)
    return None if found and kind in others and found.has in _names(others[kind]) else found


def _told_apart(node: Any, others: Mapping[str, Any]) -> Any:
    other = reused_id(_class(node), _inputs(node), others)
    if other is None:
        return node
    inputs = {other.names.get(name, name): value for name, value in _inputs(node).items()}
    return {**node, "class_type": other.here, "inputs": inputs}


def _completed(node: Any, nodes: Mapping[str, type[OldNode]]) -> Any:
    kind = nodes.get(_class(node))
    if kind is None:
        return node
    required = kind.INPUT_TYPES()["required"]
    absent = {name: _default(spec) for name, spec in required.items() if name not in _inputs(node)}
    defaults = {name: value for name, value in absent.items() if value is not None}
    return {**node, "inputs": {**_inputs(node), **defaults}} if defaults else node


def _with_current_options(node: Any, nodes: Mapping[str, type[OldNode]]) -> Any:
    kind = nodes.get(_class(node))
    return node if kind is None else {**node, "inputs": kind.with_current_options(_inputs(node))}


def _with_adapter(node: Any) -> Any:
    """With an adapter file that is here, where one of the kind is; else the node says itself what is missing."""
    inputs = dict(_inputs(node))
    for field_ in ADAPTER_INPUTS:
        if isinstance(name := inputs.get(field_), str):
            try:
                inputs[field_], _ = installed_files.find_adapter(name)
            except ValueError:
                continue
    return {**node, "inputs": inputs}


def _names(kind: Any) -> set[str]:
    groups = kind.INPUT_TYPES()
    return {*groups.get("required", {}), *groups.get("optional", {})}


def _default(spec: Any) -> Any:
    """What the widget shows in the beginning; None for a link."""
    kind, options = spec
    if "default" in options:
        return options["default"]
    return kind[0] if isinstance(kind, list) and kind else None


def _with_encoder(key: str, prompt: Prompt, ours: Mapping[str, Any]) -> Any:
    """The host's loader, with a file that is here where it feeds this pack and names one that is not."""
    node = prompt[key]
    name = _inputs(node).get("clip_name")
    fed = _fed(key, prompt, ours)
    if not fed or not isinstance(name, str) or name in folders.names(folders.ENCODERS):
        return node
    needed = next((need for one in fed for need in _needs(one, prompt)), None)
    found = installed_files.find_encoder(name, needed)
    if found is None:
        log.warning("%s", installed_files.missing_encoder(needed or CLIP_H, f"'{name}'"))
        return node
    return {**node, "inputs": {**_inputs(node), "clip_name": found}}


def _fed(key: str, prompt: Prompt, ours: Mapping[str, Any]) -> list[Any]:
    """This pack's nodes that an encoder goes to, or what the host's own node saw with it."""
    taking = {other: node for other, node in prompt.items() if [key, 0] in _links(node)}
    seen = [[other, 0] for other, node in taking.items() if _class(node) == ENCODER_NODE]
    through = [node for node in prompt.values() if any(link in seen for link in _links(node))]
    return [node for node in [*taking.values(), *through] if _class(node) in ours]


def _needs(node: Any, prompt: Prompt) -> Iterator[str]:
    """The encoder that the adapter on a node was made for, if its file is here."""
    link = _inputs(node).get("ipadapter")
    loader = prompt.get(link[0]) if isinstance(link, list) and link else node
    for field_ in ADAPTER_INPUTS:
        name = _inputs(loader).get(field_)
        if isinstance(name, str):
            try:
                _, path = installed_files.find_adapter(name)
                spec = installed_files.cached_spec(path, read_spec)
            except ValueError:
                continue
            if isinstance(spec, AdapterSpec):
                yield spec.encoder


def _class(node: Any) -> str:
    return str(node.get("class_type")) if isinstance(node, dict) else ""


def _inputs(node: Any) -> dict[str, Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _links(node: Any) -> list[Any]:
    return [value for value in _inputs(node).values() if isinstance(value, list)]
