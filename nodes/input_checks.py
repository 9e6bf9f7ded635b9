"""The inputs of a node are checked once, before it runs, against its schema.

The host checks typed values and the types of links. It does not look at what comes over a link,
nor at NaN, and calls nodes of old graphs with anything. Each check hands on the value, as a plain
one where it is written otherwise but means the same, or raises one sentence.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import Any, NamedTuple, cast

from torch import Tensor

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ..ipadapter_core.messages import printable
from .pictures import described, require_images, require_masks
from .sockets import option_problem

LARGEST_NUMBER = 1e4  # of weights and the like, where the host's own range does not hold


class InputSpec(NamedTuple):
    """An input in a schema: a type of the host, and its options."""

    type: str
    options: Mapping[str, Any]
    may_be_none: bool = False  # not connected
    may_be_list: bool = False  # of numbers, one for each frame


Check = Callable[[object, InputSpec, str, str], object]


def check_new_node(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node, whose `execute` checks its inputs first."""
    execute_method: Any = vars(node)["execute"]
    run = execute_method.__func__
    signature = inspect.signature(run)
    # of `**widgets`, which hold inputs too
    parameters = signature.parameters.values()
    widgets_name = next((entry.name for entry in parameters if entry.kind is entry.VAR_KEYWORD), "")

    @functools.cache  # a schema lists the files of its folders
    def name_and_specs() -> tuple[str, dict[str, InputSpec]]:
        schema = node.define_schema()
        specs = {entry.id: new_spec(entry) for entry in schema.inputs}
        return schema.display_name or node.__name__, specs

    @functools.wraps(run)
    def execute(cls: type[io.ComfyNode], *args: Any, **kwargs: Any) -> Any:
        _, *values = signature.bind(cls, *args, **kwargs).arguments.items()
        inputs = dict(values)
        inputs |= inputs.pop(widgets_name, {})
        name, specs = name_and_specs()
        return run(cls, **check_inputs(inputs, specs, name))

    setattr(node, "execute", classmethod(execute))  # noqa: B010
    return node


def check_old_node(node: type[Any]) -> type[Any]:
    """An old node, whose function checks its inputs first."""
    run = inspect.unwrap(getattr(node, node.FUNCTION))

    @functools.cache  # the types list the files of their folders
    def specs() -> dict[str, InputSpec]:
        groups = node.INPUT_TYPES()
        entries = {**groups.get("required", {}), **groups.get("optional", {})}
        return {name: old_spec(entry) for name, entry in entries.items()}

    @functools.wraps(run)
    def function(self: object, *args: Any, **kwargs: Any) -> Any:
        positional = zip(node.POSITIONAL.split(), args, strict=False)
        checked = check_inputs(dict(positional), specs(), node.NAME).values()
        args = (*checked, *args[len(checked) :])
        return run(self, *args, **check_inputs(kwargs, specs(), node.NAME))

    setattr(node, node.FUNCTION, function)
    return node


def new_spec(entry: io.Input) -> InputSpec:
    options = cast("dict[str, Any]", entry.as_dict())
    is_link = "default" not in options
    template = getattr(getattr(entry, "template", None), "input", None)
    may_be_none = bool(entry.optional) and is_link
    return InputSpec(entry.get_io_type(), {**options, "template": template}, may_be_none)


def old_spec(entry: tuple[Any, Mapping[str, Any]]) -> InputSpec:
    """Of an old node's input; its numbers may be lists, with one for each frame."""
    socket, options = entry
    return InputSpec(
        type="COMBO" if isinstance(socket, list) else str(socket),
        options=options,
        may_be_none=True,
        may_be_list=True,
    )


def check_inputs(
    values: Mapping[str, object], specs: Mapping[str, InputSpec], node: str
) -> dict[str, object]:
    """The values after their checks; inputs of which the schema says nothing stay as they are."""
    return {
        name: check_input(value, specs[name], node, name) if name in specs else value
        for name, value in values.items()
    }


def check_input(value: object, spec: InputSpec, node: str, name: str) -> object:
    if value is None and spec.may_be_none:
        return None
    if spec.options.get("rawLink") and _is_link(value):
        return value  # for nodes that check what comes over it
    check = CHECKS.get(spec.type)
    return check(value, spec, node, name) if check else value


def _is_link(value: object) -> bool:
    """[node id, slot], as the host writes links."""
    parts = cast("list[object]", value) if isinstance(value, list) else []
    return [type(part) for part in parts] == [str, int]


def _check_number(value: object, spec: InputSpec, node: str, name: str) -> object:
    content: object = value
    if spec.may_be_list and isinstance(value, list) and value:
        values = cast("list[object]", value)
        return [_check_number(entry, spec, node, name) for entry in values]
    number = _finite(content)
    if number is None or abs(number) > LARGEST_NUMBER:
        raise _wrong_value(content, node, name, "a number", spec)
    return float(number)


def _check_whole_number(value: object, spec: InputSpec, node: str, name: str) -> object:
    """Within its range: what these say grows with them, or is looked up by them."""
    number, options = _finite(value), spec.options
    if number is None or number != int(number):
        raise _wrong_value(value, node, name, "a whole number", spec)
    if not options.get("min", number) <= number <= options.get("max", number):
        raise _wrong_value(value, node, name, "a whole number", spec)
    return int(number)


def _finite(value: object) -> int | float | None:
    """The number that a value is, numpy's included; None for anything else and for NaN."""
    if not isinstance(value, Real):
        return None
    number = cast("int | float", value)
    return number if isinstance(number, int) or isfinite(number) else None


def _check_text(value: object, spec: InputSpec, node: str, name: str) -> object:
    if not isinstance(value, str):
        raise _wrong_value(value, node, name, "a text")
    return value


def _check_switch(value: object, spec: InputSpec, node: str, name: str) -> object:
    if isinstance(value, Real) and value in (0, 1):
        return bool(value)
    raise _wrong_value(value, node, name, "true or false")


def _check_option(value: object, spec: InputSpec, node: str, name: str) -> object:
    """Of old nodes and lists of files the node itself says which options there are."""
    if not isinstance(value, str):
        raise _wrong_value(value, node, name, "one of the list")
    options = cast("list[str]", spec.options.get("options") or [])
    is_open = not options or name in FILE_INPUTS
    problem = None if is_open else option_problem(value, options, node, name)
    if problem:
        raise ValueError(problem)
    return value


def _check_images(value: object, spec: InputSpec, node: str, name: str) -> object:
    return require_images(value, node, name)


def _check_masks(value: object, spec: InputSpec, node: str, name: str) -> object:
    return require_masks(value, node, name)


def _check_model(value: object, spec: InputSpec, node: str, name: str) -> object:
    if not isinstance(value, ModelPatcher):
        raise wrong_link(value, node, name, "MODEL")
    return value


def _check_clip_vision_output(value: object, spec: InputSpec, node: str, name: str) -> object:
    if not (hasattr(value, "image_embeds") or hasattr(value, "penultimate_hidden_states")):
        raise wrong_link(value, node, name, "CLIP_VISION_OUTPUT")
    return value


def _having(*attributes: str) -> Check:
    """The check of an object of the host, which other packs replace with their own."""

    def check(value: object, spec: InputSpec, node: str, name: str) -> object:
        if not all(hasattr(value, attribute) for attribute in attributes):
            raise wrong_link(value, node, name, spec.type)
        return value

    return check


def _check_latent(value: object, spec: InputSpec, node: str, name: str) -> object:
    latent = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if not isinstance(latent.get("samples"), Tensor):
        raise wrong_link(cast("object", value), node, name, "LATENT")
    return latent


def _check_insightface(value: object, spec: InputSpec, node: str, name: str) -> object:
    has_get = callable(getattr(value, "get", None))
    if has_get and not isinstance(value, Mapping):  # which has one too
        return value
    raise wrong_link(cast("object", value), node, name, "INSIGHTFACE")


def _check_landmarks(value: object, spec: InputSpec, node: str, name: str) -> object:
    landmarks = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if not isinstance(landmarks.get("frames"), list):
        raise wrong_link(cast("object", value), node, name, "FACE_LANDMARKS")
    return landmarks


def _check_conditioning(value: object, spec: InputSpec, node: str, name: str) -> object:
    """Pairs of a text and a dictionary; the host itself makes lists of them."""
    entries = cast("list[object]", value) if isinstance(value, list) else [None]
    for entry in entries:
        pair = cast("Sequence[object]", entry) if isinstance(entry, list | tuple) else ()
        if len(pair) != 2 or not isinstance(pair[1], dict):
            raise wrong_link(cast("object", value), node, name, "CONDITIONING")
    return entries


def _check_group(value: object, spec: InputSpec, node: str, name: str) -> object:
    """Inputs that grow with their links: each by the template that it was made from."""
    template = spec.options.get("template")
    if not isinstance(value, Mapping):
        raise wrong_link(value, node, name, "the type that the input shows")
    if template is None:
        return cast("object", value)
    entry = new_spec(template)
    inputs = cast("Mapping[str, object]", value)
    return {
        key: None if link is None else check_input(link, entry, node, key)
        for key, link in inputs.items()
    }


def _wrong_value(
    value: object, node: str, name: str, expected: str, spec: InputSpec | None = None
) -> ValueError:
    options: Mapping[str, Any] = spec.options if spec else {}
    limits = f" from {options['min']} to {options['max']}" if {"min", "max"} <= {*options} else ""
    return ValueError(
        f"{node}'s '{name}' got {described(value)}: expected {expected}{limits}; type one, or "
        "connect a node that outputs one."
    )


def wrong_link(value: object, node: str, name: str, socket: str) -> ValueError:
    return ValueError(
        f"{node}'s '{name}' got {printable(described(value))}: connect an output of type {socket}."
    )


FILE_INPUTS = ("ipadapter_file", "clip_name", "file")
CHECKS: dict[str, Check] = {
    "FLOAT": _check_number,
    "INT": _check_whole_number,
    "STRING": _check_text,
    "BOOLEAN": _check_switch,
    "COMBO": _check_option,
    "IMAGE": _check_images,
    "MASK": _check_masks,
    "MODEL": _check_model,
    "CLIP_VISION": _having("encode_image", "patcher"),
    "CLIP_VISION_OUTPUT": _check_clip_vision_output,
    "CONDITIONING": _check_conditioning,
    "VAE": _having("decode", "first_stage_model"),
    "CLIP": _having("tokenize", "cond_stage_model"),
    "LATENT": _check_latent,
    "COMFY_AUTOGROW_V3": _check_group,
    "INSIGHTFACE": _check_insightface,
    "FACE_LANDMARKS": _check_landmarks,
}
