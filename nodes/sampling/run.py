"""The state of one sampling: the prompts that fit its models, what is added at each layer, and the
tensors for that.

A `Run` lives from the sampler's start to its end.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from comfy.model_patcher import ModelPatcher
from comfy.samplers import CFGGuider

from .batch_rows import BatchRows
from .image_prompt import ImagePrompt
from .kept_tensors import CallTensors, KeptTensors, Latest, PartsByLayer
from .layout import ModelLayout


class FittingPrompts(NamedTuple):
    """The layout of a model and the prompts that were made for it."""

    layout: ModelLayout
    prompts: tuple[ImagePrompt, ...]
    is_compiled: bool  # already, in part or as a whole


ActiveRanges = tuple[int | None, ...]  # the number of each prompt's timestep range
PromptsByModel = dict[int, FittingPrompts | None]  # by id of model
KeptParts = Latest[tuple[ImagePrompt, ...], ActiveRanges, PartsByLayer]
KeptCallTensors = Latest[  # for prompts, roles and conditionings of a call
    tuple[tuple[ImagePrompt, ...], tuple[int, ...], tuple[int, ...]],
    tuple[ActiveRanges, BatchRows, float | None],
    CallTensors,
]


@dataclass(eq=False)
class Run(KeptTensors):
    """Everything kept for one sampling. An object, since the host copies dicts and lists on the
    way.
    """

    guider: CFGGuider | None = None
    loaded_model: ModelPatcher | None = None  # kept, since the host only refers to it weakly
    fitting_prompts: PromptsByModel = field(default_factory=PromptsByModel)
    parts: KeptParts = field(default_factory=KeptParts)
    call_tensors: KeptCallTensors = field(default_factory=KeptCallTensors)

    @property
    def is_empty(self) -> bool:
        """Whether the run holds nothing, as after `close`."""
        has_objects = self.guider is not None or self.loaded_model is not None
        return not has_objects and not any(map(len, self._stores()))

    def close(self) -> None:
        self.guider = self.loaded_model = None
        for store in self._stores():
            store.clear()

    def _stores(self) -> list[Latest[Any, Any, Any] | dict[Any, Any]]:
        return [value for value in vars(self).values() if isinstance(value, (Latest, dict))]
