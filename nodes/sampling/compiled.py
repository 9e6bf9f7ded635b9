"""Image parts in compiled models: one operator that looks up what to add when it runs.

The operator is opaque to the compiler. So a graph holds no key, value, weight or mask, and nothing
of an adapter that changes makes another graph necessary. Two things keep the right graph in use
although the host's TorchCompileModel drops all guards on transformer_options:

- a compiled model is called with one more argument, `MARKER`, that names the wrapped layers and
  the patches of other packs around them; arguments are guarded;
- where single blocks are compiled, that argument does not reach them. There the text, or what the
  layout marks, reaches them as a Parameter, since the type of a tensor is guarded, and the layer is
  told to the operator when it runs, since blocks of equal shapes share a graph.

A model that takes no argument of that kind gets its pooled text as a Parameter instead. The names
of layers and patches are a variable of this module then, which is guarded where traced code asks
for it.
"""

import itertools
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import Enum, auto
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from comfy.patcher_extension import WrappersMP

from ...ipadapter_core.weights.blocks import Address
from .kept_tensors import Placement
from .model_call import LayerSite

MARKER = "ipadapter_layers"  # the argument of a compiled model
HOST_COMPILE_KEY = "torch.compile"  # of the host's wrapper that puts compiled modules into a model
BLOCK_MARKING = "ipadapter_block_marking"  # of the options: options -> those for compiled blocks
COMPILED_MODULE = "_orig_mod"  # the name of a module within its compiled one
# One operator for each copy of the pack; the same after a restart, for caches of compiled code.
NAMESPACE = f"ipadapter_{zlib.crc32(__name__.encode()):08x}"
SCHEMA = (
    "(Tensor text, Tensor query, str kind, int[] place, int heads, ScalarType? precision,"
    " SymInt[] sizes) -> Tensor"
)
OVERRIDE = "optimized_attention_override"  # of the options: the attention of another pack
POOLED_TEXT = "y"  # the host's name of that argument
Options = dict[str, Any]  # the host's model_options, transformer_options, or what they keep within
LayerAddition = Callable[[Tensor, Tensor, LayerSite], Tensor]
Operator = Callable[..., Tensor]


class Marking(Enum):
    """By what a compiled model is told that there are image parts in its layers."""

    ARGUMENT = auto()
    POOLED_TEXT = auto()


class MarkedCall(NamedTuple):
    """Options and arguments of one call of a model. is_marked: unless it is compiled in whole or in
    part and nothing tells it of image parts.
    """

    options: Options
    arguments: dict[str, object]
    is_marked: bool


class _CurrentCall(threading.local):
    """The addition of the operator in this thread, set for the time of one model call."""

    addition: LayerAddition | None = None
    options: Mapping[str, Any] | None = None  # the host's, where single blocks are compiled


class _TracedCall:
    """The structure that a graph depends on, of the call that was marked last. Not by
    thread, which a compiler could not guard; threads of one sampling set the same.
    """

    structure = ""


_current = _CurrentCall()
_traced = _TracedCall()
_serial_numbers: "WeakKeyDictionary[Any, int]" = WeakKeyDictionary()
_next_serial_number = itertools.count()


def _run_operator(
    text: Tensor,
    query: Tensor,
    kind: str,
    place: Sequence[int],
    heads: int,
    precision: torch.dtype | None,
    sizes: Sequence[int],
) -> Tensor:
    """The text's output with the image parts of the call that runs now, always in new memory.

    kind, place: the layer's address; sizes: of its grid and of the latent, and the text length.
    """
    text = text.clone()
    if _current.addition is None:
        return text
    number, index = place
    if _current.options is not None:
        (kind, number), index = _current.options["block"], _current.options["block_index"]
    site = LayerSite(
        address=(kind, number, index),
        heads=heads,
        precision=precision,
        grid=tuple(sizes[:2]),
        latent_size=tuple(sizes[2:4]),
        text_length=sizes[4],
    )
    return _current.addition(text, query, site)


def _like_text(text: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(text)


def make_operator(library: Any) -> Operator | None:
    """The operator, or None where this torch cannot have it."""
    if not hasattr(library, "custom_op"):  # before torch 2.4
        return None
    # A CUDA graph would replay pointers to the keys and values of an earlier image.
    tag = getattr(torch.Tag, "cudagraph_unsafe", None)
    definition = library.custom_op(
        f"{NAMESPACE}::add_image_parts",
        mutates_args=(),
        schema=SCHEMA,
        **({"tags": (tag,)} if tag is not None else {}),
    )(_run_operator)
    definition.register_fake(_like_text)
    return getattr(torch.ops, NAMESPACE).add_image_parts.default


OPERATOR = make_operator(getattr(torch, "library", None))


def add_in_graph(text: Tensor, query: Tensor, site: LayerSite) -> Tensor:
    """The operator's call, as a compiler traces it."""
    assert OPERATOR is not None
    kind, *place = site.address
    sizes = [*site.grid, *site.latent_size, site.text_length]
    return OPERATOR(text, query, kind, place, site.heads, site.precision, sizes)


class current_addition:
    """A context in which the operator adds the image parts of one model call; may be nested."""

    def __init__(self, addition: LayerAddition | None):
        self._addition = addition

    def __enter__(self) -> None:
        self._outer = _current.addition, _current.options
        _current.addition, _current.options = self._addition, None

    def __exit__(self, *_: object) -> None:
        _current.addition, _current.options = self._outer


def uncompiled(is_needed: bool) -> AbstractContextManager[object]:
    """A context in which compiled models run as they were before: their graphs hold nothing that
    could tell that there are image parts now.
    """
    if not is_needed:
        return nullcontext()
    if not hasattr(torch.compiler, "set_stance"):  # before torch 2.6
        raise ValueError(
            "The model is compiled, which needs torch 2.6 or newer for an adapter on this kind "
            "of model: remove TorchCompileModel, or update torch."
        )
    return cast("AbstractContextManager[object]", torch.compiler.set_stance("force_eager"))


def named_modules(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The parts of a model by the names that they have, compiled ones included."""
    return dict(cast("Iterator[tuple[str, torch.nn.Module]]", model.named_modules()))


def plain_modules(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The parts of a model by the names that they have where nothing is compiled: torch.compile
    puts a module in front of the model, or of a block.
    """
    return {plain_name(name): module for name, module in named_modules(model).items()}


def plain_name(name: str) -> str:
    return name.replace(f"{COMPILED_MODULE}.", "")


def has_compiled_module(diffusion_model: torch.nn.Module) -> bool:
    """Whether the model or a part of it is compiled already: the host's wrapper does it later."""
    return any(
        COMPILED_MODULE in name.split(".") or getattr(module, "_compiled_call_impl", None)
        for name, module in named_modules(diffusion_model).items()
    )


def is_compiled_by_host(options: Mapping[str, Any]) -> bool:
    wrappers = options.get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {})
    return bool(wrappers.get(HOST_COMPILE_KEY))


def marker_for(options: Mapping[str, Any], layers: Sequence[Address]) -> str:
    """The structure of the call that a graph depends on and that the host does not guard."""
    patches = options.get("patches", {})
    replacements = options.get("patches_replace", {})
    structure = [
        sorted(map(str, layers)),
        [(kind, [_identity(patch) for patch in patches[kind]]) for kind in sorted(patches)],
        [
            (kind, sorted((str(place), _identity(patch)) for place, patch in by_place.items()))
            for kind, by_place in sorted(replacements.items())
        ],
        _identity(options.get(OVERRIDE)),
    ]
    return f"{zlib.crc32(repr(structure).encode()):08x}"


def _identity(patch: Any) -> str:
    """A name for a patch that no other patch gets, also not after its end."""
    if (owner := getattr(patch, "__self__", None)) is not None:  # a new object at every look
        return f"{_identity(owner)}.{getattr(patch, '__name__', '')}"
    try:
        if patch not in _serial_numbers:
            _serial_numbers[patch] = next(_next_serial_number)
        return str(_serial_numbers[patch])
    except TypeError:  # can be neither weakly referenced nor hashed
        return f"{type(patch).__qualname__} {id(patch)}"


def mark_call(
    marking: Marking | None,
    options: Options,
    arguments: dict[str, object],
    layers: Sequence[Address],
    placement: Placement,
) -> MarkedCall:
    """A call of a compiled model whose guards know of the wrapped layers, if that can be; a call of
    another model, without a marking, as it is.

    placement: in which the model takes its arguments; others the host would make anew.
    """
    if marking is None:
        return MarkedCall(options, arguments, is_marked=True)
    if marking is Marking.ARGUMENT:
        marked_arguments = {**arguments, MARKER: marker_for(options, layers)}
        return MarkedCall(add_block_marking(options), marked_arguments, is_marked=True)
    text = arguments.get(POOLED_TEXT)
    if not isinstance(text, Tensor):
        return MarkedCall(options, arguments, is_marked=False)
    _traced.structure = marker_for(options, layers)
    marked_arguments = {**arguments, POOLED_TEXT: marked(text.to(*placement))}
    return MarkedCall(options, marked_arguments, is_marked=True)


def ask_for_structure() -> bool:
    """In traced code of a call that its pooled text marks: makes a guard for the structure."""
    return _traced.structure != ""


def add_block_marking(options: Options) -> Options:
    """The options of one call with `mark_blocks` around the diffusion model."""
    wrappers = dict(options.get("wrappers", {}))
    by_key = dict(wrappers.get(WrappersMP.DIFFUSION_MODEL, {}))
    wrappers[WrappersMP.DIFFUSION_MODEL] = {**by_key, MARKER: [mark_blocks]}
    return {**options, "wrappers": wrappers}


def mark_blocks(executor: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """DIFFUSION_MODEL: where the model itself is not compiled, its compiled blocks get their marks.

    Where it is, a compiler traces this; only an argument whose value is asked for is guarded.
    """
    has_marker = kwargs.pop(MARKER, "") != ""
    if torch.compiler.is_compiling() or not has_marker:
        return executor(*args, **kwargs)
    x, timesteps, context, *rest = args
    options = next(cast(Options, value) for value in rest if isinstance(value, dict))
    if BLOCK_MARKING in options:
        rest = [options[BLOCK_MARKING](options) if value is options else value for value in rest]
        return executor(x, timesteps, context, *rest, **kwargs)
    _current.options = options
    if isinstance(context, Tensor):
        context = marked(context)
    return executor(x, timesteps, context, *rest, **kwargs)


def marked(tensor: Tensor) -> Tensor:
    """The same tensor as a Parameter: a compiler guards the type."""
    return torch.nn.Parameter(tensor, requires_grad=False)
