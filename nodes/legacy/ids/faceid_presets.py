"""What the FaceID presets mean: adapter and LoRA by what they hold. The adapters do not run here.

The published LoRAs have rank 128 at every projection of every attention.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import comfy.sd
import comfy.utils
from comfy.model_patcher import ModelPatcher

from ....ipadapter_core.adapter.checkpoint import SDXL_TEXT_WIDTH
from ....ipadapter_core.adapter.layout import flatten, shapes_of
from ...files import folders
from ...files.faceid_loras import LORAS, read_lora, twin_named
from ...files.file_specs import installed_spec
from .installed_files import PUBLISHED

LINKS = {file.name: file.link for file in PUBLISHED}
INSTEAD = (
    "replace it by IPAdapter Unified Loader with the preset 'PLUS FACE (portraits)' and Face Crop, "
    "or bypass it and its apply node"
)
IDENTITY, PLUS, PORTRAIT, UNNORM = "identity", "identity and look", "portrait", "unnorm portrait"


@dataclass(frozen=True)
class FaceIDFiles:
    """A preset for one base model: the published adapter and its LoRA, and what tells them."""

    adapter: str
    kind: str
    twin: str = ""
    lora: str | None = None


@dataclass(frozen=True)
class UnsupportedFaceID:
    """On an IPADAPTER link in the place of an adapter that does not run here; name: its file."""

    name: str

    def refusal(self, node_name: str) -> str:
        advice = INSTEAD.replace("replace it", "replace its loader")
        return (
            f"{node_name} got the FaceID adapter '{self.name}', which needs InsightFace, "
            f"and this pack does not run that: {advice}."
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
    content = files.kind, is_sdxl
    return _find(folders.ADAPTERS, files.adapter, content, files.twin, read_adapter, subject)


def lora_for(files: FaceIDFiles, is_sdxl: bool, subject: str) -> str:
    """The installed LoRA of a preset that has one. Raises ValueError."""
    return _find(LORAS, str(files.lora), is_sdxl, files.twin, read_lora, subject)


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


def _find(
    folder: str,
    published: str,
    content: object,
    twin: str,
    read: Callable[[Mapping[str, Any]], object],
    subject: str,
) -> str:
    fitting: list[tuple[bool, bool, str]] = []
    for name in folders.names(folder):
        if installed_spec(folder, name, read) != content:
            continue
        named_twin = twin_named(name)
        if named_twin in (twin, ""):  # a name that says nothing may be any of them
            fitting.append((named_twin != twin, "v11" not in name.lower(), name))
    if fitting:
        return min(fitting)[2]
    raise ValueError(
        f"{subject} needs InsightFace, which this pack does not run, and a file like "
        f"'{published}', of whose kind there is none in {folders.searched(folder)} "
        f"(it is at {LINKS[published]}): {INSTEAD}."
    )
