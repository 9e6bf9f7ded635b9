"""The common base of all old nodes; `node_table.py` makes a class for each id.

They are the host's first kind of node class, since other packs call them from Python.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from comfy_api.latest import io

from .input_specs import Spec, spec_of
from .installed_files import find_adapter

InputValues = Mapping[str, Any]
FindFiles = Mapping[str, Callable[[str], str]]  # input -> the installed file that a name means


class OldNode:
    """Loads and runs saved graphs; the search does not offer it. `INSTEAD`: for new graphs."""

    NODE_ID: ClassVar[str]
    NAME: ClassVar[str]
    INSTEAD: ClassVar[str]
    PACK: ClassVar[str] = "IPAdapter_plus"  # that graphs with this node were made with
    FILES: ClassVar[FindFiles] = {"ipadapter_file": find_adapter, "model_name": find_adapter}
    REQUIRED: ClassVar[Sequence[str]] = ()  # inputs, in order, as `name` or `name=spec`
    OPTIONAL: ClassVar[Sequence[str]] = ()
    POSITIONAL: ClassVar[str] = ""  # IPAdapter_plus's own order of inputs, where it is another
    NEEDED: ClassVar[frozenset[str]] = frozenset()  # without a default in `compute`
    BY_FRAME: ClassVar[bool] = False  # whether each picture of a batch has a reference of its own
    VARIANT: ClassVar[Callable[..., InputValues]] = dict  # -> inputs of IPAdapter Advanced
    CATEGORY: ClassVar[str] = "ipadapter/old graphs"
    DEPRECATED: ClassVar[bool] = True
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MODEL",)
    FUNCTION: ClassVar[str] = "apply_ipadapter"
    DESCRIPTION: ClassVar[str] = ""
    compute: Callable[..., tuple[Any, ...]]  # the outputs, from inputs by name

    @classmethod
    def node(
        cls,
        node_id: str,
        name: str,
        instead: str,
        inputs: str,
        outputs: str = "MODEL",
        by_frame: bool = False,
        variant: Callable[..., InputValues] = dict,
    ) -> type["OldNode"]:
        """The class of one id, whose function calls `compute`.

        inputs: `required ... | optional ...`, each a name of `SPECS`, or `name=spec`;
        outputs: types, or `name:TYPE` where the node has names for them.
        """
        required, _, optional = inputs.partition("|")
        names = [entry.partition("=")[0] for entry in inputs.split() if entry != "|"]
        parameters = inspect.signature(cls.compute).parameters.values()
        facts: dict[str, Any] = {
            "NODE_ID": node_id,
            "NAME": name,
            "INSTEAD": instead,
            "DESCRIPTION": f"For graphs made with {cls.PACK}. In new graphs use: {instead}.",
            "REQUIRED": required.split(),
            "OPTIONAL": optional.split(),
            "RETURN_TYPES": tuple(output.split(":")[-1] for output in outputs.split()),
            "POSITIONAL": cls.POSITIONAL or " ".join(names),
            "NEEDED": frozenset(each.name for each in parameters if each.default is each.empty),
            "BY_FRAME": by_frame,
            "VARIANT": staticmethod(variant),
            cls.FUNCTION: _call,
            "__doc__": cls.__doc__,
            "__module__": cls.__module__,
        }
        if ":" in outputs:
            facts["RETURN_NAMES"] = tuple(output.split(":")[0] for output in outputs.split())
        return type(node_id, (cls,), facts)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Spec]]:
        groups = {"required": _specs(cls.REQUIRED), "optional": _specs(cls.OPTIONAL)}
        return {group: specs for group, specs in groups.items() if specs or group == "required"}

    @classmethod
    def GET_SCHEMA(cls) -> io.Schema:
        """The id and name that the host asks of a node that an extension lists."""
        return io.Schema(node_id=cls.NODE_ID, display_name=cls.NAME, category=cls.CATEGORY)

    @classmethod
    def VALIDATE_INPUTS(cls, **_: Any) -> bool | str:
        """Saved graphs have options that are gone: the node itself says which it cannot read."""
        return True


def _call(self: OldNode, *positional: Any, **inputs: Any) -> tuple[Any, ...]:
    """The function of every old node; None counts as not connected."""
    values = {**dict(zip(self.POSITIONAL.split(), positional, strict=False)), **inputs}
    not_connected = {name for name, value in values.items() if value is None} - self.NEEDED
    return self.compute(**{name: values[name] for name in values if name not in not_connected})


def unknown_option(node: str, input_name: str, option: str, options: Iterable[str]) -> ValueError:
    """The error for an option that no release had."""
    return ValueError(
        f"{node} has the unknown {input_name} '{option}': choose one of {', '.join(options)}."
    )


def _specs(inputs: Sequence[str]) -> dict[str, Spec]:
    pairs = [(name, spec or name) for name, _, spec in (entry.partition("=") for entry in inputs)]
    return {name: spec_of(spec) for name, spec in pairs}
