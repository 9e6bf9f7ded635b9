"""Image prompts on a model: hung on a clone when the node runs, composed into the attention while sampling.

What hangs on a model is a tuple of immutable `ImagePrompt`s and three wrapper functions; what is needed
only while sampling lives in one `Run`, from the sampler's start to its end. The attention patches that other
packs placed are called as they are found at each step, so the order of nodes does not matter.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

from ..ipadapter_core.blocks import Address
from .attention import Call, ComposedAttention, Part
from .keys import layers_of
from .rows import batch_of, rows_of
from .sockets import ImageKeys

KEY, RUN, BATCH = "ipadapter", "ipadapter_run", "ipadapter_batch"
ALWAYS = 999999999.0  # the host's percent_to_sigma gives a little more for 0
log = logging.getLogger("ipadapter")


@dataclass(frozen=True, eq=False)
class ImagePrompt:
    """One Apply IPAdapter: what it adds where, how strongly, and from which to which sigma."""

    keys: ImageKeys
    weights: tuple[float, ...]  # one per layer
    start: float  # sigma, the larger one
    end: float
    mask: Tensor | None  # [M, H, W]

    def __deepcopy__(self, memo: dict) -> "ImagePrompt":
        return self

    @property
    def always(self) -> bool:
        return self.start >= ALWAYS and self.end <= 0


def hang(
    model: Any,
    keys: ImageKeys,
    weight: float,
    start_at: float,
    end_at: float,
    attn_mask: Tensor | None = None,
) -> Any:
    """A clone of the model with the image prompt on it.

    Also where it changes nothing (weight 0): a compiled model must not see keys of its options come and go.
    """
    model = model.clone()
    if start_at > end_at:
        log.warning(
            "Apply IPAdapter's 'start_at' (%s) is after its 'end_at' (%s): the picture never acts.",
            start_at,
            end_at,
        )
    sampling = model.get_model_object("model_sampling")
    start, end = (float(sampling.percent_to_sigma(moment)) for moment in (start_at, end_at))
    weights = (float(weight),) * len(keys.layers)
    prompt = ImagePrompt(keys, weights, start, end, checked_mask(attn_mask))
    options = model.model_options["transformer_options"]
    if KEY not in options:
        for kind, wrapper in WRAPPERS.items():
            add_wrapper_with_key(kind, KEY, wrapper, options)
    options[KEY] = (*options.get(KEY, ()), prompt)
    return model


def checked_mask(mask: Tensor | None) -> Tensor | None:
    """Any MASK as [M, H, W]. Raises ValueError for what is no mask."""
    if mask is None:
        return None
    if mask.ndim < 2 or 0 in mask.shape:
        raise ValueError(
            f"Apply IPAdapter's 'attn_mask' must be masks of shape [batch, height, width], found {list(mask.shape)}: connect the MASK output of another node."
        )
    if not mask.isfinite().all():
        raise ValueError(
            "Apply IPAdapter's 'attn_mask' holds NaN or infinite values: repair the node it comes from."
        )
    return mask.reshape(-1, *mask.shape[-2:]).float()


@dataclass(eq=False)
class Run:
    """What one sampling keeps: its guider, and keys and masks where and as the layers need them.

    An object, since the host copies dicts and lists on the way. Filled by several threads at once under
    multi-GPU: an entry computed twice is the same entry.
    """

    guider: Any = None
    cache: dict = field(default_factory=dict)

    def once(self, key: tuple, make: Any) -> Any:
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]

    def close(self) -> None:
        self.guider = None
        self.cache.clear()


def scope(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """OUTER_SAMPLE: what lives for one sampling, and ends with it however it ends."""
    options = executor.class_obj.model_options["transformer_options"]
    if RUN in options:
        return executor(*args, **kwargs)
    run = options[RUN] = Run(executor.class_obj)
    try:
        return executor(*args, **kwargs)
    finally:
        run.close()


def note_rows(
    executor: Any,
    model: Any,
    conds: Any,
    x: Tensor,
    timestep: Tensor,
    model_options: dict,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """CALC_COND_BATCH: which rows are positive, and which part of the picture each of them is."""
    options = dict(model_options["transformer_options"])
    run = options.get(RUN)
    options[BATCH] = batch_of(getattr(run, "guider", None), conds, x)
    options = {**model_options, "transformer_options": options}
    return executor(model, conds, x, timestep, options, *args, **kwargs)


def compose(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """APPLY_MODEL: wraps whatever cross-attention the model has at this call.

    Every layer is wrapped at every step, active or not: a compiled model must always see the same keys.
    """
    arguments = list(args)
    x, sigma, options = arguments[0], arguments[1], dict(arguments[5])
    hung, run, batch = (
        options.pop(KEY, ()),
        options.pop(RUN, None) or Run(),
        options.pop(BATCH, None),
    )
    prompts = _fitting(run, hung, executor.class_obj)
    call = Call(run, rows_of(batch, options, x))
    replaced = options["patches_replace"] = dict(options.get("patches_replace") or {})
    found = replaced["attn2"] = dict(replaced.get("attn2") or {})
    parts = _parts(run, prompts, _active(prompts, sigma))
    previous = {place: found.get(place) or found.get(place[:2]) for place in parts}
    found.update(dict.fromkeys(parts, ComposedAttention(previous, parts, call)))
    arguments[5] = options
    return executor(*arguments, **kwargs)


WRAPPERS = {
    WrappersMP.OUTER_SAMPLE: scope,
    WrappersMP.CALC_COND_BATCH: note_rows,
    WrappersMP.APPLY_MODEL: compose,
}


def _fitting(run: Run, prompts: tuple[ImagePrompt, ...], model: Any) -> tuple[ImagePrompt, ...]:
    """The prompts made for this UNet: a guider can hand one model's options to another one."""
    return run.once(("fitting", id(model)), lambda: tuple(_made_for(prompts, model)))


def _made_for(prompts: tuple[ImagePrompt, ...], model: Any) -> Iterator[ImagePrompt]:
    layers = layers_of(model.diffusion_model)
    widths = {place: inner for place, (inner, _) in layers.items()}
    for prompt in prompts:
        wanted = dict(zip(prompt.keys.layers, prompt.keys.values.widths, strict=True))
        if wanted == widths:
            yield prompt


def _active(prompts: tuple[ImagePrompt, ...], sigma: Tensor) -> tuple[ImagePrompt, ...]:
    """Those whose window is open. Asks the device for sigma, once a call, only if there is a window."""
    if all(prompt.always for prompt in prompts):
        return prompts
    now = float(sigma[0])
    return tuple(prompt for prompt in prompts if prompt.end <= now <= prompt.start)


def _parts(
    run: Run, prompts: tuple[ImagePrompt, ...], active: tuple[ImagePrompt, ...]
) -> dict[Address, tuple[Part, ...]]:
    """Layer -> what is added there; an empty tuple where nothing is, at every layer of every prompt."""

    def make() -> dict[Address, tuple[Part, ...]]:
        parts: dict[Address, tuple[Part, ...]] = {}
        for prompt in prompts:
            for layer, (place, weight) in enumerate(
                zip(prompt.keys.layers, prompt.weights, strict=True)
            ):
                acts = weight != 0 and prompt in active
                parts[place] = parts.get(place, ()) + (
                    (Part(prompt, layer, weight),) if acts else ()
                )
        return parts

    return run.once(("parts", *map(id, prompts), None, *map(id, active)), make)
