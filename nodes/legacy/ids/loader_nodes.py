"""The loaders of IPAdapter_plus: files and presets, found by what the files hold."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from comfy.model_patcher import ModelPatcher

from ....ipadapter_core.adapter.families import KOLORS, SD15, SDXL
from ....ipadapter_core.adapter.features import WEBFACE_R50
from ...files import folders
from ...files.load import open_adapter, open_encoder_file
from ...sampling.layers import base_model
from . import faceid_presets, installed_files
from .adapter_link import make_link
from .face_analysis import SPACES, FaceAnalysis
from .old_node import OldNode, unknown_option

log = logging.getLogger("ipadapter")
T = TypeVar("T")


class LoadedFile(NamedTuple):
    name: str = ""
    content: Any = None


class ModelLoader(OldNode):
    FUNCTION = "load_ipadapter_model"

    @classmethod
    def VALIDATE_INPUTS(cls, ipadapter_file: str | None) -> bool | str:
        return installed_files.validate_adapter(ipadapter_file)

    @classmethod
    def IS_CHANGED(cls, ipadapter_file: str) -> str:
        return folders.stamp(folders.ADAPTERS, [installed_files.find_adapter(ipadapter_file)])

    def compute(self, ipadapter_file: str) -> tuple[Any, ...]:
        return (open_adapter(installed_files.find_adapter(ipadapter_file)),)


class UnifiedLoader(OldNode):
    """-> the model, and a link with adapter and encoder, loaded once for any model."""

    FUNCTION = "load_models"
    POSITIONAL = "model preset lora_strength provider ipadapter"
    PRESETS: ClassVar[Mapping[str, installed_files.KindPair]] = installed_files.PRESETS

    def __init__(self) -> None:
        self.adapter, self.encoder = LoadedFile(), LoadedFile()

    def compute(self, model, preset, lora_strength=0.0, provider="CPU", ipadapter=None):
        kind, subject = self.adapter_kind(model, preset), f"{self.NAME}'s preset '{preset}'"
        adapters = installed_files.installed_adapters(kind)
        if not adapters:
            raise ValueError(installed_files.missing_adapter(kind, subject))
        encoders = installed_files.installed_encoders(kind.published.encoder)
        if not encoders:
            raise ValueError(installed_files.missing_encoder(kind.published.encoder, subject))
        adapter, encoder = adapters[0], encoders[0]
        before, encoder_before = (_chained(ipadapter, part) for part in ("ipadapter", "clipvision"))
        self.adapter = _reuse(adapter, (self.adapter, before), open_adapter)
        self.encoder = _reuse(encoder, (self.encoder, encoder_before), open_encoder_file)
        log.info("%s takes '%s' with '%s'.", subject, adapter, encoder)
        return model, make_link(self.adapter.content, adapter, self.encoder.content, encoder)

    @classmethod
    def adapter_kind(cls, model: ModelPatcher, preset: str) -> installed_files.AdapterKind:
        """The kind of adapter that a preset means for this model. Raises ValueError."""
        base, needs_kolors = base_model(model), preset == KOLORS
        kind = _for_model(cls.PRESETS, preset, cls.NAME, base)
        if kind is None:
            reason = f"there is no such adapter for {base or 'this model'}"
            if needs_kolors:
                reason = f"it is for Kolors, and the model is {base or 'another one'}"
            raise ValueError(
                f"{cls.NAME}'s preset '{preset}' does not fit this model: {reason}; choose "
                "another preset."
            )
        return kind


class CommunityLoader(UnifiedLoader):
    PRESETS = installed_files.COMMUNITY_PRESETS


class FaceIDLoader(OldNode):
    """-> the model with the preset's LoRA, and a link with its adapter, encoder and faces."""

    FUNCTION = "load_models"

    def compute(self, model, preset, lora_strength=0.6, provider="CPU", ipadapter=None):
        subject, base = f"{self.NAME}'s preset '{preset}'", base_model(model)
        files = _for_model(faceid_presets.FACEID_PRESETS, preset, self.NAME, base)
        if files is None:
            raise ValueError(
                f"{subject} does not fit this model: there is no such adapter for "
                f"{base or 'this model'}; choose another preset."
            )
        name = faceid_presets.adapter_for(files, base == SDXL, subject)
        adapter = open_adapter(name, files.variant)
        model, lora_name = faceid_presets.with_lora(model, adapter, files, lora_strength)
        # without an encoder here, the apply node says which one it needs
        encoders = installed_files.installed_encoders(adapter.spec.encoder)[:1]
        encoder = open_encoder_file(encoders[0]) if encoders else None
        names = [name, *filter(None, [lora_name]), *encoders]
        log.info("%s takes %s.", subject, " with ".join(f"'{file}'" for file in names))
        analysis = FaceAnalysis(WEBFACE_R50, self.NAME)
        return model, make_link(adapter, name, encoder, "".join(encoders), analysis)


class InsightFaceLoader(OldNode):
    """This pack's detector and recogniser, as insightface's FaceAnalysis; the provider has no
    effect.
    """

    FUNCTION = "load_insightface"

    def compute(self, provider, model_name="buffalo_l"):
        if model_name not in SPACES:
            raise unknown_option(self.NAME, "model_name", model_name, SPACES)
        log.info("%s: faces are found on ComfyUI's device, not on '%s'.", self.NAME, provider)
        return (FaceAnalysis(SPACES[model_name], self.NAME),)


class InsightFaceLoaderFirst(InsightFaceLoader):
    """Until March 2024."""

    FUNCTION = "load_insight_face"


def _for_model(
    presets: Mapping[str, tuple[T | None, T | None]], preset: str, node_name: str, base: str
) -> T | None:
    """The entry of a preset for a base model. Raises ValueError for an unknown preset."""
    if preset not in presets:
        raise unknown_option(node_name, "preset", preset, presets)
    for_sd15, for_sdxl = presets[preset]
    return {
        SD15: for_sd15,
        SDXL: None if preset == KOLORS else for_sdxl,
        KOLORS: for_sdxl if preset == KOLORS else None,  # whose UNet is that of SDXL
    }.get(base)


def _chained(link: Any, part: str) -> LoadedFile:
    """The files loaded by the loader before this one in a chain."""
    is_chain = isinstance(link, dict) and "ipadapter" in link
    loaded: dict[str, Any] = (link.get(part) if is_chain else None) or {}
    return LoadedFile(loaded.get("file", ""), loaded.get("model"))


def _reuse(
    name: str, loaded: tuple[LoadedFile, LoadedFile], load: Callable[[str], Any]
) -> LoadedFile:
    """The file of that name if it is loaded already, else loaded now."""
    for file in loaded:
        if file.name == name and file.content is not None:
            return file
    return LoadedFile(name, load(name))
