"""Image prompts on a model: hung on a clone when the node runs, composed into the attention while sampling.

What hangs on a model is a tuple of immutable `ImagePrompt`s and three wrapper functions; what is needed
only while sampling lives in one `Run`, from the sampler's start to its end. The attention patches that other
packs placed are called as they are found at each step, so the order of nodes does not matter.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

from ...ipadapter_core.weights.blocks import Address
from ..sockets import ImageKeys
from .attention import Call, ComposedAttention, Part
from .image_prompt import KEY, ImagePrompt, Settings, add_prompts, prompts_for
from .layers import layers_of
from .unet_rows import batch_of, rows_of

RUN, BATCH, WATCH = "ipadapter_run", "ipadapter_batch", "ipadapter_watch"


def hang(model: Any, keys: ImageKeys, settings: Settings, attn_mask: Tensor | None = None) -> Any:
    """A clone of the model with the image prompt on it; the mask is a checked one.

    Also where it changes nothing (weight 0): a compiled model must not see keys of its options come and go.
    """
    return hang_all(model, prompts_for(model, keys, settings, attn_mask))


def hang_all(model: Any, prompts: list[ImagePrompt]) -> Any:
    model = model.clone()
    wrap(model)
    add_prompts(model, prompts)
    return model


def wrap(model: Any) -> None:
    """Our wrappers on a clone, once."""
    options = model.model_options["transformer_options"]
    if KEY not in options:
        options[KEY] = ()
        for kind, wrapper in WRAPPERS.items():
            add_wrapper_with_key(kind, KEY, wrapper, options)


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

    def latest(self, slot: tuple, key: Hashable, make: Any) -> Any:
        """As `once`, but a slot keeps one key only: what changes from step to step does not pile up."""
        known, value = self.cache.get(slot, (None, None))
        if known != (key,):
            value = make()
            self.cache[slot] = ((key,), value)
        return value

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
        if WATCH in options:
            options[WATCH].finish(run.cache)
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
    hung, run, batch, watch = (
        options.pop(KEY, ()),
        options.pop(RUN, None) or Run(),
        options.pop(BATCH, None),
        options.pop(WATCH, None),
    )
    prompts = _fitting(run, hung, executor.class_obj)
    watched = watch and watch.prompt_of(hung, sigma)
    rows, now = rows_of(batch, options, x), _now(prompts, sigma)
    ready = run.latest(("ready", *map(id, prompts), rows.roles, rows.indices), (now, rows), dict)
    call = Call(run, rows, watch if watched in prompts else None, watched, ready)
    replaced = options["patches_replace"] = dict(options.get("patches_replace") or {})
    found = replaced["attn2"] = dict(replaced.get("attn2") or {})
    parts = _parts(run, prompts, now)
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


def _now(prompts: tuple[ImagePrompt, ...], sigma: Tensor) -> tuple[int | None, ...]:
    """The piece of each prompt that holds now. Asks the device for sigma, once a call, only if needed."""
    if all(prompt.always for prompt in prompts):
        return (0,) * len(prompts)
    now = float(sigma[0])
    return tuple(prompt.piece_at(now) for prompt in prompts)


def _parts(
    run: Run, prompts: tuple[ImagePrompt, ...], now: tuple[int | None, ...]
) -> dict[Address, tuple[Part, ...]]:
    """Layer -> what is added there; an empty tuple where nothing is, at every layer of every prompt."""

    def make() -> dict[Address, tuple[Part, ...]]:
        parts: dict[Address, tuple[Part, ...]] = {}
        for prompt, piece in zip(prompts, now, strict=True):
            for layer, place in enumerate(prompt.keys.layers):
                weight = 0.0 if piece is None else prompt.pieces[piece].weights[layer]
                acts = (Part(prompt, layer, weight, piece),) if weight else ()
                parts[place] = parts.get(place, ()) + acts
        return parts

    return run.latest(("parts", *map(id, prompts)), now, make)
