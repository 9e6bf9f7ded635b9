"""What travels between the nodes: one structure for each socket."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ..ipadapter_core.adapter.checkpoint import AdapterSpec
from ..ipadapter_core.attention.keys import FrameTokens, KeysValues
from ..ipadapter_core.references.embeds import References
from ..ipadapter_core.weights.weight_map import WeightMap

IPAdapterSocket = io.Custom("IPADAPTER")
EmbedsSocket = io.Custom("IPADAPTER_EMBEDS")  # References
WeightMapSocket = io.Custom("IPADAPTER_WEIGHTS")  # WeightMap
RegionSocket = io.Custom("IPADAPTER_REGION")
WatchSocket = io.Custom("IPADAPTER_WATCH")
ABSENT = (
    object()
)  # for `validate_inputs`: not connected; a connected one is None until the graph runs

# For a schema: what the node shows stays when the page is loaded again or its result comes from the cache.
KEEPS_SHOWING: dict[str, Any] = (
    {"has_intermediate_output": True}
    if "has_intermediate_output" in inspect.signature(io.Schema).parameters
    else {}  # older hosts
)


@dataclass(frozen=True, eq=False)
class LoadedAdapter:
    """An adapter file, open. `patcher` is how the host's memory management and cache know its weights."""

    name: str
    spec: AdapterSpec
    patcher: ModelPatcher


@dataclass(frozen=True, eq=False)
class ImageKeys:
    """Keys and values of one or several references for every layer of a model."""

    name: str
    layers: tuple[tuple[str, int, int], ...]
    values: KeysValues | FrameTokens
    patcher: ModelPatcher | None = None  # the adapter, where it is needed while sampling


def require_adapter(value: Any) -> LoadedAdapter:
    """The adapter on an IPADAPTER link, also as old unified loaders put it there. Raises ValueError for another pack's."""
    if isinstance(value, Mapping) and isinstance(value.get("ipadapter"), Mapping):
        value = value["ipadapter"].get("model")
    return require_type(value, LoadedAdapter, "ipadapter", "Load IPAdapter")


def require_embeds(value: Any, name: str) -> References:
    return require_type(value, References, name, "Encode IPAdapter Reference")


def require_weight_map(value: Any, name: str = "weight_map") -> WeightMap | None:
    """The map on a link, or None where there is none."""
    return None if value is None else require_type(value, WeightMap, name, "IPAdapter Weight Map")


def option_problem(value: Any, options: Sequence[str], node: str, name: str) -> str | None:
    """The sentence for a list's value that is none of it: the host leaves that to a node that looks at it."""
    if value is None or value in options:
        return None
    return f"{node}'s '{name}' is '{value}': choose one of {', '.join(options)}."


def require_type(value: Any, kind: type, name: str, node: str) -> Any:
    if isinstance(value, kind):
        return value
    raise ValueError(
        f"The '{name}' input needs the output of this pack's '{node}' node; it got a "
        f"{type(value).__module__.split('.')[-1]}.{type(value).__qualname__} made by another "
        "pack."
    )
