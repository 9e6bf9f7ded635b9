"""Which adapter an old node has, as far as the graph and the installed files tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from .....ipadapter_core.adapter.checkpoint import SDXL_TEXT_WIDTH, AdapterSpec, read_spec
from .....ipadapter_core.adapter.families import Family, twin_named
from .....ipadapter_core.adapter.features import Source, Unconditional
from .....ipadapter_core.doctor.model_table import ModelFile
from ....files import folders
from ....files.file_specs import installed_spec
from ....files.twins import AUTO
from ...ids import faceid_presets, installed_files
from ...ids.installed_files import COMMUNITY_PRESETS, PRESETS
from ...reading import prompts
from .graph import Graph, Inputs

CHECKPOINT_INPUTS = {"checkpoints": "ckpt_name", "diffusion_models": "unet_name"}


@dataclass(frozen=True)
class KnownAdapter:
    """Name, base model and unconditional of an adapter; None where the graph does not tell.

    face_spec: of one that takes identities, as FaceID adapters do; recognisers: those that it may
    have been trained with; variant: what Load IPAdapter is told of it.
    """

    file: str | None = None
    base_model: str | None = None
    unconditional: Unconditional | None = None
    face_spec: AdapterSpec | None = None
    recognisers: frozenset[str] = frozenset()
    variant: str = AUTO

    @property
    def is_known(self) -> bool:
        return self.unconditional is not None

    @property
    def takes_zero_features(self) -> bool:
        """Whether no image is zero features, not a black image, as for base adapters."""
        return self.unconditional is Unconditional.ZERO_FEATURES


def find_adapter(node_id: str, graph: Graph) -> KnownAdapter:
    """The adapter of a node: the one it names, or the one on its 'ipadapter' link."""
    node = graph.nodes[node_id]
    adapter = _named_adapter(node.inputs, graph)
    if adapter is not None:
        return adapter
    for loader in graph.upstream(node.inputs.get("ipadapter"), "ipadapter"):
        adapter = _named_adapter(loader.inputs, graph)
        if adapter is not None:
            return adapter
    return KnownAdapter()


def _named_adapter(inputs: Inputs, graph: Graph) -> KnownAdapter | None:
    """The adapter that a loader's inputs name, by file or by preset."""
    for input in prompts.ADAPTER_INPUTS:
        name = inputs.get(input)
        if isinstance(name, str):
            return _adapter_of_file(name)
    preset = str(inputs.get("preset"))
    if preset in faceid_presets.FACEID_PRESETS:
        return _adapter_of_faceid_preset(faceid_files(inputs, graph))
    sd15, sdxl = (PRESETS | COMMUNITY_PRESETS).get(preset, (None, None))
    if sd15 is None and sdxl is None:
        return None
    # Kolors comes without a name
    is_sdxl = sd15 is None or _is_sdxl(inputs.get("model"), graph)
    adapter_kind = sdxl if is_sdxl else sd15
    if adapter_kind is None:
        return None
    files = installed_files.installed_adapters(adapter_kind)
    published = adapter_kind.published
    return _published_adapter(files[0] if files else published.name, published)


def _adapter_of_file(name: str) -> KnownAdapter:
    try:
        file = installed_files.find_adapter(name)
    except ValueError:
        adapter_kind = installed_files.kind_named(name)
        if adapter_kind is None:
            return KnownAdapter(name)
        return _published_adapter(name, adapter_kind.published)
    spec = installed_spec(folders.ADAPTERS, file, read_spec)
    if not isinstance(spec, AdapterSpec):
        return KnownAdapter(file)
    if spec.identity_input is None:
        return KnownAdapter(file, spec.base_model, spec.unconditional)
    twin = twin_named(spec.family, file)
    return _face_adapter(file, spec, (twin,) if twin else spec.family.twins)


def faceid_files(inputs: Inputs, graph: Graph) -> faceid_presets.FaceIDFiles | None:
    """The files of a FaceID loader's preset; None where it has none."""
    sd15, sdxl = faceid_presets.FACEID_PRESETS.get(str(inputs.get("preset")), (None, None))
    return sdxl if sd15 is None or _is_sdxl(inputs.get("model"), graph) else sd15


def _adapter_of_faceid_preset(files: faceid_presets.FaceIDFiles | None) -> KnownAdapter:
    if files is None:
        return KnownAdapter()
    names = faceid_presets.fitting_adapters(files.family, files.is_sdxl)
    spec = installed_spec(folders.ADAPTERS, names[0], read_spec) if names else None
    if spec is None:
        return KnownAdapter()
    return replace(_face_adapter(names[0], spec, (files.family,)), variant=files.variant)


def _face_adapter(file: str, spec: AdapterSpec, twins: Sequence[Family]) -> KnownAdapter:
    """twins: the families that it may be of."""
    features = chain.from_iterable(twin.inputs(spec.projector) for twin in twins)
    spaces = {feature.encoder for feature in features if feature.source is Source.FACE_IDENTITY}
    return KnownAdapter(
        file=file,
        base_model=spec.base_model,
        unconditional=spec.unconditional,
        face_spec=spec,
        recognisers=frozenset(spaces),
    )


def _published_adapter(name: str, published: ModelFile) -> KnownAdapter:
    family = published.family
    return KnownAdapter(name, published.base, family.unconditional if family else None)


def _is_sdxl(model: object, graph: Graph) -> bool:
    """By the checkpoint upstream: by its content where it is installed, else by its name."""
    for node in graph.upstream(model, "model"):
        for folder, input in CHECKPOINT_INPUTS.items():
            name = node.inputs.get(input)
            if isinstance(name, str):
                width = installed_spec(folder, name, _checkpoint_text_width)
                return "xl" in name.lower() if width is None else width == SDXL_TEXT_WIDTH
    return False


def _checkpoint_text_width(shapes: Mapping[str, Any]) -> int | None:
    text_widths = (
        shape.shape[1] for key, shape in shapes.items() if key.endswith("attn2.to_k.weight")
    )
    return next(text_widths, None)
