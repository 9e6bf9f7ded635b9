"""The FaceID presets: adapter and LoRA, recognised by content."""

import logging
from dataclasses import dataclass
from typing import Any, cast

import comfy.sd
import comfy.utils
from comfy.model_patcher import ModelPatcher

from ....ipadapter_core.adapter.checkpoint import read_spec
from ....ipadapter_core.adapter.families import (
    FACEID,
    FACEID_PLUS,
    FACEID_PLUS_V2,
    FACEID_PORTRAIT,
    UNNORM,
    Family,
    family_named,
    twin_named,
)
from ...apply.lora import add_lora as add_adapter_lora
from ...files import folders
from ...files.faceid_loras import LORAS, find_lora
from ...files.file_specs import installed_spec
from ...files.twins import AUTO, VARIANTS
from ...sockets import LoadedAdapter
from .installed_files import PUBLISHED_FILES

log = logging.getLogger("ipadapter")

LINKS = {file.name: file.link for file in PUBLISHED_FILES}


@dataclass(frozen=True)
class FaceIDFiles:
    """A preset for one base model: the published adapter, its kind, and its LoRA."""

    adapter: str
    kind: str
    lora: str | None = None

    @property
    def is_sdxl(self) -> bool:
        return "_sdxl" in self.adapter

    @property
    def family(self) -> Family:
        family = family_named(self.kind)
        assert family is not None
        return family

    @property
    def variant(self) -> str:
        """Which of the adapters with equal shapes it is, for Load IPAdapter."""
        return self.kind if self.kind in VARIANTS else AUTO


def _with_lora(name: str, kind: str) -> FaceIDFiles:
    file = f"ip-adapter-faceid{name}"
    return FaceIDFiles(f"{file}.bin", kind, f"{file}_lora.safetensors")


def _portrait(name: str, kind: str = FACEID_PORTRAIT) -> FaceIDFiles:
    return FaceIDFiles(f"ip-adapter-faceid-portrait{name}.bin", kind)


# for SD1.5 and for SDXL
FACEID_PRESETS: dict[str, tuple[FaceIDFiles | None, FaceIDFiles | None]] = {
    "FACEID": (_with_lora("_sd15", FACEID), _with_lora("_sdxl", FACEID)),
    "FACEID PLUS - SD1.5 only": (_with_lora("-plus_sd15", FACEID_PLUS), None),
    "FACEID PLUS V2": (
        _with_lora("-plusv2_sd15", FACEID_PLUS_V2),
        _with_lora("-plusv2_sdxl", FACEID_PLUS_V2),
    ),
    "FACEID PORTRAIT (style transfer)": (_portrait("-v11_sd15"), _portrait("_sdxl")),
    "FACEID PORTRAIT UNNORM - SDXL only (strong)": (None, _portrait("_sdxl_unnorm", UNNORM)),
}


def adapter_for(files: FaceIDFiles, is_sdxl: bool, subject: str) -> str:
    """The installed adapter of a preset. Raises ValueError."""
    names = fitting_adapters(files.family, is_sdxl)
    if names:
        return names[0]
    raise ValueError(
        f"{subject} needs an adapter of the same kind as '{files.adapter}', but there is none in "
        f"{folders.searched(folders.ADAPTERS)}: put it there, from {LINKS[files.adapter]}."
    )


def with_lora(
    model: ModelPatcher, adapter: LoadedAdapter, files: FaceIDFiles, strength: float
) -> tuple[ModelPatcher, str]:
    """The model with a preset's LoRA, and the file that it is from, of its own or the adapter's;
    empty where there is none.
    """
    if files.lora is None or strength <= 0:
        return model, ""
    if name := find_lora(files.family, adapter.spec.is_sdxl):
        return add_lora(model, name, strength), name
    model, notes = add_adapter_lora(model, adapter, strength)
    for note in notes:
        log.warning("%s", note)
    return model, adapter.name if adapter.lora else ""


def add_lora(model: ModelPatcher, name: str, strength: float) -> ModelPatcher:
    """The model with a LoRA on it, by the host's own means."""
    path = folders.path_of(LORAS, name)
    weights: Any = comfy.utils.load_torch_file(path, safe_load=True)
    patched, _ = comfy.sd.load_lora_for_models(model, None, weights, strength, 0)
    return cast(ModelPatcher, patched)


def fitting_adapters(family: Family, is_sdxl: bool) -> list[str]:
    """The installed adapters of a family, the best first; of twins also files that no name tells
    apart.
    """
    fitting: list[tuple[bool, bool, str]] = []
    for name in folders.names(folders.ADAPTERS):
        spec = installed_spec(folders.ADAPTERS, name, read_spec)
        if spec is None or spec.is_sdxl != is_sdxl:
            continue
        named = twin_named(spec.family, name)
        if family in (spec.family.twins if named is None else (named,)):
            fitting.append((named is None, "v11" not in name.lower(), name))
    return [name for *_, name in sorted(fitting)]
