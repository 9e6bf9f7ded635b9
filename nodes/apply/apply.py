"""Apply IPAdapter: picture, adapter and model become a model that follows the picture."""

import logging
from typing import Any

from comfy_api.latest import io

from ...ipadapter_core.attention.keys import V_ONLY
from ...ipadapter_core.references.embeds import CONCAT, METHODS
from ..references import boxes
from ..references.encode import CROP
from ..references.side_inputs import ReferenceEncoder, input_problem
from ..sampling.image_prompt import PromptSettings
from ..sampling.patch import add_image_prompt
from ..sockets import (
    ABSENT,
    KEEPS_SHOWING,
    EmbedsSocket,
    IPAdapterSocket,
    require_adapter,
    require_weight_map,
)
from . import inputs
from .attention_mask import checked_mask
from .frame_weights import BATCH_MODES, TOGETHER, frame_weights as weights_in, mask_per_frame
from .keys import keys_for

NODE = "Apply IPAdapter"
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
            description="Makes the model follow one or several reference pictures, beside the "
            "text. The node shows what the encoder sees of them.",
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
                inputs.weight(
                    "How strongly the picture acts. 0: not at all, exactly the model without it."
                ),
                inputs.start_at("When the picture begins to act: 0 is the first step, 1 the end."),
                inputs.end_at("When the picture stops acting."),
                inputs.fit(
                    "How a reference that is not square becomes square. crop: its middle, as the "
                    "adapters were trained; pad: all of it, with grey bars; stretch: all of it, "
                    "squeezed.",
                    optional=True,
                ),
                io.Image.Input(
                    "image_negative",
                    optional=True,
                    tooltip="What the negative side sees, in place of nothing. A black picture "
                    "gives what IPAdapter_plus does.",
                ),
                io.Mask.Input(
                    "attn_mask",
                    optional=True,
                    tooltip="Where the picture acts, in the picture that is made: white is fully, "
                    "black not at all. Of any size; a batch is one for each picture.",
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output",
                    optional=True,
                    tooltip="The reference already encoded (by CLIP Vision Encode), in place of "
                    "'image'.",
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output_negative",
                    optional=True,
                    tooltip="The negative reference already encoded, in place of 'image_negative'.",
                ),
                *_more(),
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
        embeds=ABSENT,
        embeds_negative=ABSENT,
        frame_weights=ABSENT,
        box=ABSENT,
    ):
        positive = {"image": image, "clip_vision_output": clip_vision_output, "embeds": embeds}
        negative = {
            "image_negative": image_negative,
            "clip_vision_output_negative": clip_vision_output_negative,
            "embeds_negative": embeds_negative,
        }
        there = [
            [name for name, one in side.items() if one is not ABSENT]
            for side in (positive, negative)
        ]
        wrong = input_problem(there[0], there[1], clip_vision is not ABSENT, NODE)
        return wrong or _wrong_weights(frame_weights) or boxes.box_problem(box, NODE) or True

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
        weight_map=None,
        embeds=None,
        embeds_negative=None,
        scaling=V_ONLY,
        combine=CONCAT,
        keep_prompt=0.0,
        batch=TOGETHER,
        frame_weights="",
        box="",
    ):
        positive = {"image": image, "clip_vision_output": clip_vision_output, "embeds": embeds}
        negative = {
            "image_negative": image_negative,
            "clip_vision_output_negative": clip_vision_output_negative,
            "embeds_negative": embeds_negative,
        }
        adapter = require_adapter(ipadapter)
        settings = PromptSettings(
            weight, start_at, end_at, require_weight_map(weight_map), scaling, keep_prompt
        )
        mask = mask_per_frame(checked_mask(attn_mask, NODE), frame_weights)
        encoder = ReferenceEncoder(clip_vision, adapter, fit, NODE, box)
        found = encoder.encode_sides(positive, negative, combine if batch == TOGETHER else CONCAT)
        if found is None:
            log.warning("Apply IPAdapter got an empty 'image': the model is passed on without it.")
            return io.NodeOutput(model.clone())
        keys = keys_for(model, adapter, *found, by_frame=batch != TOGETHER)
        return io.NodeOutput(add_image_prompt(model, keys, settings, mask), ui=encoder.shown)


def _more() -> list[Any]:
    """The inputs for those who want more; all optional, after the ones that graphs have saved."""
    return [
        inputs.weight_map(
            "What to take from the picture, by layer and moment, from IPAdapter Weight Map. It is "
            "multiplied by 'weight'."
        ),
        EmbedsSocket.Input(
            "embeds",
            optional=True,
            tooltip="References that are already encoded, combined or loaded from a file, in "
            "place of 'image'. No encoder is needed then.",
        ),
        EmbedsSocket.Input(
            "embeds_negative",
            optional=True,
            tooltip="What the negative side sees, encoded: from IPAdapter Negative Reference or a "
            "file.",
        ),
        inputs.scaling(
            "What the weight multiplies. V only: the result; K+V: keys and values, which also "
            "sharpens or blurs where the picture is looked at; C penalty: less in narrow layers; "
            "mean(V): only the common part of the values."
        ),
        io.Combo.Input(
            "combine",
            options=list(METHODS),
            default=CONCAT,
            optional=True,
            tooltip="How a batch of references becomes one. concat: all of them side by side. "
            "Combine IPAdapter Embeds gives each its own weight.",
        ),
        inputs.keep_prompt(
            "How much of the picture's part that points the same way as the text's is removed: 1 "
            "leaves the text its full say."
        ),
        io.Combo.Input(
            "batch",
            options=BATCH_MODES,
            default=TOGETHER,
            optional=True,
            tooltip="Whether a batch of references acts together on every picture, or the first "
            "on the first picture, the second on the second and so on, as an animation needs it.",
        ),
        io.String.Input(
            "frame_weights",
            default="",
            optional=True,
            tooltip="A weight for each picture of the batch, times 'weight': key frames by number "
            "like 0:1, 24:0.2 ease, or a list like 1, 0.5, 0. Empty: 1 for all.",
        ),
        boxes.box_input(),
    ]


def _wrong_weights(text: Any) -> str | None:
    try:
        weights_in(text if isinstance(text, str) else "")
    except ValueError as error:
        return str(error)
    return None
