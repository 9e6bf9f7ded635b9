"""One applied adapter on a model: an immutable ImagePrompt, with its settings as plain floats."""

# The host declares few types.
# pyright: reportUnknownMemberType=false

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from torch import Tensor

from comfy.model_patcher import ModelPatcher

from ...ipadapter_core.adapter.families import AFTER_BLOCK
from ...ipadapter_core.attention.scaling import V_ONLY, WIDTH_SCALINGS
from ...ipadapter_core.attention.timed_keys import TimedKeys
from ...ipadapter_core.weights.weight_map import STEPS, WeightMap, WeightSchedule, is_constant
from ..sockets import ImageKeys

OPTIONS_KEY = "ipadapter"  # of the prompts in a model's transformer_options, and of our wrappers
# What the host's percent_to_sigma gives for 0, at least: some model samplings give a little more.
BEFORE_FIRST_SIGMA = 999999999.0


class ModelSampling(Protocol):
    """The part of the host's model sampling that turns a moment into a noise level."""

    def percent_to_sigma(self, percent: float) -> float: ...


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """One Apply IPAdapter as the user set it, apart from images and masks."""

    weight: float = 1.0
    start_at: float = 0.0
    end_at: float = 1.0
    weight_map: WeightMap | None = None
    scaling: str = V_ONLY
    keep_prompt: float = 0.0
    frame_weights: tuple[float, ...] = ()  # one per frame; later frames use the last one
    old_masks: str = ""  # how an old node resizes masks; such a node also takes roles by position


@dataclass(frozen=True)
class TimestepRange:
    """One weight for each layer from one noise level down to another."""

    start_sigma: float
    end_sigma: float
    layer_weights: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ImagePrompt:
    """Keys and values of references, how strongly each layer follows them, when and where."""

    keys: ImageKeys
    ranges: tuple[TimestepRange, ...]  # where two meet, the later one holds
    mask: Tensor | None = None  # [M, H, W]
    settings: PromptSettings = field(default_factory=PromptSettings)
    on_negative: bool = False  # belongs to the negative conditioning

    def __deepcopy__(self, memo: dict[int, object]) -> "ImagePrompt":
        return self

    @property
    def is_always_active(self) -> bool:
        first_range = self.ranges[0]
        return (
            len(self.ranges) == 1
            and first_range.start_sigma >= BEFORE_FIRST_SIGMA
            and first_range.end_sigma <= 0
        )

    def range_at(self, sigma: float) -> int | None:
        """The number of the range that holds at a sigma, or None."""
        for number in range(len(self.ranges) - 1, -1, -1):
            if self.ranges[number].end_sigma <= sigma <= self.ranges[number].start_sigma:
                return number
        return None

    def times(self, factor: float) -> "ImagePrompt":
        """The same prompt with its weight multiplied."""
        ranges = tuple(
            replace(
                timestep_range,
                layer_weights=tuple(factor * weight for weight in timestep_range.layer_weights),
            )
            for timestep_range in self.ranges
        )
        settings = replace(self.settings, weight=self.settings.weight * factor)
        return replace(self, ranges=ranges, settings=settings)


def model_sampling(model: ModelPatcher) -> ModelSampling:
    return cast(ModelSampling, model.get_model_object("model_sampling"))


def transformer_options(model: ModelPatcher) -> dict[str, Any]:
    """The host's own dict, which a clone has for itself."""
    return cast("dict[str, dict[str, Any]]", model.model_options)["transformer_options"]


def prompts_for(
    model: ModelPatcher, keys: ImageKeys, settings: PromptSettings, mask: Tensor | None
) -> list[ImagePrompt]:
    """The prompts of one Apply IPAdapter: one on the positive side, and one on the negative side
    where the weight map has weights there. The mask is checked already."""
    _check_settings(keys, settings)
    sampling = model_sampling(model)
    positive_schedule, negative_schedule = _layer_schedules(keys, settings)
    ranges = _timestep_ranges(sampling, settings, positive_schedule)
    prompts = [ImagePrompt(keys=keys, ranges=ranges, mask=mask, settings=settings)]
    negative_ranges = _timestep_ranges(sampling, settings, negative_schedule)
    values = keys.values
    if any(any(timestep_range.layer_weights) for timestep_range in negative_ranges):
        if isinstance(values, TimedKeys):
            raise ValueError(
                f"The weight map has weights for the negative conditioning, which '{keys.name}' "
                "does not support: choose another 'take' in IPAdapter Weight Map."
            )
        negative_keys = replace(keys, values=values.as_negative())
        prompts.append(
            ImagePrompt(
                keys=negative_keys,
                ranges=negative_ranges,
                mask=mask,
                settings=settings,
                on_negative=True,
            )
        )
    return prompts


def _check_settings(keys: ImageKeys, settings: PromptSettings) -> None:
    """Raise ValueError for settings that the adapter does not support."""
    if settings.scaling != V_ONLY and keys.depends_on_time:
        raise ValueError(
            f"'scaling' is '{settings.scaling}', which '{keys.name}' does not support, since the "
            "generated image attends to the reference and to itself at once: choose 'V only'."
        )
    if keys.places and settings.scaling in WIDTH_SCALINGS:
        raise ValueError(
            f"'scaling' is '{settings.scaling}', which weakens narrow layers, but those of "
            f"'{keys.name}' are all of one width: choose 'V only' or 'K+V'."
        )
    if settings.keep_prompt and any(place == AFTER_BLOCK for _, place in keys.places):
        raise ValueError(
            f"'keep_prompt' is not supported with '{keys.name}', which is added between the "
            "blocks and not to the attention to the text: set it to 0."
        )


def attach_prompts(model: ModelPatcher, prompts: list[ImagePrompt]) -> None:
    """Append prompts to those on a clone."""
    options = transformer_options(model)
    all_prompts: tuple[ImagePrompt, ...] = (*options.get(OPTIONS_KEY, ()), *prompts)
    options[OPTIONS_KEY] = all_prompts
    # Adapters that project while sampling: the host loads and frees them beside the model.
    adapters = [prompt.keys.patcher for prompt in all_prompts if prompt.keys.patcher is not None]
    if adapters:
        model.set_additional_models(OPTIONS_KEY, list(dict.fromkeys(adapters)))


def _layer_schedules(
    keys: ImageKeys, settings: PromptSettings
) -> tuple[WeightSchedule, WeightSchedule]:
    """One weight per layer for every hundredth of the sampling, on the positive side and on the
    negative one; a single step where nothing changes over time."""
    weight_map, layer_count = settings.weight_map, len(keys.layers)
    if weight_map is None:
        return ((settings.weight,) * layer_count,), ((0.0,) * layer_count,)
    layer_blocks = {(kind, number) for kind, number, _ in keys.layers}
    other_blocks = layer_blocks.symmetric_difference(weight_map.blocks)
    if keys.places:  # the model has blocks that the adapter leaves alone
        other_blocks &= layer_blocks
    if other_blocks:
        raise ValueError(
            f"The weight map is for a model with {len(weight_map.blocks)} blocks, "
            f"this one has {len(layer_blocks)}: connect the same 'model' to "
            "IPAdapter Weight Map and Apply IPAdapter."
        )

    def weighted(schedule: WeightSchedule) -> WeightSchedule:
        weighted_steps = tuple(
            tuple(settings.weight * weight for weight in layer_weights)
            for layer_weights in weight_map.over_layers(keys.layers, schedule)
        )
        return weighted_steps[:1] if is_constant(weighted_steps) else weighted_steps

    return weighted(weight_map.positive), weighted(weight_map.negative)


def _timestep_ranges(
    sampling: ModelSampling, settings: PromptSettings, schedule: WeightSchedule
) -> tuple[TimestepRange, ...]:
    """Equal steps joined and cut to the settings' own range, in the order of sampling."""
    start, end = (
        float(sampling.percent_to_sigma(moment)) for moment in (settings.start_at, settings.end_at)
    )
    if settings.start_at <= 0:  # flow models give 1 for it
        start = max(start, BEFORE_FIRST_SIGMA)
    if len(schedule) == 1 or start < end:
        return (TimestepRange(start, end, schedule[0]),)
    first_steps = _steps_of_change(schedule)
    sigmas = [float(sampling.percent_to_sigma(step / STEPS)) for step in first_steps]
    ranges = [
        TimestepRange(min(first_sigma, start), max(last_sigma, end), schedule[step])
        for step, first_sigma, last_sigma in zip(
            first_steps, sigmas, [*sigmas[1:], 0.0], strict=True
        )
    ]
    active_ranges = [
        timestep_range
        for timestep_range in ranges
        if timestep_range.start_sigma >= timestep_range.end_sigma
    ]
    return tuple(active_ranges) or (TimestepRange(start, end, schedule[0]),)


def _steps_of_change(schedule: WeightSchedule) -> list[int]:
    """The first hundredth, and every one with other weights than the one before."""
    changes = [step for step in range(1, STEPS + 1) if schedule[step] != schedule[step - 1]]
    return [0, *changes]
