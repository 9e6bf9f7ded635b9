"""Prompts as old graphs and other programs send them, before the host checks them.

Some old ids mean another node today, and are told apart by their inputs; inputs that a node got
later get their defaults; renamed options get the names of the last release; a missing file is
replaced by one of the same kind. Everything else stays as it is, also what is no prompt: the host
refuses that in its own words.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..ids.input_specs import Spec
from ..ids.old_node import InputValues, OldNode
from .encoders import ADAPTER_INPUTS, ENCODER_LOADER, EncoderLoaders
from .readers import Registry, class_of, inputs_of
from .renamed_options import current_options

__all__ = ["ADAPTER_INPUTS", "ENCODER_LOADER", "OldNodes", "Registry", "ReusedId", "read_prompt"]

OldNodes = Mapping[str, type[OldNode]]  # ours, by id


@dataclass(frozen=True)
class ReusedId:
    """An id that means another node where it has an input that only that one has."""

    node_id: str
    marking_input: str
    meant_id: str
    excluded_input: str = ""
    new_names: Mapping[str, str] = field(default_factory=dict)  # of inputs

    def matches(self, node_id: str, node_inputs: Collection[str]) -> bool:
        is_marked = self.marking_input in node_inputs and self.excluded_input not in node_inputs
        return node_id == self.node_id and is_marked


ENCODER_INPUTS = {"image": "image_1", "plus": "ipadapter_plus"}
REUSED_IDS = (
    ReusedId("IPAdapterEncoder", "image_1", "IPAdapterEncodeImages"),
    ReusedId("IPAdapterEncoder", "plus", "IPAdapterEncodeImages", new_names=ENCODER_INPUTS),
    ReusedId(
        node_id="IPAdapterEncoder",
        marking_input="clip_vision",
        meant_id="IPAdapterEncodeImages",
        excluded_input="ipadapter",
        new_names=ENCODER_INPUTS,
    ),
    ReusedId("IPAdapter", "clip_vision_output", "IPAdapterLaksjdjfSeen"),
    ReusedId("IPAdapter", "clip_vision", "IPAdapterLaksjdjf"),
    ReusedId("IPAdapterApply", "clip_vision_output", "IPAdapterApplySeen"),
    ReusedId("PrepImageForClipVision", "add_weight", "PrepImageWithWeight"),
    ReusedId(
        node_id="IPAdapterFluxLoader",
        marking_input="ipadatper",
        meant_id="IPAdapterFluxLoader",
        new_names={"ipadatper": "ipadapter"},
    ),
)
# Which file or adapter is meant has no default: the host says that it is missing.
SPECS_WITHOUT_DEFAULT = frozenset(
    (
        *("adapter_file", "embeds_file", "encoder_file"),
        *("preset", "faceid_preset", "community_preset"),
    )
)


def read_prompt(
    prompt: object, old_nodes: OldNodes, our_nodes: Registry, foreign_nodes: Registry
) -> Any:
    """The prompt with old nodes as they were meant.

    old_nodes: ours by id; our_nodes: all of this pack; foreign_nodes: another pack's that have an
    old node's id.
    """
    if not isinstance(prompt, dict):
        return prompt
    meant = {
        node_key: _read_node(node, old_nodes, foreign_nodes) for node_key, node in prompt.items()
    }
    if ENCODER_LOADER not in map(class_of, meant.values()):
        return meant
    return {**meant, **EncoderLoaders(meant, our_nodes).replaced()}


def reused_id(
    node_id: str, node_inputs: Collection[str], foreign_nodes: Registry
) -> ReusedId | None:
    """The other node that an id with these inputs means; None: the one that has it here.

    foreign_nodes: another pack's nodes by id, one of which may be the very one that is meant.
    """
    reused = next((reused for reused in REUSED_IDS if reused.matches(node_id, node_inputs)), None)
    if (
        reused
        and node_id in foreign_nodes
        and reused.marking_input in _input_names(foreign_nodes[node_id])
    ):
        return None
    return reused


def _read_node(node: object, old_nodes: OldNodes, foreign_nodes: Registry) -> object:
    if not isinstance(node, dict):
        return node
    reused, node_inputs = reused_id(class_of(node), inputs_of(node), foreign_nodes), inputs_of(node)
    if reused is not None:
        node_inputs = {
            reused.new_names.get(name, name): value for name, value in node_inputs.items()
        }
        node = {**node, "class_type": reused.meant_id, "inputs": node_inputs}
    old_node = old_nodes.get(class_of(node))
    if old_node is None:
        return node
    all_inputs = {**node_inputs, **_absent_defaults(old_node, node_inputs)}
    node_inputs = current_options(old_node, all_inputs)
    return {**node, "inputs": {**node_inputs, **_installed_files(old_node, node_inputs)}}


def _absent_defaults(old_node: type[OldNode], node_inputs: InputValues) -> dict[str, Any]:
    required = old_node.INPUT_TYPES()["required"]
    spec_names = (entry.partition("=") for entry in old_node.REQUIRED)
    chosen = {name for name, _, spec in spec_names if (spec or name) in SPECS_WITHOUT_DEFAULT}
    absent = {
        name: _default(spec)
        for name, spec in required.items()
        if name not in node_inputs and name not in chosen
    }
    return {name: default for name, default in absent.items() if default is not None}


def _installed_files(old_node: type[OldNode], node_inputs: InputValues) -> dict[str, str]:
    """Installed files; without one of the kind the node itself says what is missing."""
    files: dict[str, str] = {}
    for name, find_file in old_node.FILES.items():
        if isinstance(file := node_inputs.get(name), str):
            try:
                files[name] = find_file(file)
            except ValueError:
                continue
    return files


def _input_names(node: type[Any]) -> set[str]:
    groups = node.INPUT_TYPES()
    return {*groups.get("required", {}), *groups.get("optional", {})}


def _default(spec: Spec) -> Any:
    """The initial value of the widget; None for a link."""
    options, settings = spec
    if "default" in settings:
        return settings["default"]
    return options[0] if isinstance(options, list) and options else None
