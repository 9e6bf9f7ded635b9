"""Image prompts on a model: put on a clone when the node runs, added to the attention while
sampling.

A model carries a tuple of immutable `ImagePrompt`s and three wrapper functions; whatever is needed
only while sampling lives in one `Run`, from the sampler's start to its end. The attention patches
that other packs placed are called as they are at each step, so the order of nodes does not matter.
"""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from comfy.model_base import BaseModel
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrapperExecutor, WrappersMP, add_wrapper_with_key
from comfy.samplers import CFGGuider

from ...ipadapter_core.weights.blocks import Address
from ..sockets import ImageKeys
from .adapter_lora import without_repeated_loras
from .batch_rows import Cond, CondBatch, read_batch_rows, read_cond_batch
from .compiled import (
    Marking,
    Options,
    current_addition,
    has_compiled_module,
    is_compiled_by_host,
    mark_call,
    uncompiled,
)
from .image_prompt import (
    OPTIONS_KEY,
    ImagePrompt,
    PromptSettings,
    attach_prompts,
    prompts_for,
    transformer_options,
)
from .kept_tensors import CallTensors, ImagePart, PartsByLayer, Placement
from .layers import find_layout, layers_at
from .layout import LayerWidths
from .model_call import ModelCall, WatchLike
from .run import FittingPrompts, Run

RUN_KEY, BATCH_KEY, WATCH_KEY = "ipadapter_run", "ipadapter_batch", "ipadapter_watch"


def add_image_prompt(
    model: ModelPatcher, keys: ImageKeys, settings: PromptSettings, mask: Tensor | None = None
) -> ModelPatcher:
    """A clone of the model with the image prompt on it. The mask is checked already.

    Also where it changes nothing (weight 0): a compiled model must not see keys of its options come
    and go.
    """
    return add_image_prompts(model, prompts_for(model, keys, settings, mask))


def add_image_prompts(model: ModelPatcher, prompts: list[ImagePrompt]) -> ModelPatcher:
    model = model.clone()
    add_wrappers(model)
    attach_prompts(model, prompts)
    return model


def add_wrappers(model: ModelPatcher) -> None:
    """Our wrappers on a clone, once."""
    options = transformer_options(model)
    if OPTIONS_KEY not in options:
        options[OPTIONS_KEY] = ()
        for kind, wrapper in WRAPPERS.items():
            add_wrapper_with_key(kind, OPTIONS_KEY, wrapper, options)


@dataclass(frozen=True)
class ApplyModelCall:
    """The host's call of a model's apply_model: x, sigma, c_concat, c_crossattn, control,
    transformer_options.
    """

    x: Tensor
    sigma: Tensor
    options: Options
    args: tuple[Any, ...]

    @classmethod
    def from_args(cls, args: Sequence[Any]) -> "ApplyModelCall":
        x, sigma, _c_concat, _c_crossattn, _control, options, *_ = args
        return cls(x, sigma, options=options, args=tuple(args))

    def args_with(self, options: Options) -> tuple[Any, ...]:
        return (*self.args[:5], options, *self.args[6:])


def run_sampling(executor: WrapperExecutor, *args: Any, **kwargs: Any) -> Any:
    """OUTER_SAMPLE: a Run that ends with the sampling, however that ends."""
    guider = cast(CFGGuider, executor.class_obj)
    options = cast("dict[str, Options]", guider.model_options)["transformer_options"]
    if RUN_KEY in options:
        return executor(*args, **kwargs)
    run = options[RUN_KEY] = Run(guider=guider)
    try:
        return executor(*args, **kwargs)
    finally:
        watch: WatchLike | None = options.get(WATCH_KEY)
        if watch is not None:
            watch.finish(list(run.watch_totals.values()))
        run.close()


def load_weights(executor: WrapperExecutor, model: ModelPatcher, *args: Any, **kwargs: Any) -> Any:
    """PREPARE_SAMPLING: the host loads the model's weights, with each LoRA once."""
    loaded_model = without_repeated_loras(model)
    options = cast("dict[str, Options]", kwargs.get("model_options") or {})
    run: Run | None = options.get("transformer_options", {}).get(RUN_KEY)
    if run is not None:
        run.loaded_model = loaded_model
    return executor(loaded_model, *args, **kwargs)


def note_cond_batch(
    executor: WrapperExecutor,
    model: BaseModel,
    conds: Sequence[Sequence[Cond] | None],
    x: Tensor,
    timestep: Tensor,
    model_options: Options,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """CALC_COND_BATCH: which conditionings are positive, and which area of the image each is
    for.
    """
    options = dict(model_options["transformer_options"])
    run: Run | None = options.get(RUN_KEY)
    options[BATCH_KEY] = read_cond_batch(run and run.guider, conds, x)
    model_options = {**model_options, "transformer_options": options}
    return executor(model, conds, x, timestep, model_options, *args, **kwargs)


def add_to_attention(executor: WrapperExecutor, *args: Any, **kwargs: Any) -> Any:
    """APPLY_MODEL: adds the image parts to whatever attention the model has at this call.

    Every layer is wrapped at every step, active or not: a compiled model must see the same keys.
    """
    call = ApplyModelCall.from_args(args)
    options = dict(call.options)
    all_prompts: tuple[ImagePrompt, ...] = options.pop(OPTIONS_KEY, ())
    run: Run = options.pop(RUN_KEY, None) or Run()
    batch: CondBatch | None = options.pop(BATCH_KEY, None)
    watch: WatchLike | None = options.pop(WATCH_KEY, None)
    model = cast(BaseModel, executor.class_obj)
    fitting = _fitting_prompts(run, all_prompts, model)
    if fitting is None:
        return executor(*call.args_with(options), **kwargs)
    layout, prompts = fitting.layout, fitting.prompts
    active_ranges = _active_ranges(prompts, call.sigma)
    rows = read_batch_rows(batch, options, call.x)
    watched = watch.prompt_at(all_prompts, call.sigma) if watch else None
    parts = _parts_by_layer(run, prompts, active_ranges)
    marking = _marking(fitting, options, parts)
    timestep = _timestep(prompts, model, call.sigma)
    model_call = ModelCall(
        run,
        rows,
        (call.x.shape[-2], call.x.shape[-1]),
        watch=watch if watched in prompts else None,
        watched_prompt=watched,
        tensors=run.call_tensors.get(
            (prompts, rows.roles, rows.indices), (active_ranges, rows, timestep), CallTensors
        ),
        timestep=timestep,
        diffusion_model=model.diffusion_model,
        is_compiled=marking is not None,
    )
    placement = Placement(call.x.device, model.get_dtype_inference())
    marked = mark_call(marking, options, kwargs, list(parts), placement)
    options, addition = layout.add_to_call(marked.options, parts, model_call)
    with current_addition(addition), uncompiled(not marked.is_marked and any(parts.values())):
        return executor(*call.args_with(options), **marked.arguments)


WRAPPERS = {
    WrappersMP.OUTER_SAMPLE: run_sampling,
    WrappersMP.PREPARE_SAMPLING: load_weights,
    WrappersMP.CALC_COND_BATCH: note_cond_batch,
    WrappersMP.APPLY_MODEL: add_to_attention,
}


def _fitting_prompts(
    run: Run, prompts: tuple[ImagePrompt, ...], model: BaseModel
) -> FittingPrompts | None:
    """The prompts made for this model: a guider can hand one model's options to another one."""
    key = id(model)
    if key not in run.fitting_prompts:
        run.fitting_prompts[key] = _find_fitting_prompts(prompts, model)
    return run.fitting_prompts[key]


def _find_fitting_prompts(
    prompts: tuple[ImagePrompt, ...], model: BaseModel
) -> FittingPrompts | None:
    known_model = find_layout(model.diffusion_model)
    if known_model is None:
        return None
    fitting = tuple(prompt for prompt in prompts if _is_for(prompt, known_model.layers))
    return FittingPrompts(known_model.layout, fitting, has_compiled_module(model.diffusion_model))


def _active_ranges(prompts: tuple[ImagePrompt, ...], sigma: Tensor) -> tuple[int | None, ...]:
    """The timestep range of each prompt that holds now.

    Asks the device for sigma, once a call, only if needed.
    """
    if all(prompt.is_always_active for prompt in prompts):
        return (0,) * len(prompts)
    current_sigma = float(sigma[0])
    return tuple(prompt.range_at(current_sigma) for prompt in prompts)


def _marking(fitting: FittingPrompts, options: Options, parts: PartsByLayer) -> Marking | None:
    """How the call of a compiled model is marked; None for other models."""
    is_compiled = bool(parts) and (fitting.is_compiled or is_compiled_by_host(options))
    return fitting.layout.marking if is_compiled else None


def _timestep(prompts: tuple[ImagePrompt, ...], model: BaseModel, sigma: Tensor) -> float | None:
    """The timestep that the model gets, where keys depend on it: asks the device for it."""
    if not any(prompt.keys.depends_on_time for prompt in prompts):
        return None
    return float(cast(Any, model).model_sampling.timestep(sigma)[0])


def _parts_by_layer(
    run: Run, prompts: tuple[ImagePrompt, ...], active_ranges: tuple[int | None, ...]
) -> PartsByLayer:
    """The additions at every layer of every prompt; an empty tuple where nothing is added."""

    def make() -> PartsByLayer:
        parts: PartsByLayer = {}
        for prompt, range_number in zip(prompts, active_ranges, strict=True):
            for layer, address in enumerate(prompt.keys.layers):
                part = _image_part(prompt, layer, range_number)
                parts[address] = (*parts.get(address, ()), *part)
        return parts

    return run.parts.get(prompts, active_ranges, make)


def _image_part(prompt: ImagePrompt, layer: int, range_number: int | None) -> tuple[ImagePart, ...]:
    """One prompt's addition at one layer, if there is one now."""
    if range_number is None:
        return ()
    weight = prompt.ranges[range_number].layer_weights[layer]
    if not weight:
        return ()
    return (ImagePart(prompt=prompt, layer=layer, weight=weight, range_number=range_number),)


def _is_for(prompt: ImagePrompt, layers: Mapping[Address, LayerWidths]) -> bool:
    prompt_widths = dict(zip(prompt.keys.layers, prompt.keys.values.widths, strict=True))
    model_layers = layers_at(layers, prompt.keys.places)
    return prompt_widths == {address: widths.inner for address, widths in model_layers.items()}
