"""What every old node has in common. They are the host's first kind of node class, since other packs call them from Python."""

from typing import Any, ClassVar

from comfy_api.latest import io


class OldNode:
    """Loads and runs saved graphs; the search does not offer it. `INSTEAD` says what to use in new ones."""

    NODE_ID: ClassVar[str]
    NAME: ClassVar[str]
    INSTEAD: ClassVar[str]
    CATEGORY: ClassVar[str] = "ipadapter/old graphs"
    DEPRECATED: ClassVar[bool] = True
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
    def VALIDATE_INPUTS(cls, **_: Any) -> bool | str:
        """Saved graphs have names of options that are gone: the node itself says what it cannot read."""
        return True
