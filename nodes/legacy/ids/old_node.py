"""What every old node has in common. `node_table.py` makes a class for each id out of the classes
here and beside.

They are the host's first kind of node class, since other packs call them from Python.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from comfy_api.latest import io

from .input_specs import Spec, spec_of
from .weight_types import LINEAR, MEAN_PENALTY, RENAMED_TYPES

Inputs = Mapping[str, Any]
# input -> option of an older release -> inputs that say the same in the last one
RENAMED_OPTIONS: dict[str, dict[str, dict[str, str]]] = {
    "weight_type": {
        **{name: {"weight_type": renamed} for name, renamed in RENAMED_TYPES.items()},
        "channel penalty": {"weight_type": LINEAR, "embeds_scaling": MEAN_PENALTY},
        "style transfer (SDXL only)": {"weight_type": "style transfer"},
    }
}


class OldNode:
    """Loads and runs saved graphs; the search does not offer it. `INSTEAD`: for new graphs."""

    NODE_ID: ClassVar[str]
    NAME: ClassVar[str]
    INSTEAD: ClassVar[str]
    REQUIRED: ClassVar[Sequence[str]] = ()  # inputs, in order, as `name` or `name=spec`
    OPTIONAL: ClassVar[Sequence[str]] = ()
    POSITIONAL: ClassVar[str] = ""  # inputs in the order of IPAdapter_plus's own method
    BY_FRAME: ClassVar[bool] = False  # whether each picture of a batch has a reference of its own
    CATEGORY: ClassVar[str] = "ipadapter/old graphs"
    DEPRECATED: ClassVar[bool] = True
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MODEL",)
    FUNCTION: ClassVar[str] = "apply_ipadapter"
    DESCRIPTION: ClassVar[str] = ""

    @classmethod
    def node(
        cls,
        node_id: str,
        name: str,
        instead: str,
        inputs: str,
        outputs: str = "MODEL",
        by_frame: bool = False,
    ) -> type["OldNode"]:
        """The class of one id.

        inputs: `required ... | optional ...`, each a name of `SPECS`, or `name=spec`;
        outputs: types, or `name:TYPE` where the node has names for them.
        """
        required, _, optional = inputs.partition("|")
        facts: dict[str, Any] = {
            "NODE_ID": node_id,
            "NAME": name,
            "INSTEAD": instead,
            "DESCRIPTION": f"Of graphs made with IPAdapter_plus. In new ones: {instead}.",
            "REQUIRED": required.split(),
            "OPTIONAL": optional.split(),
            "RETURN_TYPES": tuple(output.split(":")[-1] for output in outputs.split()),
            "BY_FRAME": by_frame,
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
        """What the host asks of a node that an extension lists: its id and its name."""
        return io.Schema(node_id=cls.NODE_ID, display_name=cls.NAME, category=cls.CATEGORY)

    @classmethod
    def VALIDATE_INPUTS(cls, **_: Any) -> bool | str:
        """Saved graphs have options that are gone: the node itself says which it cannot read."""
        return True

    @classmethod
    def with_current_options(cls, inputs: Inputs) -> dict[str, Any]:
        """Typed inputs with renamed options under their names in the last release; others stay."""
        types = cls.INPUT_TYPES()
        specs = {**types["required"], **types.get("optional", {})}
        renamed = dict(inputs)
        for name, options in RENAMED_OPTIONS.items():
            replacement = options.get(str(inputs.get(name)))
            if replacement is None or name not in specs or inputs[name] in specs[name][0]:
                continue
            if replacement[name] in specs[name][0]:
                renamed |= {key: option for key, option in replacement.items() if key in specs}
        return renamed

    def by_name(self, positional: Sequence[Any], inputs: Inputs) -> dict[str, Any]:
        """All inputs of a call from Python by name; what is None counts as not connected."""
        all_inputs = {**dict(zip(self.POSITIONAL.split(), positional, strict=False)), **inputs}
        return {name: value for name, value in all_inputs.items() if value is not None}


def unknown_option(
    node_name: str, input_name: str, option: str, options: Iterable[str]
) -> ValueError:
    """The error for an option that no release had."""
    return ValueError(
        f"{node_name} has the unknown {input_name} '{option}': choose one of {', '.join(options)}."
    )


def _specs(inputs: Sequence[str]) -> dict[str, Spec]:
    pairs = [(name, spec or name) for name, _, spec in (entry.partition("=") for entry in inputs)]
    return {name: spec_of(spec) for name, spec in pairs}
