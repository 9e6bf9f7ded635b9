"""The positive and the negative side of a node: pictures, encoded pictures or embeds become references."""

from dataclasses import replace
from functools import cached_property
from typing import Any

from ...ipadapter_core.references.embeds import CONCAT, References
from ..files.load import AUTO, LoadCLIPVision
from ..sockets import LoadedAdapter, require_embeds
from .encode import box_editor_picture, encode_reference, unconditional_output
from .pair import needs_encoded_zeros, references_for


class ReferenceEncoder:
    """The encoder of one run of the node, and what the node shows of its work."""

    def __init__(
        self,
        clip_vision: Any,
        adapter: LoadedAdapter,
        fit: str,
        node: str,
        box: str | None = None,
    ):
        self._given, self._adapter, self._fit, self._node = clip_vision, adapter, fit, node
        self._box = box  # of 'image'; None on nodes without that input
        self.shown: dict[str, Any] = {}

    @cached_property
    def clip_vision(self) -> Any:
        """The one connected, else the installed one that fits: pictures encoded elsewhere need it for the negative side."""
        if self._given is not None:
            return self._given
        return LoadCLIPVision.execute(AUTO, self._adapter).args[0]

    def encode_sides(
        self, positive: dict[str, Any], negative: dict[str, Any], combine: str = CONCAT
    ) -> tuple[References, References | None] | None:
        """What the adapter takes of both sides, input name -> value; None where there is no picture.

        Raises ValueError for inputs that do not make sense together.
        """
        there = [[k for k, one in side.items() if one is not None] for side in (positive, negative)]
        wrong = input_problem(there[0], there[1], self._given is not None, self._node)
        if wrong:
            raise ValueError(wrong)
        seen, unseen = (self._side(side) for side in (positive, negative))
        if seen is None:
            return None
        if unseen is None and needs_encoded_zeros(self._adapter):
            unseen = references_for(
                unconditional_output(self.clip_vision), self._adapter, "image_negative"
            )
        if "embeds" not in there[0]:  # embeds bring their own way
            seen = replace(seen, method=combine)
        return seen, unseen

    def _side(self, inputs: dict[str, Any]) -> References | None:
        for name, value in inputs.items():
            if value is None:
                continue
            if name.startswith("embeds"):
                value = require_embeds(value, name)
            elif name.startswith("image"):
                value = self._encoded(value, name)
            return None if value is None else references_for(value, self._adapter, name)
        return None

    def _encoded(self, image: Any, name: str) -> Any:
        box = self._box if name == "image" else None
        found = encode_reference(self.clip_vision, image, self._fit, name, self._node, box or "")
        if found is None:
            return None
        if box is not None:
            self.shown |= box_editor_picture(self.clip_vision, image)
        for key, values in found.shown.items():
            self.shown[key] = (*self.shown.get(key, ()), *values)
        return found.output


def input_problem(positive: list[str], negative: list[str], encoder: bool, node: str) -> str | None:
    """The sentence for connected inputs that do not make sense together, by their names."""
    if not positive:
        return f"{node} has no reference: connect 'image' (with 'clip_vision'), "
        "'clip_vision_output' from CLIP Vision Encode, or 'embeds'."
    if "image" in positive and not encoder:
        return f"{node} has an 'image' but no encoder for it: connect 'clip_vision' (Load CLIP "
        "Vision), or encode the picture with CLIP Vision Encode and connect "
        "'clip_vision_output' in its place."
    for side in (positive, negative):
        if len(side) > 1:
            return f"{node} has both '{side[0]}' and '{side[1]}', which stand for the same thing: "
            "disconnect one of them."
    return None
