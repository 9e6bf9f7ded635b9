"""IPADAPTER links of old graphs: an adapter, or a dict that also holds the encoder."""

from collections.abc import Mapping
from typing import Any

from comfy.clip_vision import ClipVisionModel

from ....ipadapter_core.messages import Predicate
from ...files.load import loaded_adapter
from ...sockets import LoadedAdapter
from .encoder_views import OldAdapter


def open_link(
    link: object,
    node_name: str,
    encoder: ClipVisionModel | None = None,
    analysis: Any = None,
) -> OldAdapter:
    """Adapter and encoder of a link; encoder, analysis of faces: those that are connected. Raises
    ValueError where none runs.
    """
    if isinstance(link, LoadedAdapter):
        return OldAdapter(loaded=link, encoder=encoder, node_name=node_name, analysis=analysis)
    if isinstance(link, Mapping):
        if "ipadapter" in link:
            encoder = _linked(link, "clipvision") if encoder is None else encoder
            analysis = _linked(link, "insightface") if analysis is None else analysis
            adapter = _linked(link, "ipadapter")
            if adapter is not None:
                return open_link(adapter, node_name, encoder, analysis)
        elif "ip_adapter" in link:
            loaded = _adapter_of_another_pack(link)
            return OldAdapter(
                loaded=loaded, encoder=encoder, node_name=node_name, analysis=analysis
            )
    raise ValueError(
        f"{node_name}'s 'ipadapter' holds no adapter: connect the output of "
        "IPAdapter Unified Loader, IPAdapter Model Loader or Load IPAdapter."
    )


def _linked(link: Mapping[str, Any], part: str) -> Any:
    """One part of a link of unified loaders, or None."""
    return (link.get(part) or {}).get("model")


def make_link(
    adapter: LoadedAdapter,
    adapter_file: str,
    encoder: ClipVisionModel | None = None,
    encoder_file: str = "",
    analysis: Any = None,
) -> dict[str, Any]:
    """The dict of the unified loaders, which other packs read and make themselves."""
    return {
        "clipvision": {"file": encoder_file, "model": encoder},
        "ipadapter": {"file": adapter_file, "model": adapter},
        "insightface": {"provider": None, "model": analysis},
    }


def _adapter_of_another_pack(weights: Mapping[str, Any]) -> LoadedAdapter:
    """The raw weights that IPAdapter_plus's own loader gives."""
    name = "the adapter from another pack"
    try:
        return loaded_adapter(name, weights)
    except Predicate as error:
        raise error.about(name) from None
