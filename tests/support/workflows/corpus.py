"""A server for the corpus: every published kind of adapter in small, encoders with few layers, the
files graphs load.
"""

import json
import shutil
from pathlib import Path

import adapter_layouts
import make_flux
import make_models
import torch

from support import short_encoders, tiny

TESTS = Path(__file__).parents[2]
PACKS = TESTS / "support" / "packs"
SD15, SDXL = tiny.SMALL["sd15"], tiny.SMALL["sdxl"]
# below models/ipadapter -> what makes it; a small resampler, as nobody looks at the pictures
MADE = {
    "ip-adapter_sd15.safetensors": (SD15, adapter_layouts.vit_h(SD15)),
    "ip-adapter_sd15_light_v11.bin": (SD15, adapter_layouts.vit_h(SD15)),
    "ip-adapter_sd15_vit-G.safetensors": (SD15, adapter_layouts.vit_g(SD15)),
    "plus/ip-adapter-plus_sd15.bin": (SD15, adapter_layouts.resampler(SD15, 128)),
    "plus/ip-adapter-plus-face_sd15.bin": (SD15, adapter_layouts.resampler(SD15, 128)),
    "ip-adapter-full-face_sd15.safetensors": (SD15, adapter_layouts.mlp(SD15)),
    "ip_plus_composition_sd15.bin": (SD15, adapter_layouts.resampler(SD15, 128)),
    "ip-adapter_sdxl_vit-h.bin": (SDXL, adapter_layouts.vit_h(SDXL)),
    "ip-adapter_sdxl.safetensors": (SDXL, adapter_layouts.vit_g(SDXL)),
    "ip-adapter-plus_sdxl_vit-h.safetensors": (SDXL, adapter_layouts.resampler(SDXL, 128)),
}
LINKED = ("ip-adapter-plus-face_sdxl_vit-h.safetensors", "ip_plus_composition_sdxl.safetensors")
TOWERS = {
    "clip_vision/first.safetensors": "vit-h",
    "clip_vision/second.safetensors": "vit-g",
    "clip_vision/third.safetensors": "vit-l",
}


def prepare(folder: Path, model_folder: Path) -> None:
    """Writes the models; the checkpoint is that of other tests."""
    for name, (base, projection) in MADE.items():
        layout = adapter_layouts.adapter(base, projection)
        tensors = make_models.draw(layout, make_models.generator(name, 0))
        make_models.save(folder / "ipadapter" / name, tensors)
    for name, tensors in (
        ("xlabs.safetensors", make_flux.adapter_tensors()),
        ("instantx.bin", make_flux.instantx_tensors()),
    ):
        make_models.save(folder / "ipadapter" / name, tensors)
    for name in LINKED:
        (folder / "ipadapter" / name).symlink_to("ip-adapter-plus_sdxl_vit-h.safetensors")
    for name, tower in TOWERS.items():
        make_models.save(folder / name, short_encoders.encoder_tensors(tower))
    (folder / "checkpoints").symlink_to(model_folder / "checkpoints")
    packs = folder / "custom_nodes"
    shutil.copytree(PACKS / "short_pack", packs / "short_pack")
    shutil.copytree(PACKS / "counting_pack", packs / "counting_pack")


def flags(folder: Path, work: Path) -> tuple[str, ...]:
    """Flags of a server with these models; its input folder gets a picture and two embeds files."""
    names = ("checkpoints", "ipadapter", "clip_vision", "custom_nodes")
    config = work / "paths.yaml"  # JSON is YAML
    paths = {name: name for name in names}
    config.write_text(json.dumps({"corpus": {"base_path": str(folder), **paths}}))
    (work / "input").mkdir(exist_ok=True)
    shutil.copy(TESTS / "data" / "portrait.jpg", work / "input")
    source = torch.Generator().manual_seed(4)
    for name, shape in (("one.ipadpt", (1, 1024)), ("stack.ipadpt", (2, 1, 1024))):
        torch.save(torch.randn(shape, generator=source), work / "input" / name)
    return ("--extra-model-paths-config", str(config))
