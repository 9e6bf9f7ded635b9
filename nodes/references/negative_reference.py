"""IPAdapter Negative Reference: embeds for the negative side, which guidance leads away from."""

from dataclasses import replace

import torch
from torch import Tensor

from comfy.clip_vision import ClipVisionModel
from comfy_api.latest import io

from ...ipadapter_core.references.images import CROP
from ...ipadapter_core.references.noise import NOISES, noisy
from ..pictures import rgb
from ..sockets import ABSENT, EmbedsSocket, IPAdapterSocket, option_problem, require_adapter
from .encode import encode_reference
from .fit import fit_input
from .pair import references_for, unconditional

NODE = "IPAdapter Negative Reference"
NONE, ZEROS, BLACK, IMAGE = "none", "zeros", "black", "image"
NEGATIVE_KINDS = [ZEROS, NONE, BLACK, IMAGE, *NOISES]
BLACK_SIDE = 224  # of the image where none is connected
NO_IMAGE = f"{NODE}'s kind 'image' needs an image: connect 'image'."


class IPAdapterNegativeReference(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="IPAdapterNegativeReference",
            display_name=NODE,
            category="ipadapter/embeds",
            search_aliases=["ipadapter noise", "negative image", "uncond", "image_negative"],
            description="Like a negative prompt, but with an image: chooses what the generated "
            "image moves away from. Connect it to 'embeds_negative' of Apply IPAdapter.",
            inputs=[
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter the embeds are for."),
                io.ClipVision.Input(
                    "clip_vision", tooltip="The image encoder that the adapter needs."
                ),
                io.Combo.Input(
                    "kind",
                    options=NEGATIVE_KINDS,
                    default=ZEROS,
                    tooltip="zeros: the unconditional embeds that adapters are trained with; none: "
                    "no image tokens in the negative conditioning; black: a black image, as in "
                    "IPAdapter_plus; image: the connected image; the others add noise to that "
                    "image, or to a black one.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Amount of noise.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    tooltip="Seed of the noise: the same seed gives the same noise.",
                ),
                io.Int.Input(
                    "blur",
                    default=0,
                    min=0,
                    max=32,
                    tooltip="Radius in pixels by which the noisy image is blurred.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The image for 'image' and for the kinds with noise.",
                ),
                fit_input(
                    "How the image becomes square: as in Apply IPAdapter.",
                    optional=True,
                ),
            ],
            outputs=[
                EmbedsSocket.Output("embeds", tooltip="For 'embeds_negative' of Apply IPAdapter."),
                io.Image.Output(
                    "image", tooltip="The image that was encoded; black for none and zeros."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, kind: object = ZEROS, image: object = ABSENT) -> bool | str:
        if kind == IMAGE and image is ABSENT:
            return NO_IMAGE
        return option_problem(kind, NEGATIVE_KINDS, NODE, "kind") or True

    @classmethod
    def execute(
        cls,
        ipadapter: object,
        clip_vision: ClipVisionModel,
        kind: str,
        strength: float,
        seed: int,
        blur: int,
        image: Tensor | None = None,
        fit: str = CROP,
    ) -> io.NodeOutput:
        adapter = require_adapter(ipadapter)
        black = torch.zeros(1, BLACK_SIDE, BLACK_SIDE, 3)
        if kind in (NONE, ZEROS):
            references = unconditional(adapter, clip_vision)
            return io.NodeOutput(replace(references, silent=kind == NONE), black)
        if kind == IMAGE and image is None:
            raise ValueError(NO_IMAGE)
        negative_image = black if image is None or kind == BLACK else rgb(image, NODE, "image")
        if kind in NOISES:
            negative_image = noisy(negative_image, kind, strength, seed, blur)
        encoded = encode_reference(clip_vision, negative_image, fit, "image", NODE)
        if encoded is None:
            raise ValueError(f"{NODE} got an empty 'image': connect at least one image.")
        return io.NodeOutput(
            references_for(encoded.output, adapter, "image", is_negative=True), negative_image
        )
