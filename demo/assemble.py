"""Write the demo's model files below a models folder, from what is shipped and from seeds.

    python demo/assemble.py --host COMFYUI --work FOLDER

    checkpoints/demo-sd15.safetensors     UNet and autoencoder as trained, a text encoder that says
                                          nothing
    clip_vision/demo-vit-h.safetensors    what was trained of it and zeros, see encoder.py
    ipadapter/demo-base-sd15.safetensors  the adapter as trained

Files that are there already, made from these weights by this code, are left alone.
"""

import hashlib
import json
from pathlib import Path

import autoencoder
import common
import encoder
import model
import torch
from torch import Tensor

WEIGHTS = common.FOLDER / "weights.safetensors"
CODE = ("assemble.py", "autoencoder.py", "encoder.py", "model.py")
SOURCES = (WEIGHTS, *(common.FOLDER / name for name in CODE))
CHECKPOINT = "checkpoints/demo-sd15.safetensors"
ENCODER = "clip_vision/demo-vit-h.safetensors"
ADAPTER = "ipadapter/demo-base-sd15.safetensors"
ABOUT = "for the demo only, see demo/README.md"
# The adapter says itself which blocks learned what: they are not those of SD1.5.
METADATA = {ADAPTER: {"layers.style": "2:1, 3:1", "layers.composition": "0:1, 1:1"}}
SD15_SCALE = 0.18215  # the host divides SD1.5's latents by it before it decodes them


def checkpoint(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    unet_tensors = model.widened(common.part(tensors, "unet"))
    tensors_of_file = {
        f"model.diffusion_model.{key}": value.half() for key, value in unet_tensors.items()
    }
    autoencoder_tensors = autoencoder.padded(common.part(tensors, "autoencoder"))
    autoencoder_tensors |= {"vae_scale": torch.tensor(SD15_SCALE), "vae_shift": torch.tensor(0.0)}
    tensors_of_file |= {
        f"first_stage_model.{key}": value for key, value in autoencoder_tensors.items()
    }
    return tensors_of_file | {
        f"cond_stage_model.transformer.{k}": v for k, v in text_encoder().items()
    }


def text_encoder() -> dict[str, Tensor]:
    """CLIP-L of zeros whose last norm says one constant: every prompt means the same."""
    import comfy.clip_model
    import comfy.ops
    import comfy.sd1_clip

    path = Path(comfy.sd1_clip.__file__).with_name("sd1_clip_config.json")
    config = json.loads(path.read_text())
    operations = comfy.ops.disable_weight_init
    shapes = comfy.clip_model.CLIPTextModel(config, torch.float16, "meta", operations).state_dict()
    zeros = {key: torch.zeros(value.shape, dtype=torch.float16) for key, value in shapes.items()}
    del zeros["text_projection.weight"]
    zeros["text_model.final_layer_norm.bias"] = model.context()[0, 0].half()
    return zeros


def adapter(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.half() for k, v in model.widened(common.part(tensors, "adapter")).items()}


def tower(tensors: dict[str, Tensor]) -> encoder.Tower:
    return encoder.Tower(common.part(tensors, "encoder"))


def build(folder: Path) -> None:
    """Everything, or what is missing of it."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()
    stamp = folder / "made-from.txt"
    is_current = stamp.exists() and stamp.read_text() == digest
    shipped_tensors = common.load(WEIGHTS)
    for name, make_tensors in {
        CHECKPOINT: lambda: checkpoint(shipped_tensors),
        ADAPTER: lambda: adapter(shipped_tensors),
        ENCODER: lambda: encoder.tensors(tower(shipped_tensors)),
    }.items():
        if not (is_current and (folder / name).exists()):
            print(f"[models] {name}", flush=True)
            common.save(folder / name, make_tensors(), **METADATA.get(name, {}), about=ABOUT)
    stamp.write_text(digest)


def main() -> None:
    arguments = common.parser(__doc__).parse_args()
    common.use_host(arguments.host)
    build(arguments.work)


if __name__ == "__main__":
    main()
