"""Which image encoder a graph needs, where its loader names a file that is not here."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from ....ipadapter_core.adapter.checkpoint import AdapterSpec, read_spec
from ...files import folders
from ..ids.installed_files import (
    CLIP_H,
    cached_spec,
    encoder_named,
    find_adapter,
    find_encoder,
    missing_encoder,
)

ENCODER_LOADER, ENCODER_NODE = "CLIPVisionLoader", "CLIPVisionEncode"  # the host's own
ADAPTER_INPUTS = "ipadapter_file", "model_name"  # inputs that name an adapter
# nodes of the page that hand on what they get
PASSING = frozenset(("Reroute", "Reroute (rgthree)", "ReroutePrimitive|pysssss"))
SUBGRAPH_OUTPUT = "subgraph output"  # stands for the readers beyond the border of a subgraph
# nodes whose readers cannot be seen
HIDING = frozenset((SUBGRAPH_OUTPUT, "SetNode", "easy setNode"))
Nodes = Mapping[str, Any]  # a prompt's, by key
Registry = Mapping[str, Any]  # nodes by id
Readers = Mapping[str, list[str]]
log = logging.getLogger("ipadapter")


def replace_encoder(node_key: str, nodes: Nodes, our_nodes: Registry, readers: Readers) -> object:
    """The host's loader, with a file that is here where it feeds this pack and names one that is
    not.

    Where its readers cannot be seen, the name alone must say which encoder it is.
    """
    loader = nodes[node_key]
    file_name = inputs_of(loader).get("clip_name")
    if not isinstance(file_name, str) or file_name in folders.names(folders.ENCODERS):
        return loader
    reading_nodes = [nodes[reader] for reader in _readers_through(node_key, nodes, readers)]
    our_readers = [node for node in reading_nodes if class_of(node) in our_nodes]
    encoder_name = encoder_named(file_name)
    if our_readers:
        encoder_name = _needed_encoder(our_readers, nodes) or encoder_name or CLIP_H
    elif not _has_hidden_readers(reading_nodes):
        return loader
    return _with_installed(loader, file_name, encoder_name)


def _has_hidden_readers(reading_nodes: Iterable[object]) -> bool:
    return any(class_of(node) in HIDING for node in reading_nodes)


def _with_installed(loader: object, file_name: str, encoder_name: str | None) -> object:
    if encoder_name is None:
        return loader
    installed_file = find_encoder(file_name, encoder_name)
    if installed_file is None:
        log.warning("%s", missing_encoder(encoder_name, f"'{file_name}'"))
        return loader
    node_fields = loader if isinstance(loader, dict) else {}
    return {**node_fields, "inputs": {**inputs_of(loader), "clip_name": installed_file}}


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


def readers_by_source(nodes: Nodes) -> Readers:
    """For each node those that read an output of it."""
    readers: dict[str, list[str]] = {}
    for node_key, node in nodes.items():
        sources = {link_source(value) for value in inputs_of(node).values()}
        for source in sources - {None}:
            readers.setdefault(str(source), []).append(node_key)
    return readers


def _readers_through(node_key: str, nodes: Nodes, readers: Readers) -> list[str]:
    """The nodes that an encoder goes to, through those that hand it on or look with it."""
    reached: dict[str, None] = {}
    waiting = [node_key]
    while waiting:
        for reader in readers.get(waiting.pop(), []):
            if reader not in reached:
                reached[reader] = None
                if class_of(nodes[reader]) in (*PASSING, ENCODER_NODE):
                    waiting.append(reader)
    return list(reached)


def _needed_encoder(our_readers: list[object], nodes: Nodes) -> str | None:
    """The encoder that the adapter on one of these nodes was made for, if its file is here."""
    for reader in our_readers:
        loader_inputs = inputs_of(_adapter_loader(reader, nodes))
        for input_name in ADAPTER_INPUTS:
            spec = _adapter_spec(loader_inputs.get(input_name))
            if spec is not None:
                return spec.encoder
    return None


def _adapter_loader(reader: object, nodes: Nodes) -> object:
    """The node that an adapter comes from, through those that hand it on; the reader itself loads
    one without a link.
    """
    source = link_source(inputs_of(reader).get("ipadapter"))
    if source is None:
        return reader
    visited: set[str] = set()
    while source is not None and class_of(nodes.get(source)) in PASSING and source not in visited:
        visited.add(source)
        sources = map(link_source, inputs_of(nodes.get(source)).values())
        source = next(filter(None, sources), None)
    return None if source is None else nodes.get(source)


def _adapter_spec(file_name: object) -> AdapterSpec | None:
    if not isinstance(file_name, str):
        return None
    try:
        spec = cached_spec(find_adapter(file_name)[1], read_spec)
    except ValueError:
        return None
    return spec if isinstance(spec, AdapterSpec) else None
