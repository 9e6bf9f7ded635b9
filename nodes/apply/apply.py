"""Apply IPAdapter: references, adapter and model become a model that follows the references."""

import logging
from typing import Any

from torch import Tensor

from comfy.clip_vision import ClipVisionModel, Output
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ...ipadapter_core.references.embeds import CONCAT, METHODS
from ..files import folders
from ..notes import with_texts
from ..references.boxes import box_input, box_problem
from ..references.fit import fit_input
from ..references.side_inputs import ReferenceEncoder, SideInputs, negative_inputs
from ..sampling.layers import model_blocks
from ..sampling.patch import add_image_prompt
from ..sockets import (
    KEEPS_SHOWING,
    EmbedsSocket,
    IPAdapterSocket,
    optional_weight_map,
    require_adapter,
)
from . import inputs
from .attention_mask import checked_mask, mask_notes
from .frame_weights import frame_weight_notes, frame_weights_problem, mask_per_frame
from .keys import keys_for
from .lora import add_lora
from .settings import BATCH_MODES, NODE, TOGETHER, ApplySettings
from .tasks import task_map

log = logging.getLogger("ipadapter")


class ApplyIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ApplyIPAdapter",
            display_name=NODE,
            category="ipadapter",
            **KEEPS_SHOWING,
            search_aliases=[
                "ip-adapter",
                "image prompt",
                "picture prompt",
                "composition",
                "ipadapter advanced",
            ],
            description="Makes the model follow one or several reference images, in addition to "
            "the text. The node shows what the encoder sees of them.",
            inputs=[
                io.Model.Input("model", tooltip="The SD1.5, SDXL, FLUX.1 or SD3.5 Large model."),
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter, from Load IPAdapter."),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="The encoder that the adapter needs, from Load CLIP Vision. Not "
                    "connected: the installed one that fits is used, and the node names it. FaceID "
                    "and FaceID portrait adapters need none.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The reference image; a batch is several references at once. FaceID "
                    "adapters use the largest face of each image, and the node shows it.",
                ),
                inputs.weight(
                    "How strongly the model follows the reference. 0: exactly the model without "
                    "the adapter."
                ),
                inputs.start_at("When the adapter becomes active: 0 is the first step, 1 the end."),
                inputs.end_at("When the adapter becomes inactive."),
                fit_input(
                    "How a reference that is not square becomes square. crop: only its middle is "
                    "used, as the adapters were trained; pad: grey bars are added; stretch: the "
                    "whole image is squeezed.",
                    optional=True,
                ),
                io.Image.Input(
                    "image_negative",
                    optional=True,
                    advanced=True,
                    tooltip="A reference for the negative conditioning: the result moves away "
                    "from it. A black image gives what IPAdapter_plus does for plus adapters.",
                ),
                io.Mask.Input(
                    "attn_mask",
                    optional=True,
                    tooltip="The part of the generated image that the reference affects: fully "
                    "where the mask is white, not at all where it is black. Any size; a batch is "
                    "one mask for each generated image.",
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output",
                    optional=True,
                    advanced=True,
                    tooltip="The reference already encoded (by CLIP Vision Encode), instead of "
                    "'image'.",
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output_negative",
                    optional=True,
                    advanced=True,
                    tooltip="The negative reference already encoded, instead of 'image_negative'.",
                ),
                *_advanced_inputs(),
            ],
            outputs=[io.Model.Output("model", tooltip="The model that follows the reference.")],
        )

    @classmethod
    def validate_inputs(cls, frame_weights: object = "", box: object = "") -> bool | str:
        # Of typed texts alone: the page marks every input that stands here, and missing references
        # are no fault of those that are connected.
        return frame_weights_problem(frame_weights) or box_problem(box, NODE) or True

    @classmethod
    def fingerprint_inputs(cls, **values: object) -> str:
        if "clip_vision" in values:  # connected; its value is not known yet
            return ""
        return folders.stamp_all(folders.ENCODERS)

    @classmethod
    def execute(
        cls,
        model: ModelPatcher,
        ipadapter: object,
        clip_vision: ClipVisionModel | None = None,
        image: Tensor | None = None,
        image_negative: Tensor | None = None,
        attn_mask: Tensor | None = None,
        clip_vision_output: Output | None = None,
        clip_vision_output_negative: Output | None = None,
        weight_map: object = None,
        embeds: object = None,
        embeds_negative: object = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        settings = ApplySettings(**widgets)
        positive = SideInputs(image, clip_vision_output, embeds)
        negative = negative_inputs(image_negative, clip_vision_output_negative, embeds_negative)
        mask = checked_mask(attn_mask, NODE)
        own_map = optional_weight_map(weight_map)
        adapter = require_adapter(ipadapter)
        encoder = ReferenceEncoder(
            clip_vision, adapter, fit=settings.fit, node=NODE, box=settings.box, model=model
        )
        references = encoder.encode_sides(positive, negative, settings.method, settings.by_frame)
        if references is None:
            log.warning("%s got an empty 'image': the model is passed on without it.", NODE)
            return io.NodeOutput(model.clone())  # pyright: ignore[reportUnknownMemberType]
        keys = keys_for(model, adapter, *references, settings.by_frame, settings.face_structure)
        inputs.warn_of_empty_range(NODE, settings.start_at, settings.end_at)
        prompt_settings = settings.of_prompt(
            task_map(model_blocks(model), settings.task, adapter, NODE, own_map)
        )
        model, notes = add_lora(model, adapter, settings.lora_strength if settings.weight else 0.0)
        frame_mask = mask_per_frame(mask, settings.frame_weights)
        model = add_image_prompt(model, keys, prompt_settings, frame_mask)
        notes = (*notes, *mask_notes(mask), *frame_weight_notes(settings.frame_weights))
        return io.NodeOutput(model, ui=with_texts(encoder.display, *notes))


def _advanced_inputs() -> list[Any]:
    """Optional inputs; they stand after the ones that saved graphs know by position."""
    return [
        inputs.weight_map(
            "A weight for each layer and step, from IPAdapter Weight Map. It is "
            "multiplied by 'weight'."
        ),
        EmbedsSocket.Input(
            "embeds",
            optional=True,
            tooltip="References that are already encoded, combined or loaded from a file, instead "
            "of 'image'. No encoder is needed then.",
        ),
        EmbedsSocket.Input(
            "embeds_negative",
            optional=True,
            advanced=True,
            tooltip="The embeds for the negative conditioning, from IPAdapter Negative Reference "
            "or a file.",
        ),
        inputs.scaling(
            "What the weight multiplies. V only: what the reference adds; K+V: its keys and "
            "values, which also changes which parts of it get attention; C penalty: the same, "
            "but less in layers with few channels; mean(V): only the mean of the values."
        ),
        io.Combo.Input(
            "combine",
            options=list(METHODS),
            default=CONCAT,
            optional=True,
            advanced=True,
            tooltip="How a batch of references is combined. concat: all of them side by side. "
            "Combine IPAdapter Embeds gives each its own weight.",
        ),
        inputs.keep_prompt(
            "How well the text prompt is protected: at 1 the reference can neither strengthen "
            "nor weaken what the text says, only add to it."
        ),
        io.Combo.Input(
            "batch",
            options=BATCH_MODES,
            default=TOGETHER,
            optional=True,
            advanced=True,
            tooltip="Whether a batch of references is used together for every generated image, or "
            "the first for the first image, the second for the second and so on, as animations "
            "need it.",
        ),
        io.String.Input(
            "frame_weights",
            default="",
            optional=True,
            advanced=True,
            tooltip="A weight for each generated image of the batch, multiplied by 'weight': "
            "keyframes like 0:1, 24:0.2 ease, or a list like 1, 0.5, 0. Empty: 1 for all.",
        ),
        box_input(),
        io.Float.Input(
            "face_structure",
            default=1.0,
            min=0.0,
            max=3.0,
            step=0.05,
            optional=True,
            advanced=True,
            tooltip="How much of the face image (structure and light) FaceID plus v2, and FaceID "
            "plus for Kolors, use in addition to the identity; 1 is as trained. Other adapters "
            "ignore it.",
        ),
        inputs.lora_strength(),
        inputs.task(
            "What to take from the reference: the whole image, its style, its composition, both, "
            "or its subject. Multiplied by 'weight_map', if one is connected."
        ),
    ]
