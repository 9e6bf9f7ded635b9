"""Which image encoder a graph needs, where its loader names a file that is not installed."""

import logging
import os
import re
from typing import Any

from ....ipadapter_core.adapter.checkpoint import AdapterSpec, read_spec
from ....ipadapter_core.adapter.features import CLIP_BIGG, CLIP_H, CLIP_L, CLIP_L_336
from ...files import folders
from ...files.file_specs import installed_spec
from ..ids import installed_files
from .readers import Nodes, Readers, Registry, class_of, inputs_of, link_source

ENCODER_LOADER, ENCODER_NODE = "CLIPVisionLoader", "CLIPVisionEncode"  # the host's own
ENCODER_INPUT = "clip_vision"
ADAPTER_INPUTS = "ipadapter_file", "model_name"  # inputs that name an adapter
# what the words of a file name mean, the first that matches
ENCODER_NAME_PATTERNS = (
    (r"bigg|vit.?g|sdxl", CLIP_BIGG),
    (r"336", CLIP_L_336),
    (r"vit.?l|large.?patch14|clip.?l\b", CLIP_L),
    (r"vit.?h|laion2b.?s32b|sd.?1.?5|ip.?adapter|image.?encoder", CLIP_H),
)
log = logging.getLogger("ipadapter")


class EncoderLoaders:
    """The host's loaders of image encoders in a graph; our_nodes: all of this pack by id."""

    def __init__(self, nodes: Nodes, our_nodes: Registry):
        self._nodes, self._our_nodes = nodes, our_nodes
        self._readers = Readers(nodes)
        self._feeding = self._readers.feeding(ENCODER_INPUT, our_nodes)

    def replaced(self) -> dict[str, Any]:
        """The loaders by key, with an installed file where they feed this pack and name one that is
        missing.
        """
        return {
            node_key: self._replace(node_key, node)
            for node_key, node in self._nodes.items()
            if class_of(node) == ENCODER_LOADER
        }

    def _replace(self, node_key: str, loader: object) -> object:
        """Where the readers cannot be seen, the name alone must say which encoder it is."""
        file_name = inputs_of(loader).get("clip_name")
        if not isinstance(file_name, str) or file_name in folders.names(folders.ENCODERS):
            return loader
        readers = self._readers.reached(node_key, also_through=ENCODER_NODE)
        our_readers = [node for node in readers if class_of(node) in self._our_nodes]
        encoder_name = encoder_named(file_name)
        if our_readers:
            encoder_name = self._needed_encoder(our_readers) or encoder_name or CLIP_H
        elif node_key not in self._feeding and not any(map(self._readers.hides_readers, readers)):
            return loader
        return _with_installed(loader, file_name, encoder_name)

    def _needed_encoder(self, our_readers: list[object]) -> str | None:
        """The encoder that the adapter on one of these nodes was made for, if it is installed."""
        for reader in our_readers:
            link = inputs_of(reader).get("ipadapter")
            loader_inputs = inputs_of(self._readers.origin(link) if link_source(link) else reader)
            for input_name in ADAPTER_INPUTS:
                spec = _adapter_spec(loader_inputs.get(input_name))
                if spec is not None:
                    return spec.encoder
        return None


def _with_installed(loader: object, file_name: str, encoder_name: str | None) -> object:
    if encoder_name is None:
        return loader
    installed_file = installed_files.same_file(folders.ENCODERS, file_name)
    if installed_file is None:
        fitting_files = installed_files.installed_encoders(encoder_name)
        if not fitting_files:
            sentence = installed_files.missing_encoder(encoder_name, f"'{file_name}'")
            log.warning("%s", sentence)
            return loader
        installed_file = installed_files.log_replacement(file_name, fitting_files)
    node_fields = loader if isinstance(loader, dict) else {}
    return {**node_fields, "inputs": {**inputs_of(loader), "clip_name": installed_file}}


def encoder_named(name: str) -> str | None:
    """The image encoder that a file's name speaks of."""
    words = os.path.basename(name).lower()
    return next(
        (encoder for pattern, encoder in ENCODER_NAME_PATTERNS if re.search(pattern, words)), None
    )


def _adapter_spec(file_name: object) -> AdapterSpec | None:
    if not isinstance(file_name, str):
        return None
    try:
        installed_file = installed_files.find_adapter(file_name)
    except ValueError:
        return None
    spec = installed_spec(folders.ADAPTERS, installed_file, read_spec)
    return spec if isinstance(spec, AdapterSpec) else None
