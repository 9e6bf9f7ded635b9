"""What every old node has in common. They are the host's first kind of node class, since other packs call them from Python."""

from collections.abc import Mapping
from typing import Any, ClassVar

from comfy_api.latest import io

from .weight_types import LINEAR, MEAN_PENALTY, RENAMED_TYPES

RENAMED: dict[
    str, dict[str, dict[str, str]]
] = {  # input -> old option -> inputs that say the same today
    "weight_type": {
        **{old: {"weight_type": new} for old, new in RENAMED_TYPES.items()},
        "channel penalty": {"weight_type": LINEAR, "embeds_scaling": MEAN_PENALTY},
        "style transfer (SDXL only)": {"weight_type": "style transfer"},
    }
}


class OldNode:
    """Loads and runs saved graphs; the search does not offer it. `INSTEAD` says what to use in new ones."""

    NODE_ID: ClassVar[str]
    NAME: ClassVar[str]
    INSTEAD: ClassVar[str]
    CATEGORY: ClassVar[str] = "ipadapter/old graphs"
    DEPRECATED: ClassVar[bool] = True
    BY_FRAME: ClassVar[bool] = False  # whether each picture of a batch has a reference of its own
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MODEL",)
    FUNCTION: ClassVar[str] = "apply_ipadapter"
    DESCRIPTION: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        cls.DESCRIPTION = f"Of graphs made with IPAdapter_plus. In new ones: {cls.INSTEAD}."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def GET_SCHEMA(cls) -> io.Schema:
        """What the host asks of a node that an extension lists: its id and its name."""
        return io.Schema(node_id=cls.NODE_ID, display_name=cls.NAME, category=cls.CATEGORY)

    @classmethod
    def with_current_options(cls, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Typed inputs with options that later releases renamed, under today's names; others stay."""
        types = cls.INPUT_TYPES()
        specs = {**types["required"], **types.get("optional", {})}
        made = dict(inputs)
        for name, renamed in RENAMED.items():
            new = renamed.get(str(inputs.get(name)))
            if new is None or name not in specs or inputs[name] in specs[name][0]:
                continue
            if new[name] in specs[name][0]:
                made.update({key: value for key, value in new.items() if key in specs})
        return made

    @classmethod
    def VALIDATE_INPUTS(cls, **_: Any) -> bool | str:
        """Saved graphs have names of options that are gone: the node itself says what it cannot read."""
        return True
