"""What travels on an IPADAPTER link in old graphs: an adapter, or a dict with adapter and encoder; whoever made it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from ....ipadapter_core.messages import Predicate
from ...files.load import AUTO, LoadCLIPVision, loaded_adapter
from ...references.pair import needs_encoded_zeros
from ...sockets import LoadedAdapter
from .encoder_views import from_embeds, is_stack, nothing_of
from .faceid_presets import FaceID


class Loaded(NamedTuple):
    """An adapter and the encoder beside it, if there is one."""

    adapter: LoadedAdapter
    encoder: Any = None

    def clip_vision(self, connected: Any) -> Any:
        """The encoder connected to the node, else the one of the link, else the installed one that fits."""
        if connected is not None:
            return connected
        if self.encoder is not None:
            return self.encoder
        return LoadCLIPVision.execute(AUTO, self.adapter).args[0]


def opened(value: Any, node: str) -> Loaded:
    """What an IPADAPTER link holds. Raises ValueError for what is none, and for a FaceID adapter."""
    if isinstance(value, LoadedAdapter):
        return Loaded(value)
    if isinstance(value, FaceID):
        raise ValueError(value.refusal(node))
    if isinstance(value, Mapping):
        if "ipadapter" in value:
            encoder = (value.get("clipvision") or {}).get("model")
            model = (value["ipadapter"] or {}).get("model")
            if model is not None:
                return Loaded(opened(model, node).adapter, encoder)
        elif "ip_adapter" in value:
            return Loaded(_of_another_pack(value))
    raise ValueError(
        f"{node}'s 'ipadapter' holds no adapter: connect the output of IPAdapter Unified Loader, IPAdapter Model Loader or Load IPAdapter."
    )


def both_of(
    loaded: Loaded, given: Mapping[str, Any], clip_vision: Any, node: str, paper: bool
) -> tuple[Tensor, Tensor | None]:
    """Both sides from EMBEDS links, input name -> tensor: the positive one, and the negative one where there is one.

    Without a negative one: what is stacked behind the positive one, else nothing.
    """
    (name, embeds), *others = given.items()
    adapter = loaded.adapter
    seen = from_embeds(embeds, adapter, name, node)
    for other, unseen in others:
        if unseen is not None:
            return seen, from_embeds(unseen, adapter, other, node)
    if is_stack(embeds):
        return seen, from_embeds(embeds[1], adapter, name, node)
    if not needs_encoded_zeros(adapter):
        return seen, None
    return seen, nothing_of(loaded.clip_vision(clip_vision), adapter, paper)


def pipe(adapter: Any, adapter_file: str, encoder: Any, encoder_file: str) -> dict[str, Any]:
    """What the unified loaders put on a link, in the form that other packs read and make themselves."""
    return {
        "clipvision": {"file": encoder_file, "model": encoder},
        "ipadapter": {"file": adapter_file, "model": adapter},
        "insightface": {"provider": None, "model": None},
    }


def _of_another_pack(weights: Mapping[str, Any]) -> LoadedAdapter:
    """The raw weights that IPAdapter_plus's own loader gives."""
    name = "the adapter from another pack"
    try:
        return loaded_adapter(name, weights)
    except Predicate as error:
        raise error.about(name) from None
