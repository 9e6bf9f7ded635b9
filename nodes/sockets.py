"""The values on links between the nodes: one structure for each socket."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ..ipadapter_core.adapter.checkpoint import AdapterSpec
from ..ipadapter_core.adapter.families import Place
from ..ipadapter_core.adapter.lora import LoraPair, LoraTarget
from ..ipadapter_core.attention.keys import FrameTokens, KeysValues
from ..ipadapter_core.attention.timed_keys import TimedKeys
from ..ipadapter_core.messages import printable
from ..ipadapter_core.references.embeds import References
from ..ipadapter_core.weights.weight_map import WeightMap

IPAdapterSocket = io.Custom("IPADAPTER")  # LoadedAdapter
EmbedsSocket = io.Custom("IPADAPTER_EMBEDS")  # References
WeightMapSocket = io.Custom("IPADAPTER_WEIGHTS")  # WeightMap
RegionSocket = io.Custom("IPADAPTER_REGION")  # a tuple of Regions
WatchSocket = io.Custom("IPADAPTER_WATCH")  # Watch
InsightFaceSocket = io.Custom("INSIGHTFACE")  # other packs'; has `get(bgr)`
T = TypeVar("T")

# For `validate_inputs`: not connected. A connected input is None until the graph runs.
ABSENT = object()

# For a schema: the node's display survives a reload of the page and results from the cache.
# Older hosts do not have it.
KEEPS_SHOWING: dict[str, Any] = (
    {"has_intermediate_output": True}
    if "has_intermediate_output" in inspect.signature(io.Schema).parameters
    else {}
)


@dataclass(frozen=True, eq=False)
class LoadedAdapter:
    """An open adapter file, whose weights the host manages and caches as `patcher`.

    lora: the one in the file, mapped, for the model's own attention.
    layers_by_task: factors for the blocks of its model, as in IPAdapter Weight Map's 'layers', for
    each task that the file's metadata names.
    is_guess: whether nothing told it from another kind of the same shapes.
    """

    name: str
    spec: AdapterSpec
    patcher: ModelPatcher
    lora: Mapping[LoraTarget, LoraPair] = field(default_factory=dict[LoraTarget, LoraPair])
    is_guess: bool = False
    layers_by_task: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, eq=False)
class ImageKeys:
    """Keys and values of one or several references for every layer of a model.

    places: where in the model these layers are; empty for all that it has.
    """

    name: str
    layers: tuple[tuple[str, int, int], ...]
    values: KeysValues | FrameTokens | TimedKeys
    patcher: ModelPatcher | None = None  # the adapter, where it is needed while sampling
    places: tuple[Place, ...] = ()

    @property
    def depends_on_time(self) -> bool:
        """Whether they are made anew for each timestep."""
        return isinstance(self.values, TimedKeys)


def require_adapter(value: object) -> LoadedAdapter:
    """The adapter on an IPADAPTER link, also as old unified loaders put it there.

    Raises ValueError for another pack's.
    """
    if isinstance(value, dict):
        pipeline = cast("dict[str, object]", value).get("ipadapter")
        if isinstance(pipeline, dict):
            value = cast("dict[str, object]", pipeline).get("model")
    adapter = cast("object", value)
    return require_type(adapter, LoadedAdapter, "ipadapter", "Load IPAdapter")


def require_embeds(value: object, input_name: str) -> References:
    return require_type(value, References, input_name, "Encode IPAdapter Reference")


def optional_weight_map(value: object, input_name: str = "weight_map") -> WeightMap | None:
    """The map on a link, or None where there is none."""
    if value is None:
        return None
    return require_type(value, WeightMap, input_name, "IPAdapter Weight Map")


def require_type(value: object, socket_type: type[T], input_name: str, source_node: str) -> T:
    """The value on a link, if it is this pack's. Raises ValueError for another pack's."""
    if isinstance(value, socket_type):
        return value
    module = type(value).__module__.split(".")[-1]
    raise ValueError(
        f"The '{input_name}' input needs the output of this pack's '{source_node}' node; "
        f"it got a {module}.{type(value).__qualname__} made by another pack."
    )


def option_problem(value: object, options: Sequence[str], node: str, input_name: str) -> str | None:
    """The sentence for a value that is not in a list; the host leaves it to nodes that validate."""
    if value is None or value in options:
        return None
    return (
        f"{node}'s '{input_name}' is '{printable(str(value))}': choose one of {', '.join(options)}."
    )
