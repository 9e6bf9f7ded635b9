"""Image Prompt: a model and a picture; adapter, encoder, layers and weights are found."""

from typing import Any

from torch import Tensor

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ...ipadapter_core.adapter.checkpoint import AdapterSpec, read_spec
from ...ipadapter_core.doctor.model_table import load, published
from ...ipadapter_core.messages import Message
from ...ipadapter_core.references.images import CROP
from ..files import folders
from ..files.file_specs import file_stamp, installed_spec
from ..files.load import has_encoder, installed_adapter, installed_encoders
from ..files.missing_files import explain_missing
from ..notes import with_texts
from ..references.fit import fit_input
from ..references.side_inputs import ReferenceEncoder, SideInputs, negative_inputs
from ..sampling.image_prompt import PromptSettings
from ..sampling.layers import ModelKind, model_blocks, model_kind
from ..sampling.patch import add_image_prompt
from ..sockets import KEEPS_SHOWING
from .attention_mask import checked_mask, mask_notes
from .inputs import HIGHEST_WEIGHT, LOWEST_WEIGHT, warn_of_empty_range
from .keys import keys_for
from .lora import add_lora
from .plan import (
    BALANCED,
    CUSTOM,
    NODE,
    STRENGTHS,
    TASKS,
    InstalledAdapter,
    PlannedInputs,
    Request,
    Strength,
    plan_inputs,
)
from .tasks import WHOLE_IMAGE, task_map

PLAN = "ipadapter_plan"  # in what the page gets of a run


class ImagePromptNode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ImagePrompt",
            display_name=f"{NODE} (IP Adapter)",
            category="ipadapter",
            **KEEPS_SHOWING,
            search_aliases=[
                "ip adapter",
                "ip-adapter",
                "ipadapter",
                "image prompt",
                "picture prompt",
                "style transfer",
                "reference",
                "reference image",
                "composition",
                "face",
            ],
            description="Makes the model follow a reference image. It finds the adapter and the "
            "encoder among the installed files, and says which ones it uses.",
            inputs=[
                io.Model.Input("model", tooltip="The model, from a checkpoint loader or a LoRA."),
                io.Image.Input(
                    "image",
                    tooltip="The reference image; a batch is several references at once.",
                ),
                io.Combo.Input(
                    "task",
                    options=TASKS,
                    default=WHOLE_IMAGE,
                    tooltip="What to take from the reference: everything, its style, its "
                    "composition, both of these, its subject, or the face in it. 'face identity' "
                    "needs a FaceID adapter.",
                ),
                io.Combo.Input(
                    "strength",
                    options=STRENGTHS,
                    default=BALANCED,
                    tooltip="How strongly the model follows the reference. custom: as set by "
                    "'weight', 'start_at' and 'end_at'.",
                ),
                io.Mask.Input(
                    "attn_mask",
                    optional=True,
                    tooltip="The part of the generated image that the reference affects: fully "
                    "where the mask is white, not at all where it is black. It may have any size.",
                ),
                *_custom_inputs(),
            ],
            outputs=[io.Model.Output("model", tooltip="The model that follows the reference.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **values: object) -> str:
        return folders.stamp_all(folders.ADAPTERS, folders.ENCODERS)

    @classmethod
    def execute(
        cls,
        model: ModelPatcher,
        image: Tensor,
        task: str,
        strength: str,
        attn_mask: Tensor | None = None,
        weight: float = 1.0,
        start_at: float = 0.0,
        end_at: float = 1.0,
        fit: str = CROP,
    ) -> io.NodeOutput:
        request = Request(task, strength, Strength(weight, start_at, end_at))
        kind = model_kind(model)
        adapters = fitting_adapters(kind)
        plan = plan_inputs(request, kind.base_model, adapters, load(), explain_missing, has_encoder)
        adapter = installed_adapter(model, plan.ipadapter_file)
        layers_map = task_map(model_blocks(model), plan.task, adapter, NODE)
        mask = checked_mask(attn_mask, NODE)
        encoder = ReferenceEncoder(None, adapter, fit=fit, node=NODE, model=model)
        references = encoder.encode_sides(SideInputs(image), negative_inputs())
        if references is None:
            raise ValueError(f"{NODE} got an empty 'image': connect at least one image.")
        keys = keys_for(model, adapter, *references)
        model, notes = add_lora(model, adapter, 1.0 if plan.strength.weight else 0.0)
        settings = PromptSettings(**plan.strength._asdict(), weight_map=layers_map)
        warn_of_empty_range(NODE, plan.strength.start_at, plan.strength.end_at)
        model = add_image_prompt(model, keys, settings, mask)
        texts = (Message("<1>: <2>", adapter.name, adapter.spec.describe()), _plan_text(plan))
        display = with_texts(encoder.display, *texts, *notes, *mask_notes(mask))
        return io.NodeOutput(
            model, ui={**display, PLAN: (_page_plan(plan, adapter.spec, request, fit),)}
        )


def fitting_adapters(kind: ModelKind) -> list[InstalledAdapter]:
    """The installed adapters for a model, with the published file that each most likely is."""
    adapters: list[InstalledAdapter] = []
    model_table = load()
    for name in folders.names(folders.ADAPTERS):
        spec = installed_spec(folders.ADAPTERS, name, read_spec)
        if spec is None or not kind.fits(spec):
            continue
        has_encoder = spec.clip_input is None or bool(installed_encoders(spec))
        size = file_stamp(folders.path_of(folders.ADAPTERS, name)).size
        published_file = published(model_table, name, size, spec)
        adapters.append(
            InstalledAdapter(
                name=name, spec=spec, has_encoder=has_encoder, published_file=published_file
            )
        )
    return adapters


def _plan_text(plan: PlannedInputs) -> Message:
    weight, start_at, end_at = (f"{number:g}" for number in plan.strength)
    return Message("<1>, weight <2>, active from <3> to <4>", plan.task, weight, start_at, end_at)


def _page_plan(
    plan: PlannedInputs, spec: AdapterSpec, request: Request, fit: str
) -> dict[str, Any]:
    """The widgets of Load IPAdapter and Apply IPAdapter that give the same, and those of this node
    that they stand for.
    """
    own_widgets: dict[str, Any] = {"task": request.task, "strength": request.strength, "fit": fit}
    if request.strength == CUSTOM:
        own_widgets |= request.custom._asdict()
    return {
        "loader": {"ipadapter_file": plan.ipadapter_file},
        "apply": {"task": plan.task, "fit": fit, **plan.strength._asdict()},
        "needs_encoder": spec.clip_input is not None,
        "made_for": own_widgets,
    }


def _custom_inputs() -> list[Any]:
    """Optional inputs, which API prompts may leave out."""
    return [
        io.Float.Input(
            "weight",
            default=1.0,
            min=LOWEST_WEIGHT,
            max=HIGHEST_WEIGHT,
            step=0.05,
            optional=True,
            tooltip="For the strength 'custom': how strongly the model follows the reference; 0 is "
            "not at all.",
        ),
        _moment(
            "start_at", 0.0, "when the reference becomes active; 0 is the first step, 1 the end."
        ),
        _moment("end_at", 1.0, "when the reference becomes inactive."),
        fit_input(
            "How a reference that is not square becomes square: crop its middle, pad it "
            "with grey bars, or stretch it.",
            optional=True,
            advanced=True,
        ),
    ]


def _moment(name: str, default: float, meaning: str) -> io.Float.Input:
    return io.Float.Input(
        name,
        default=default,
        min=0.0,
        max=1.0,
        step=0.01,
        optional=True,
        advanced=True,
        tooltip=f"For the strength 'custom': {meaning}",
    )
