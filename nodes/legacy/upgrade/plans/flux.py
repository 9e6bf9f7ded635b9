"""The FLUX.1 nodes of x-flux-comfyui (XLabs) and ComfyUI-IPAdapter-Flux (Shakker-Labs)."""

from collections.abc import Callable

from .....ipadapter_core.messages import Message
from ....apply.settings import TOGETHER
from ...ids.flux_files import find_instantx, find_xlabs, layer_count
from ...ids.flux_nodes import block_strengths
from ...ids.input_specs import STRENGTH_CURVES
from ...reading.open_graph import XLABS_SAMPLER
from ..facts.images import image_count
from ..links import is_link
from ..plan import Fragment, NewNode, NewOutput, NodeContext, OldInput, Plan
from ..report import CannotUpgrade
from . import apply_inputs

DOUBLE_BLOCKS = 19  # of FLUX.1
SAMPLER_NOTE = Message("Xlabs Sampler cannot run it: use KSampler with cfg 1 instead")
BATCH_NOTE = Message(
    "with several images, the new node uses all of them side by side, not their mean"
)
NEGATIVE_NOTE = Message(
    "the image is also the negative reference, as before (which has an effect only if cfg is not 1)"
)


def plan_xlabs_loader(old_node: NodeContext) -> Plan:
    return _plan_loader(old_node, "ipadatper", find_xlabs)


def plan_instantx_loader(old_node: NodeContext) -> Plan:
    return _plan_loader(old_node, "ipadapter", find_instantx)


def _plan_loader(old_node: NodeContext, file_input: str, find: Callable[[str], str]) -> Plan:
    name = old_node.inputs.get(file_input)
    if not isinstance(name, str):
        raise CannotUpgrade("its '<1>' comes from another node", file_input)
    loader = NewNode("LoadIPAdapter", {"ipadapter_file": _installed(name, find)})
    return Plan(loader, outputs={0: NewOutput()}, needs_new_readers=frozenset({0}))


def _installed(name: str, find: Callable[[str], str]) -> str:
    try:
        return find(name)
    except ValueError:
        return name


def plan_xlabs(old_node: NodeContext) -> Plan:
    """Of several pictures the old node took the mean of what each of them does."""
    count = image_count(old_node.graph, old_node.inputs.get("image"))
    if count is not None and count > 1:
        raise CannotUpgrade("it takes the mean of what each of its images does")
    notes = () if count == 1 else (BATCH_NOTE,)
    parts = Fragment({"weight": OldInput("ip_scale")}, notes=notes + _sampler_notes(old_node))
    return _plan_apply("ip_adapter_flux", parts | _image(OldInput("image")))


def plan_xlabs_advanced(old_node: NodeContext) -> Plan:
    """The strengths of the double blocks are written into a weight map."""
    begin = apply_inputs.typed_number(old_node, "begin_strength", 0.0)
    end = apply_inputs.typed_number(old_node, "end_strength", 1.0)
    curve = str(old_node.inputs.get("smothing_type", STRENGTH_CURVES[0]))
    if is_link(old_node.inputs.get("smothing_type")) or curve not in STRENGTH_CURVES:
        raise CannotUpgrade("its '<1>' cannot be read", "smothing_type")
    strengths = block_strengths(begin, end, curve, _block_count(old_node))
    settings = {"take": "balanced", "amount": 1.0, "second_amount": 1.0}
    layers = ", ".join(f"{number}:{strength:.9g}" for number, strength in enumerate(strengths))
    weight_map = NewNode(
        "IPAdapterWeightMap", {"model": OldInput("model"), **settings, "layers": layers}
    )
    parts = Fragment(
        {"weight": 1.0, "weight_map": NewOutput("map"), "combine": "average"},
        {"map": weight_map},
        _sampler_notes(old_node),
    )
    return _plan_apply("ip_adapter_flux", parts | _image(OldInput("image")))


def _block_count(old_node: NodeContext) -> int:
    """The adapter's layers, where it is installed: those of FLUX.1 but for models in small."""
    loader = old_node.graph.source(old_node.inputs.get("ip_adapter_flux"))
    name = loader.inputs.get("ipadatper") if loader else None
    count = layer_count(_installed(name, find_xlabs)) if isinstance(name, str) else None
    return count or DOUBLE_BLOCKS


def plan_instantx(old_node: NodeContext) -> Plan:
    """The first picture alone, stretched, on both sides."""
    image: NewOutput | OldInput = OldInput("image")
    helpers: dict[str, NewNode] = {}
    if image_count(old_node.graph, old_node.inputs.get("image")) != 1:
        first = {"image": OldInput("image"), "batch_index": 0, "length": 1}
        image, helpers = NewOutput("first"), {"first": NewNode("ImageFromBatch", first)}
    settings = {
        "weight": OldInput("weight"),
        "start_at": OldInput("start_percent"),
        "end_at": OldInput("end_percent"),
        "fit": "stretch",
        "image_negative": image,
    }
    return _plan_apply(
        "ipadapter_flux", Fragment(settings, helpers, (NEGATIVE_NOTE,)) | _image(image)
    )


def _image(image: object) -> Fragment:
    return Fragment({"image": image})


def _plan_apply(adapter_input: str, parts: Fragment) -> Plan:
    """parts: what is special of the new apply node."""
    encoder = apply_inputs.automatic_encoder(OldInput(adapter_input))
    connections = {"model": OldInput("model"), "ipadapter": OldInput(adapter_input)}
    settings = {"start_at": 0.0, "end_at": 1.0, "batch": TOGETHER}
    return Plan(
        NewNode(
            apply_inputs.APPLY_ID, {**settings, **connections, **encoder.inputs, **parts.inputs}
        ),
        {**encoder.helpers, **parts.helpers},
        outputs={0: NewOutput()},
        notes=parts.notes,
        needs_new_sources=(adapter_input,),
    )


def _sampler_notes(old_node: NodeContext) -> tuple[Message, ...]:
    has_sampler = any(node.kind == XLABS_SAMPLER for node in old_node.graph.nodes.values())
    return (SAMPLER_NOTE,) if has_sampler else ()


PLANS = {
    "LoadFluxIPAdapter": plan_xlabs_loader,
    "ApplyFluxIPAdapter": plan_xlabs,
    "ApplyAdvancedFluxIPAdapter": plan_xlabs_advanced,
    "IPAdapterFluxLoader": plan_instantx_loader,
    "ApplyIPAdapterFlux": plan_instantx,
}
