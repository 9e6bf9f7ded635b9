"""IPADAPTER links of old graphs: an adapter, or a dict that also holds the encoder."""

from collections.abc import Mapping
from typing import Any

from comfy.clip_vision import ClipVisionModel

from ....ipadapter_core.messages import Predicate
from ...files.load import loaded_adapter
from ...sockets import LoadedAdapter
from .encoder_views import OldAdapter
from .faceid_presets import UnsupportedFaceID


def open_link(link: object, node_name: str, encoder: ClipVisionModel | None = None) -> OldAdapter:
    """What a link brings; encoder: one that is connected. Raises ValueError where none runs."""
    if isinstance(link, LoadedAdapter):
        return OldAdapter(_require_clip(link, node_name), encoder, node_name)
    if isinstance(link, UnsupportedFaceID):
        raise ValueError(link.refusal(node_name))
    if isinstance(link, Mapping):
        if "ipadapter" in link:
            linked_encoder = (link.get("clipvision") or {}).get("model")
            adapter = (link["ipadapter"] or {}).get("model")
            if adapter is not None:
                return open_link(adapter, node_name, linked_encoder if encoder is None else encoder)
        elif "ip_adapter" in link:
            return OldAdapter(_adapter_of_another_pack(link), encoder, node_name)
    raise ValueError(
        f"{node_name}'s 'ipadapter' holds no adapter: connect the output of "
        "IPAdapter Unified Loader, IPAdapter Model Loader or Load IPAdapter."
    )


def _require_clip(adapter: LoadedAdapter, node_name: str) -> LoadedAdapter:
    """An adapter that takes no face identity. Raises ValueError for another one."""
    if adapter.spec.identity_input is not None:
        raise ValueError(UnsupportedFaceID(adapter.name).refusal(node_name))
    return adapter


def make_link(
    adapter: LoadedAdapter | UnsupportedFaceID,
    adapter_file: str,
    encoder: ClipVisionModel | None = None,
    encoder_file: str = "",
) -> dict[str, Any]:
    """The dict of the unified loaders, which other packs read and make themselves."""
    return {
        "clipvision": {"file": encoder_file, "model": encoder},
        "ipadapter": {"file": adapter_file, "model": adapter},
        "insightface": {"provider": None, "model": None},
    }


def _adapter_of_another_pack(weights: Mapping[str, Any]) -> LoadedAdapter:
    """The raw weights that IPAdapter_plus's own loader gives."""
    name = "the adapter from another pack"
    try:
        return loaded_adapter(name, weights)
    except Predicate as error:
        raise error.about(name) from None
