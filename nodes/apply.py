"""Apply IPAdapter: picture, adapter and model become a model that follows the picture.

In a graph the node expands into its steps, so that the host's own cache keeps what did not change:
a new weight, window or mask runs neither the encoder nor the projection again.
"""

from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder, is_link

from .encode import CROP, FITS, encode, encode_zeros
from .keys import make_keys, needs_nothing
from .load import AUTO, LoadCLIPVision
from .patch import hang
from .pictures import rgb
from .sockets import IPAdapterSocket, KeysSocket

NODE = "Apply IPAdapter"


class ApplyIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ApplyIPAdapter",
            display_name="Apply IPAdapter",
            category="ipadapter",
            search_aliases=[
                "ip-adapter",
                "image prompt",
                "picture prompt",
                "reference image",
                "style transfer",
            ],
            description="Makes the model follow one or several reference pictures, beside the text. The node shows what the encoder sees of them.",
            enable_expand=True,
            inputs=[
                io.Model.Input("model", raw_link=True, tooltip="The SD1.5 or SDXL model."),
                IPAdapterSocket.Input(
                    "ipadapter", raw_link=True, tooltip="The adapter, from Load IPAdapter."
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    raw_link=True,
                    tooltip="The encoder that the adapter needs, from Load CLIP Vision.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    raw_link=True,
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
                    raw_link=True,
                    tooltip="What the negative side sees, in place of nothing. A black picture gives what IPAdapter_plus does.",
                ),
                io.Mask.Input(
                    "attn_mask",
                    optional=True,
                    raw_link=True,
                    tooltip="Where the picture acts, in the picture that is made: white is fully, black not at all. Of any size; a batch is one for each picture.",
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output",
                    optional=True,
                    raw_link=True,
                    tooltip="The reference already encoded (by CLIP Vision Encode), in place of 'image'.",
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output_negative",
                    optional=True,
                    raw_link=True,
                    tooltip="The negative reference already encoded, in place of 'image_negative'.",
                ),
            ],
            outputs=[io.Model.Output("model", tooltip="The model that follows the picture.")],
        )

    @classmethod
    def validate_inputs(
        cls,
        clip_vision=None,
        image=None,
        image_negative=None,
        clip_vision_output=None,
        clip_vision_output_negative=None,
    ):
        return (
            what_is_missing(clip_vision, image, clip_vision_output)
            or two_in_one_place(image, clip_vision_output, "")
            or two_in_one_place(image_negative, clip_vision_output_negative, "_negative")
            or True
        )

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
        wrong = cls.validate_inputs(
            clip_vision, image, image_negative, clip_vision_output, clip_vision_output_negative
        )
        if wrong is not True:
            raise ValueError(wrong)
        settings = {
            "weight": weight,
            "start_at": start_at,
            "end_at": end_at,
            "attn_mask": attn_mask,
        }
        steps = Graph() if is_link(model) else Direct()
        encoder = clip_vision if clip_vision is not None else steps.encoder(ipadapter)

        def encoded(picture, output, name):
            return output if picture is None else steps.encode(encoder, picture, fit, name)

        keys = steps.keys(
            model,
            ipadapter,
            encoded(image, clip_vision_output, "image"),
            encoded(image_negative, clip_vision_output_negative, "image_negative"),
            encoder,
        )
        return steps.patched(model, keys, settings)


class ApplyIPAdapterPatch(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ApplyIPAdapterPatch",
            display_name="Apply IPAdapter (patch)",
            category="ipadapter/steps",
            description="A step of Apply IPAdapter: hangs the keys and values on the model.",
            is_dev_only=True,
            inputs=[
                io.Model.Input("model", tooltip="The model."),
                KeysSocket.Input("keys", tooltip="Keys and values of every layer."),
                io.Float.Input(
                    "weight", min=-1.0, max=5.0, tooltip="How strongly the picture acts."
                ),
                _moment("start_at", 0.0, "When it begins to act."),
                _moment("end_at", 1.0, "When it stops acting."),
                io.Mask.Input("attn_mask", optional=True, tooltip="Where it acts."),
            ],
            outputs=[io.Model.Output("model", tooltip="The model that follows the picture.")],
        )

    @classmethod
    def execute(cls, model, keys, weight, start_at, end_at, attn_mask=None):
        return io.NodeOutput(hang(model, keys, weight, start_at, end_at, attn_mask))


def what_is_missing(clip_vision: Any, image: Any, clip_vision_output: Any) -> str | None:
    """The sentence for a graph without a reference, or without an encoder for it."""
    if image is None and clip_vision_output is None:
        return f"{NODE} has no reference: connect 'image' (with 'clip_vision'), or 'clip_vision_output' from CLIP Vision Encode."
    if image is not None and clip_vision is None:
        return f"{NODE} has an 'image' but no encoder for it: connect 'clip_vision' (Load CLIP Vision), or encode the picture with CLIP Vision Encode and connect 'clip_vision_output' in its place."
    return None


def two_in_one_place(picture: Any, output: Any, end: str) -> str | None:
    if picture is None or output is None:
        return None
    return f"{NODE} has both 'image{end}' and 'clip_vision_output{end}', which stand for the same thing: disconnect one of them."


class Graph:
    """The steps as nodes of the host's graph; every value is a link."""

    def __init__(self):
        self.builder = GraphBuilder()

    def _node(self, kind: str, **inputs: Any) -> Any:
        given = {name: value for name, value in inputs.items() if value is not None}
        return self.builder.node(kind, **given).out(0)

    def encoder(self, ipadapter):
        return self._node("LoadCLIPVision", clip_name=AUTO, ipadapter=ipadapter)

    def encode(self, encoder, picture, fit, name):
        return self._node(
            "ApplyIPAdapterEncode", clip_vision=encoder, image=picture, fit=fit, name=name
        )

    def keys(self, model, ipadapter, positive, negative, encoder):
        inputs = {
            "model": model,
            "ipadapter": ipadapter,
            "positive": positive,
            "negative": negative,
        }
        nothing = self._node("ApplyIPAdapterNothing", clip_vision=encoder)
        return self._node("ApplyIPAdapterKeys", **inputs, nothing=nothing)

    def patched(self, model, keys, settings):
        link = self._node("ApplyIPAdapterPatch", model=model, keys=keys, **settings)
        return io.NodeOutput(link, expand=self.builder.finalize())


class Direct:
    """The steps at once, for callers from Python who hand over objects."""

    def encoder(self, ipadapter):
        return lambda: LoadCLIPVision.execute(AUTO, ipadapter).args[0]

    def encode(self, encoder, picture, fit, name):
        pictures = rgb(picture, NODE, name)
        return encode(_now(encoder), pictures, fit) if len(pictures) else None

    def keys(self, model, ipadapter, positive, negative, encoder):
        if positive is not None and needs_nothing(ipadapter, negative):
            negative = encode_zeros(_now(encoder))
        return make_keys(model, ipadapter, positive, negative)

    def patched(self, model, keys, settings):
        return io.NodeOutput(hang(model, keys, **settings))


def _now(encoder: Any) -> Any:
    return encoder() if callable(encoder) else encoder


def _moment(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)
