"""Model files with random weights in the true layout, for the demo and the tests.

    python scripts/make_models.py FOLDER --host COMFYUI       (the Python of the host: see
    scripts/host)

Every file says in its name and in its metadata that its weights are random. A file that is there
already is left alone; a seed and a name always give the same weights.
"""

import argparse
import json
import os
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from adapter_layouts import Base, Layout, Shape, dense, layout, norm
from torch import Tensor

Tensors = dict[str, Tensor]
DTYPES = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}


# ---- weights -------------------------------------------------------------------------------------


def generator(name: str, seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(f"{name} {seed}".encode()))


def draw(shapes: Layout, source: torch.Generator, dtype: torch.dtype = torch.float16) -> Tensors:
    """Weights that keep a signal's size: scaled by fan-in, norms near 1, biases near 0."""
    return {key: draw_one(key, shape, source).to(dtype) for key, shape in shapes.items()}


def draw_one(key: str, shape: Shape, source: torch.Generator) -> Tensor:
    values = torch.randn(shape, generator=source)
    if len(shape) <= 1:
        return values * 0.1 + (1 if key.endswith(".weight") else 0)
    # `latents` is a list of rows
    fan_in = values[0].numel() if key.endswith(".weight") else shape[-1]
    return values * fan_in**-0.5


def adapter_tensors(
    name: str, base: Base | None = None, seed: int = 0, dtype: torch.dtype = torch.float16
) -> Tensors:
    """Random weights of an adapter, flat, as in its `.safetensors`."""
    return draw(layout(name, base), generator(name, seed), dtype)


def nested(tensors: Mapping[str, Tensor]) -> dict[str, Tensors]:
    """The same as in its `.bin`."""
    parts: dict[str, Tensors] = {"image_proj": {}, "ip_adapter": {}}
    for key, value in tensors.items():
        part, _, rest = key.partition(".")
        parts[part][rest] = value
    return parts


# ---- encoders ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tower:
    depth: int
    hidden: int
    inner: int
    projection: int


TOWERS = {"vit-h": Tower(32, 1280, 5120, 1024), "vit-g": Tower(48, 1664, 8192, 1280)}
TOWERS["vit-l"] = Tower(24, 1024, 4096, 768)


def encoder_tensors(name: str, seed: int = 0) -> Tensors:
    """A CLIP vision tower in the layout of transformers, fp16. All layers are one and the same
    tensors.

    Each layer adds little (1/sqrt(2 depth)) to what went in, and attention is sharp, so that
    different pictures keep different features to the end.
    """
    tower, source = TOWERS[name], generator(name, seed)
    embedding_shapes = {
        "class_embedding": (tower.hidden,),
        "patch_embedding.weight": (tower.hidden, 3, 14, 14),
        "position_embedding.weight": (257, tower.hidden),
    }
    tensors = nest_tensors("vision_model.embeddings", draw(embedding_shapes, source))
    tensors |= nest_tensors(
        "vision_model",
        draw(norm("pre_layrnorm", tower.hidden) | norm("post_layernorm", tower.hidden), source),
    )
    tensors |= draw({"visual_projection.weight": (tower.projection, tower.hidden)}, source)
    layer_shapes = norm("layer_norm1", tower.hidden) | norm("layer_norm2", tower.hidden)
    for x in ("q", "k", "v", "out"):
        layer_shapes |= dense(f"self_attn.{x}_proj", tower.hidden, tower.hidden)
    layer_tensors = draw(
        layer_shapes
        | dense("mlp.fc1", tower.inner, tower.hidden)
        | dense("mlp.fc2", tower.hidden, tower.inner),
        source,
    )
    for key, gain in {
        "self_attn.q_proj": 3.0,
        "self_attn.out_proj": (2 * tower.depth) ** -0.5,
        "mlp.fc2": (2 * tower.depth) ** -0.5,
    }.items():
        layer_tensors[f"{key}.weight"] *= gain
        layer_tensors[f"{key}.bias"] *= gain
    for number in range(tower.depth):
        tensors |= nest_tensors(f"vision_model.encoder.layers.{number}", layer_tensors)
    return tensors


def nest_tensors(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{key}": value for key, value in tensors.items()}


# ---- checkpoints ---------------------------------------------------------------------------------

# Detection wants model_channels 320 and the text widths; every block as wide as the first is the
# smallest.
SMALL_SD15 = Base(768, (320,) * 16)
SMALL_SDXL = Base(2048, (320,) * 70)
UNETS = {
    "sd15": {
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 1, 1, 1],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1] * 9 + [0, 0, 0],
        "transformer_depth_middle": 1,
        "use_linear_in_transformer": False,
        "context_dim": 768,
        "adm_in_channels": None,
    },
    "sdxl": {
        "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 1, 1],
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "transformer_depth_middle": 10,
        "use_linear_in_transformer": True,
        "context_dim": 2048,
        "adm_in_channels": 2816,
        "num_classes": "sequential",
    },
}
COMMON = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "use_spatial_transformer": True,
    "use_checkpoint": False,
    "legacy": False,
    "use_temporal_resblock": False,
    "use_temporal_attention": False,
}


def fill(module: torch.nn.Module, source: torch.Generator) -> torch.nn.Module:
    """Random weights for a module of the host, which leaves its parameters uninitialised."""
    for key, value in module.state_dict().items():
        value.copy_(draw_one(key, tuple(value.shape), source))
    return module


def unet(kind: str, seed: int = 0, **overrides) -> torch.nn.Module:
    """The host's own UNet class, `sd15` or `sdxl`, as a BaseModel; `over` changes its
    configuration.
    """
    import comfy.supported_models

    family = {"sd15": comfy.supported_models.SD15, "sdxl": comfy.supported_models.SDXL}[kind]
    config = family({**COMMON, **UNETS[kind], **overrides})
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device=torch.device("cpu"))
    fill(model.diffusion_model, generator(kind, seed))
    return model


def checkpoint_tensors(kind: str, seed: int = 0, text: bool = False) -> Tensors:
    """A checkpoint that CheckpointLoaderSimple loads: UNet in fp16, a TAESD decoder, CLIP-L if
    `text`.
    """
    unet_module = unet(kind, seed).diffusion_model
    tensors = {f"model.diffusion_model.{k}": v.half() for k, v in unet_module.state_dict().items()}
    tensors |= nest_tensors("first_stage_model", vae_tensors(4, seed))
    return tensors | (text_encoder_tensors(seed) if text else {})


def vae_tensors(latent_channels: int, seed: int = 0) -> Tensors:
    import comfy.taesd.taesd

    decoder = comfy.taesd.taesd.TAESD(latent_channels=latent_channels)
    tensors = fill(decoder, generator("taesd", seed)).state_dict()
    return tensors | {"vae_scale": torch.tensor(1.0), "vae_shift": torch.tensor(0.0)}


def text_encoder_tensors(seed: int = 0) -> Tensors:
    import comfy.clip_model
    import comfy.ops
    import comfy.sd1_clip

    path = Path(comfy.sd1_clip.__file__).with_name("sd1_clip_config.json")
    config = json.loads(path.read_text())
    operations = comfy.ops.disable_weight_init
    model = comfy.clip_model.CLIPTextModel(config, torch.float32, "cpu", operations)
    weights = fill(model, generator("clip-l", seed)).state_dict()
    without_projection = {
        key: value.half() for key, value in weights.items() if key != "text_projection.weight"
    }
    return {
        f"cond_stage_model.transformer.{key}": value for key, value in without_projection.items()
    }


# ---- files ---------------------------------------------------------------------------------------


def save(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """Write a .safetensors, or a nested .bin, that says what it is; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(f"{path.name}.{os.getpid()}.part")  # another may be making it too
    if path.suffix == ".bin":
        torch.save(nested(tensors), partial_path)
    else:
        write_safetensors(partial_path, tensors)
    os.replace(partial_path, path)
    return path


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """One tensor after the other: the library wants all of them twice in memory, also those that
    are one and the same.

    The format: https://huggingface.co/docs/safetensors/index#format.
    """
    header: dict[str, Any] = {"__metadata__": {"about": "random weights, for tests and demos"}}
    end = 0
    for key, value in tensors.items():
        start, end = end, end + value.nbytes
        entry = {"dtype": DTYPES[value.dtype], "shape": list(value.shape)}
        header[key] = entry | {"data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in tensors.values():
            file.write(value.contiguous().flatten().view(torch.uint8).numpy())


DEMO = {  # below models/ -> what makes it
    "checkpoints/random-sd15.safetensors": partial(checkpoint_tensors, "sd15", text=True),
    "clip_vision/random-vit-h.safetensors": partial(encoder_tensors, "vit-h"),
    "ipadapter/random-base-sd15.safetensors": partial(
        adapter_tensors, "ip-adapter_sd15", SMALL_SD15
    ),
    "ipadapter/random-plus-sd15.safetensors": partial(
        adapter_tensors, "ip-adapter-plus_sd15", SMALL_SD15
    ),
}


def make_demo_models(folder: Path) -> list[Path]:
    """The demo's models below a `models` folder; those that are there already are left alone."""
    paths = []
    for name, make in DEMO.items():
        path = folder / name
        if not path.exists():
            print(f"[models] {name}: random weights of the true layout", file=sys.stderr)
            save(path, make())
        paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the host's models folder, or one like it")
    parser.add_argument("--host", type=Path, required=True, help="the ComfyUI folder")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.host))
    import comfy.options  # noqa: F401 - without it the host would parse this command line
    from comfy.cli_args import args

    args.cpu = True
    make_demo_models(arguments.folder)


if __name__ == "__main__":
    main()
