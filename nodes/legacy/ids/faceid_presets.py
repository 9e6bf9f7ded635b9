"""What the FaceID presets mean: adapter and LoRA by what the files hold.

The published LoRAs have rank 128 at every projection of every attention.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import comfy.sd
import comfy.utils
from comfy.model_patcher import ModelPatcher

from ....ipadapter_core.adapter import families
from ....ipadapter_core.adapter.checkpoint import SDXL_TEXT_WIDTH
from ....ipadapter_core.adapter.layout import flatten, shapes_of
from ...apply.lora import add_lora as add_adapter_lora
from ...files import folders
from ...files.faceid_loras import LORAS, read_lora, twin_named
from ...files.file_specs import installed_spec
from ...files.twins import AUTO
from ...sockets import LoadedAdapter
from .installed_files import PUBLISHED

log = logging.getLogger("ipadapter")

LINKS = {file.name: file.link for file in PUBLISHED}
IDENTITY, PLUS, PORTRAIT, UNNORM = "identity", "identity and look", "portrait", "unnorm portrait"


@dataclass(frozen=True)
class FaceIDFiles:
    """A preset for one base model: the published adapter and its LoRA, and what tells them."""

    adapter: str
    kind: str
    twin: str = ""
    lora: str | None = None

    @property
    def variant(self) -> str:
        """Which of the adapters with equal shapes it is, for Load IPAdapter."""
        if self.kind == UNNORM:
            return families.UNNORM
        return {"plusv2": families.FACEID_PLUS_V2, "plus": families.FACEID_PLUS}.get(
            self.twin, AUTO
        )


def _with_lora(name: str, kind: str, twin: str = "") -> FaceIDFiles:
    file = f"ip-adapter-faceid{name}"
    return FaceIDFiles(f"{file}.bin", kind, twin, f"{file}_lora.safetensors")


def _portrait(name: str, kind: str = PORTRAIT) -> FaceIDFiles:
    return FaceIDFiles(f"ip-adapter-faceid-portrait{name}.bin", kind)


PRESETS: dict[str, tuple[FaceIDFiles | None, FaceIDFiles | None]] = {  # for SD1.5 and for SDXL
    "FACEID": (_with_lora("_sd15", IDENTITY), _with_lora("_sdxl", IDENTITY)),
    "FACEID PLUS - SD1.5 only": (_with_lora("-plus_sd15", PLUS, "plus"), None),
    "FACEID PLUS V2": (
        _with_lora("-plusv2_sd15", PLUS, "plusv2"),
        _with_lora("-plusv2_sdxl", PLUS, "plusv2"),
    ),
    "FACEID PORTRAIT (style transfer)": (_portrait("-v11_sd15"), _portrait("_sdxl")),
    "FACEID PORTRAIT UNNORM - SDXL only (strong)": (None, _portrait("_sdxl_unnorm", UNNORM)),
}


def adapter_for(files: FaceIDFiles, is_sdxl: bool, subject: str) -> str:
    """The installed adapter of a preset. Raises ValueError."""
    names = _fitting(folders.ADAPTERS, (files.kind, is_sdxl), files.twin, read_adapter)
    if names:
        return names[0]
    raise ValueError(
        f"{subject} needs an adapter like '{files.adapter}', of whose kind there is none in "
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
    if names := _fitting(LORAS, adapter.spec.is_sdxl, files.twin, read_lora):
        return add_lora(model, names[0], strength), names[0]
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


def read_adapter(weights: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Kind of a FaceID adapter, and whether it is for SDXL; None: it is none."""
    shapes = shapes_of(flatten(weights))
    text_width = shapes.get("ip_adapter.1.to_k_ip.weight", ())[1:]
    if not text_width:
        return None
    is_sdxl = text_width[0] == SDXL_TEXT_WIDTH
    if shapes.get("image_proj.proj_in.weight", ())[1:] == (512,):
        return UNNORM, is_sdxl
    if any(key.startswith("image_proj.perceiver_resampler.") for key in shapes):
        return PLUS, is_sdxl
    if any("_lora." in key for key in shapes):
        return IDENTITY, is_sdxl
    has_mlp = "image_proj.proj.0.weight" in shapes and "image_proj.norm.weight" in shapes
    return (PORTRAIT, is_sdxl) if has_mlp else None


def _fitting(
    folder: str, content: object, twin: str, read: Callable[[Mapping[str, Any]], object]
) -> list[str]:
    """The files of a folder that hold that content, the best one first."""
    fitting: list[tuple[bool, bool, str]] = []
    for name in folders.names(folder):
        if installed_spec(folder, name, read) != content:
            continue
        named_twin = twin_named(name)
        if named_twin in (twin, ""):  # a name that says nothing may be any of them
            fitting.append((named_twin != twin, "v11" not in name.lower(), name))
    return [name for *_, name in sorted(fitting)]
