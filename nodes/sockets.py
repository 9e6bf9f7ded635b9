"""What travels between the nodes: one structure for each socket."""

import inspect
from dataclasses import dataclass
from typing import Any

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ..ipadapter_core.adapter import KeysValues
from ..ipadapter_core.checkpoint import AdapterSpec

IPAdapterSocket = io.Custom("IPADAPTER")

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
    values: KeysValues


def adapter_of(value: Any) -> LoadedAdapter:
    """The adapter on an IPADAPTER link. Raises ValueError for what another pack put there."""
    if isinstance(value, LoadedAdapter):
        return value
    raise ValueError(
        f"The 'ipadapter' input needs the output of this pack's 'Load IPAdapter' node; it got a {type(value).__module__.split('.')[-1]}.{type(value).__qualname__} made by another pack."
    )
