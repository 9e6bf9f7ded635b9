"""Face Tokens to ControlNet: what an InstantID adapter makes of a face, in place of the text that a
ControlNet reads.

As cubiq/ComfyUI_InstantID does: the host hands `cross_attn_controlnet` of a conditioning to the
ControlNets on it, and to nothing else.
"""

from typing import Any

from torch import Tensor

from comfy_api.latest import io

from ...ipadapter_core.references.embeds import References
from ...ipadapter_core.references.images import CROP
from ..references.side_inputs import ReferenceEncoder, SideInputs, negative_inputs
from ..sockets import (
    KEEPS_SHOWING,
    EmbedsSocket,
    IPAdapterSocket,
    LoadedAdapter,
    require_adapter,
)
from .keys import image_tokens

NODE = "Face Tokens to ControlNet"
CONTROLNET_TEXT = "cross_attn_controlnet"
Conditioning = list[tuple[Tensor | None, dict[str, Any]]]


class FaceTokensToControlNet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceTokensToControlNet",
            display_name=NODE,
            category="ipadapter/embeds",
            **KEEPS_SHOWING,
            search_aliases=["instantid", "identitynet", "instant id", "apply instantid"],
            description="For InstantID, whose ControlNet (IdentityNet) reads the tokens of the "
            "face instead of the text: adds these tokens to both conditionings. The model itself "
            "follows the face through Apply IPAdapter.",
            inputs=[
                IPAdapterSocket.Input(
                    "ipadapter", tooltip="An InstantID adapter, from Load IPAdapter."
                ),
                io.Conditioning.Input(
                    "positive", tooltip="The positive prompt, before or after Apply ControlNet."
                ),
                io.Conditioning.Input(
                    "negative",
                    tooltip="The negative prompt; its ControlNets get the tokens of an empty "
                    "identity, as in training.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="An image of the face, the same as in Apply IPAdapter.",
                ),
                EmbedsSocket.Input(
                    "embeds",
                    optional=True,
                    tooltip="The face already encoded, by Encode Face Identity, instead of "
                    "'image'.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    "positive", tooltip="The positive prompt, with the face for its ControlNets."
                ),
                io.Conditioning.Output(
                    "negative",
                    tooltip="The negative prompt, with an empty identity for its ControlNets.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        ipadapter: object,
        positive: Conditioning,
        negative: Conditioning,
        image: Tensor | None = None,
        embeds: object = None,
    ) -> io.NodeOutput:
        adapter = _require_instantid(ipadapter)
        encoder = ReferenceEncoder(None, adapter, fit=CROP, node=NODE)
        sides = encoder.encode_sides(SideInputs(image, None, embeds), negative_inputs())
        if sides is None:
            raise ValueError(f"{NODE} got an empty 'image': connect an image of the face.")
        references = sides[0], sides[1] or References.zeros(adapter.spec.inputs)
        conditionings = (
            _with_tokens(conditioning, image_tokens(adapter, side))
            for conditioning, side in zip((positive, negative), references, strict=True)
        )
        return io.NodeOutput(*conditionings, ui=encoder.display)


def _require_instantid(value: object) -> LoadedAdapter:
    adapter = require_adapter(value)
    if not adapter.spec.family.guides_controlnet:
        raise ValueError(
            f"'{adapter.name}' is {adapter.spec.describe()}, whose tokens no ControlNet reads: "
            "connect an InstantID adapter; if it is one, choose InstantID in 'variant' of Load "
            "IPAdapter."
        )
    return adapter


def _with_tokens(conditioning: Conditioning, tokens: Tensor) -> Conditioning:
    """The same conditioning, whose ControlNets read the tokens in place of the text."""
    return [(text, {**options, CONTROLNET_TEXT: tokens}) for text, options in conditioning]
