"""Apply IPAdapter: picture, adapter and model become a model that follows the picture."""

import logging
from functools import cached_property
from typing import Any

from comfy_api.latest import io

from .encode import CROP, FITS, encoded, nothing
from .keys import keys_for, needs_nothing
from .load import AUTO, LoadCLIPVision
from .patch import hang
from .sockets import KEEPS_SHOWING, IPAdapterSocket, LoadedAdapter, adapter_of

NODE = "Apply IPAdapter"
ABSENT = object()  # an input that is not connected; a connected one is None until the graph runs
log = logging.getLogger("ipadapter")


class ApplyIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ApplyIPAdapter",
            display_name="Apply IPAdapter",
            category="ipadapter",
            **KEEPS_SHOWING,
            search_aliases=[
                "ip-adapter",
                "image prompt",
                "picture prompt",
                "reference image",
                "style transfer",
            ],
            description="Makes the model follow one or several reference pictures, beside the text. The node shows what the encoder sees of them.",
            inputs=[
                io.Model.Input("model", tooltip="The SD1.5 or SDXL model."),
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter, from Load IPAdapter."),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="The encoder that the adapter needs, from Load CLIP Vision.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The reference; a batch is several references at once.",
                ),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=-1.0,
                    max=5.0,
                    step=0.05,
                    tooltip="How strongly the picture acts. 0: not at all, exactly the model without it.",
                ),
                _moment(
                    "start_at",
                    0.0,
                    "When the picture begins to act: 0 is the first step, 1 the end.",
                ),
                _moment("end_at", 1.0, "When the picture stops acting."),
                io.Combo.Input(
                    "fit",
                    options=FITS,
                    default=CROP,
                    optional=True,
                    tooltip="How a reference that is not square becomes square. crop: its middle, as the adapters were trained; pad: all of it, with grey bars; stretch: all of it, squeezed.",
                ),
                io.Image.Input(
                    "image_negative",
                    optional=True,
                    tooltip="What the negative side sees, in place of nothing. A black picture gives what IPAdapter_plus does.",
                ),
                io.Mask.Input(
                    "attn_mask",
                    optional=True,
                    tooltip="Where the picture acts, in the picture that is made: white is fully, black not at all. Of any size; a batch is one for each picture.",
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output",
                    optional=True,
                    tooltip="The reference already encoded (by CLIP Vision Encode), in place of 'image'.",
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output_negative",
                    optional=True,
                    tooltip="The negative reference already encoded, in place of 'image_negative'.",
                ),
            ],
            outputs=[io.Model.Output("model", tooltip="The model that follows the picture.")],
        )

    @classmethod
    def validate_inputs(
        cls,
        clip_vision=ABSENT,
        image=ABSENT,
        image_negative=ABSENT,
        clip_vision_output=ABSENT,
        clip_vision_output_negative=ABSENT,
    ):
        inputs = (
            clip_vision,
            image,
            image_negative,
            clip_vision_output,
            clip_vision_output_negative,
        )
        return _what_is_wrong(*(one is not ABSENT for one in inputs)) or True

    @classmethod
    def execute(
        cls,
        model,
        ipadapter,
        clip_vision=None,
        image=None,
        weight=1.0,
        start_at=0.0,
        end_at=1.0,
        fit=CROP,
        image_negative=None,
        attn_mask=None,
        clip_vision_output=None,
        clip_vision_output_negative=None,
    ):
        inputs = (
            clip_vision,
            image,
            image_negative,
            clip_vision_output,
            clip_vision_output_negative,
        )
        wrong = _what_is_wrong(*(one is not None for one in inputs))
        if wrong:
            raise ValueError(wrong)
        adapter = adapter_of(ipadapter)
        encoder = Encoder(clip_vision, adapter, fit)
        positive = encoder.output(image, clip_vision_output, "image")
        if positive is None:
            log.warning("Apply IPAdapter got an empty 'image': the model is passed on without it.")
            return io.NodeOutput(model.clone())
        negative = encoder.output(image_negative, clip_vision_output_negative, "image_negative")
        if negative is None and needs_nothing(adapter):
            negative = nothing(encoder.clip_vision)
        keys = keys_for(model, adapter, positive, negative)
        hung = hang(model, keys, weight, start_at, end_at, attn_mask)
        return io.NodeOutput(hung, ui=encoder.shown)


class Encoder:
    """The encoder of one run of the node, and what the node shows of its work."""

    def __init__(self, clip_vision: Any, adapter: LoadedAdapter, fit: str):
        self._given, self._adapter, self._fit = clip_vision, adapter, fit
        self.shown: dict[str, Any] = {}

    @cached_property
    def clip_vision(self) -> Any:
        """The one connected, else the installed one that fits: pictures encoded elsewhere need it for the negative side."""
        if self._given is not None:
            return self._given
        return LoadCLIPVision.execute(AUTO, self._adapter).args[0]

    def output(self, image: Any, output: Any, name: str) -> Any:
        """The CLIP_VISION_OUTPUT of an input, encoded here or elsewhere; None where there is no picture."""
        if image is None:
            return output
        found = encoded(self.clip_vision, image, self._fit, name)
        if found is None:
            return None
        for key, values in found.shown.items():
            self.shown[key] = (*self.shown.get(key, ()), *values)
        return found.output


def _what_is_wrong(
    clip_vision: bool, image: bool, image_negative: bool, output: bool, output_negative: bool
) -> str | None:
    """The sentence for inputs that do not make sense together; each says whether it is connected."""
    if not image and not output:
        return f"{NODE} has no reference: connect 'image' (with 'clip_vision'), or 'clip_vision_output' from CLIP Vision Encode."
    if image and not clip_vision:
        return f"{NODE} has an 'image' but no encoder for it: connect 'clip_vision' (Load CLIP Vision), or encode the picture with CLIP Vision Encode and connect 'clip_vision_output' in its place."
    for end, both in (("", image and output), ("_negative", image_negative and output_negative)):
        if both:
            return f"{NODE} has both 'image{end}' and 'clip_vision_output{end}', which stand for the same thing: disconnect one of them."
    return None


def _moment(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)
