"""FaceID adapters: their loader with its LoRA, and on apply nodes the same face as before, read by
the same recogniser, with IPAdapter_plus's negative side.
"""

from dataclasses import replace

from .....ipadapter_core.adapter.checkpoint import AdapterSpec
from .....ipadapter_core.adapter.features import WEBFACE_R50
from .....ipadapter_core.messages import Message
from .....ipadapter_core.references.embeds import CONCAT
from ....references.face_identity import crop_side
from ...ids.face_analysis import SPACES
from ..facts.faceid_loras import DEFAULT_STRENGTH, Origin, PresetLora, find_preset_lora
from ..facts.graph import GraphNode, Inputs
from ..facts.images import image_count
from ..facts.weight_lists import find_weight_list
from ..links import OldLink, is_number, parse_link
from ..plan import Fragment, NewNode, NewOutput, NodeContext, OldInput, Plan
from ..report import CannotUpgrade
from . import apply_inputs
from .embeds import combine_node
from .loaders import load_adapter, preset_note

LOADER_ID = "IPAdapterUnifiedLoaderFaceID"
INSIGHTFACE_LOADERS = ("IPAdapterInsightFaceLoader", "InsightFaceLoader")
STRUCTURE_INPUTS = ("weight_faceidv2", "weight_v2")
IDENTITY = "identity"  # among the helpers, the node that encodes the face
MOST_STRUCTURE = 3.0  # that Apply IPAdapter takes
FACE_NOTE = Message(
    "the face with the best score is used, as before (for the largest face, connect the image to "
    "'image' of Apply IPAdapter in place of 'embeds')"
)


def plan_loader(old_node: NodeContext) -> Plan:
    adapter = old_node.adapter
    if adapter.file is None or adapter.face_spec is None:
        raise CannotUpgrade("no adapter of the kind that its preset stands for is installed")
    adapter_node = load_adapter(adapter.file, adapter.variant)
    note = preset_note(old_node, adapter.file)
    plan = Plan(adapter_node, outputs={0: OldInput("model"), 1: NewOutput()}, notes=(note,))
    lora = find_preset_lora(old_node.inputs, adapter, old_node.graph)
    match lora.origin:
        case Origin.NONE:
            return plan
        case Origin.OWN_FILE:
            return _with_lora_loader(plan, old_node, lora)
        case Origin.ADAPTER:
            _require_face_readers(old_node)
            return replace(plan, needs_new_readers=frozenset({0, 1}))


def _with_lora_loader(plan: Plan, old_node: NodeContext, lora: PresetLora) -> Plan:
    has_strength = "lora_strength" in old_node.inputs
    strength = OldInput("lora_strength") if has_strength else DEFAULT_STRENGTH
    inputs: Inputs = {
        "model": OldInput("model"),
        "lora_name": lora.file,
        "strength_model": strength,
    }
    note = Message("its LoRA '<1>' gets a separate loader", lora.file)
    return replace(
        plan,
        helpers={"lora": NewNode("LoraLoaderModelOnly", inputs)},
        outputs={**plan.outputs, 0: NewOutput("lora")},
        notes=(*plan.notes, note),
    )


def _require_face_readers(loader: NodeContext) -> None:
    """Apply IPAdapter adds the LoRA of the adapter's file: the model may go nowhere else."""
    for reader_id in loader.graph.readers(loader.id, 0):
        reader = loader.graph.nodes.get(reader_id)
        if reader is None or not _adds_lora(reader, loader.id):
            raise CannotUpgrade(
                "its LoRA is in the adapter's file, and Apply IPAdapter adds it only to a model "
                "that follows the face"
            )


def _adds_lora(reader: GraphNode, loader_id: str) -> bool:
    weight = reader.inputs.get("weight", 1.0)
    has_adapter = parse_link(reader.inputs.get("ipadapter")) == OldLink(loader_id, 1)
    return has_adapter and "image" in reader.inputs and is_number(weight) and weight != 0


def connections(old_node: NodeContext) -> Fragment:
    """Model, adapter, LoRA, faces, negative side and mask of an apply node."""
    spec = old_node.adapter.face_spec
    assert spec is not None
    if spec.family.is_projected_as_text:
        raise CannotUpgrade(
            "IPAdapter_plus uses the FaceID adapter for Kolors differently from its authors"
        )
    _require_own_recogniser(old_node)
    adapter: Inputs = {"ipadapter": OldInput("ipadapter")}
    lora: Inputs = {"lora_strength": _lora_strength(old_node)}
    links = Fragment({"model": OldInput("model"), **adapter, **lora}, notes=(FACE_NOTE,))
    if spec.clip_input is None:
        links |= _faces(old_node, spec, adapter)
    else:
        encoder = apply_inputs.encoder(old_node)
        adapter = {**adapter, **encoder.inputs}
        links |= Fragment({"face_structure": _structure(old_node)}, encoder.helpers)
        links |= _faces(old_node, spec, adapter) | _negative(old_node, adapter)
    has_mask = "attn_mask" in old_node.inputs
    return links | apply_inputs.mask(OldInput("attn_mask")) if has_mask else links


def face_outputs(old_node: NodeContext) -> dict[int, NewOutput | OldInput]:
    """The sources of the outputs of an apply node: the model, and the face."""
    if 1 not in old_node.used_outputs:
        return {0: NewOutput()}
    if image_count(old_node.graph, old_node.inputs.get("image")) != 1:
        raise CannotUpgrade("its second output, an image of each face, is in use")
    return {0: NewOutput(), 1: NewOutput(IDENTITY, 3)}


def needs_new_loader(old_node: NodeContext) -> tuple[str, ...]:
    """The input whose loader must change too: without its LoRA, Apply IPAdapter adds it."""
    is_added = _lora_strength(old_node) != 0.0
    return ("ipadapter",) if is_added else ()


def _lora_strength(old_node: NodeContext) -> object:
    """0 unless the loader's LoRA is that of the adapter's file, which nothing else loads."""
    graph = old_node.graph
    loader = next(graph.upstream(old_node.inputs.get("ipadapter"), "ipadapter"), None)
    if loader is None or loader.kind != LOADER_ID:
        return 0.0
    if loader not in graph.upstream(old_node.inputs.get("model"), "model"):
        return 0.0
    lora = find_preset_lora(loader.inputs, old_node.adapter, graph)
    return lora.strength if lora.origin is Origin.ADAPTER else 0.0


def _require_own_recogniser(old_node: NodeContext) -> None:
    """Raises CannotUpgrade where faces are not read by the recogniser that the adapter wants."""
    space = _recogniser(old_node)
    if space is not None and old_node.adapter.recognisers != frozenset({space}):
        raise CannotUpgrade(
            "it reads faces with '<1>', which is not the adapter's recogniser", space
        )


def _recogniser(old_node: NodeContext) -> str | None:
    """The recogniser that is connected; None: the adapter's own."""
    graph, link = old_node.graph, parse_link(old_node.inputs.get("insightface"))
    if link is None:
        loader = next(graph.upstream(old_node.inputs.get("ipadapter"), "ipadapter"), None)
        return WEBFACE_R50 if loader is not None and loader.kind == LOADER_ID else None
    source = graph.nodes.get(link.node_id)
    if source is None or source.kind not in INSIGHTFACE_LOADERS:
        raise CannotUpgrade(
            "its faces come from node <1>, which is not part of this pack", link.node_id
        )
    name = str(source.inputs.get("model_name", "buffalo_l"))
    return SPACES.get(name, name)


def _faces(old_node: NodeContext, spec: AdapterSpec, adapter: Inputs) -> Fragment:
    """The face with the best score in each picture, encoded; several combined as before."""
    side, method = crop_side(spec), old_node.inputs.get("combine_embeds", CONCAT)
    count = image_count(old_node.graph, old_node.inputs.get("image"))
    if old_node.by_frame or method == CONCAT or count == 1:
        helpers = _encoded_faces(OldInput("image"), side, adapter)
        return Fragment({"embeds": NewOutput(IDENTITY)}, helpers)
    if not count:
        raise CannotUpgrade("the number of images that it combines is unknown")
    # Combine IPAdapter Embeds takes two references at the least
    parts = {"first": (0, 1), "other": (1, count - 1)}
    helpers: dict[str, NewNode] = {}
    for name, (start, length) in parts.items():
        batch: Inputs = {"image": OldInput("image"), "batch_index": start, "length": length}
        helpers[f"{name}_image"] = NewNode("ImageFromBatch", batch)
        helpers |= _encoded_faces(NewOutput(f"{name}_image"), side, adapter, f"{name}_")
    embeds = [NewOutput(f"{name}_{IDENTITY}") for name in parts]
    helpers["combined"] = combine_node(embeds, method, old_node.follows_paper)
    return Fragment({"embeds": NewOutput("combined")}, helpers)


def _encoded_faces(
    image: object, side: int, adapter: Inputs, prefix: str = ""
) -> dict[str, NewNode]:
    """Face Crop, which chooses the faces, and what encodes them."""
    box: Inputs = {"x": 0, "y": 0, "width": 0, "height": 0, "padding": 0.08}
    choice: Inputs = {"on_none": "error", "which": "best score", "align": "ArcFace"}
    settings: Inputs = {**box, "size": side, "border": "black", **choice}
    landmarks: Inputs = {"face_landmarks": NewOutput(f"{prefix}face", 3)}
    inputs: Inputs = {"image": image, "weight": 1.0, **adapter, **landmarks}
    return {
        f"{prefix}face": NewNode("FaceCrop", {"image": image, **settings}),
        f"{prefix}{IDENTITY}": NewNode("EncodeFaceIdentity", inputs),
    }


def _structure(old_node: NodeContext) -> object:
    """How much plus v2 takes of the picture; twice the weight where the node does not say."""
    name = next((name for name in STRUCTURE_INPUTS if name in old_node.inputs), None)
    amount = old_node.inputs[name] if name else _twice_the_weight(old_node)
    if is_number(amount) and not 0 <= amount <= MOST_STRUCTURE:
        raise CannotUpgrade("'face_structure' goes from 0 to 3, but its value is <1>", amount)
    return amount


def _twice_the_weight(old_node: NodeContext) -> float:
    weight = old_node.inputs.get("weight", 1.0)
    weights = find_weight_list(old_node.graph, weight)
    if weights is None and not is_number(weight):
        raise CannotUpgrade(
            "how much of the face image it uses depends on a weight from another node"
        )
    return 2 * (weights[0] if weights else apply_inputs.typed_number(old_node, "weight", 1.0))


def _negative(old_node: NodeContext, adapter: Inputs) -> Fragment:
    """The negative image for plus without an identity: the connected one, else a black one."""
    embeds: Inputs = {"embeds_negative": NewOutput("negative")}
    if "image_negative" not in old_node.inputs:
        black = apply_inputs.negative_reference("black", adapter)
        return Fragment(embeds, {"negative": black}, (apply_inputs.BLACK_NOTE,))
    if image_count(old_node.graph, old_node.inputs["image_negative"]) != 1:
        raise CannotUpgrade("the number of its negative images is unknown")
    image: Inputs = {"image": OldInput("image_negative")}
    return Fragment(embeds, {"negative": apply_inputs.negative_reference("image", adapter, image)})


PLANS = {LOADER_ID: plan_loader}
