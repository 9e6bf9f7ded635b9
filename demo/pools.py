"""The pools of training examples for UNet and adapter: scenes, their encoder outputs and latents,
each made once and kept in a file.
"""

from collections.abc import Callable
from pathlib import Path

import autoencoder
import common
import encoder
import pictures
import torch
from torch import Tensor, nn

POOL, MIXED, PAIRS = 8000, 3000, 5000


def features_pool(work: Path, seed: int) -> dict[str, Tensor]:
    """Scenes and what the encoder makes of them, kept in a file."""
    path = work / "features.safetensors"
    if not path.exists():
        weights = common.load(work / "encoder.safetensors")
        tower = encoder.Tower({key: value.half().float() for key, value in weights.items()})
        source = common.generator(seed)
        scenes = pictures.draw_scenes(POOL, source)
        batches = []
        for start in range(0, POOL, 100):
            picture = pictures.render(scenes[start : start + 100])
            with torch.inference_mode():
                batches.append(tower.embeds(picture).half())
            common.progress("features", start / POOL, "")
        pool = {"factors": scenes.factors, "jitter": scenes.jitter, "embeds": torch.cat(batches)}
        common.save(path, pool, seed=seed)
    return common.load(path)


def latents_pool(work: Path, pool: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Latents of every scene, of layouts of one with the style of another, and of pairs."""
    path = work / "latents.safetensors"
    if not path.exists():
        source = common.generator(seed + 1)
        scenes = pictures.Scenes(pool["factors"], pool["jitter"])
        layout, style = torch.randint(0, POOL, (2, 2 * MIXED), generator=source)
        mixed_scenes = scenes[style].with_layout_of(scenes[layout])
        training_scenes = (~pictures.held_out(mixed_scenes.factors)).nonzero().flatten()[:MIXED]
        latents = {"layout": layout[training_scenes], "style": style[training_scenes]}
        coder = load_autoencoder(work)
        latents |= {
            "own": encode(coder, pictures.render, scenes),
            "mixed": encode(coder, pictures.render, mixed_scenes[training_scenes]),
        }
        first, second = torch.randint(0, POOL, (2, 2 * PAIRS), generator=source)
        in_two_places = scenes.factors[first, 4] != scenes.factors[second, 4]
        first, second = (x[in_two_places][:PAIRS] for x in (first, second))
        pairs = encode(coder, pictures.render_pairs, scenes[first], scenes[second])
        latents |= {"first": first, "second": second, "pairs": pairs}
        common.save(path, latents)
    return common.load(path)


def load_autoencoder(work: Path) -> nn.ModuleDict:
    coder = autoencoder.thin()
    coder.load_state_dict(
        common.load(work / f"autoencoder-{len(autoencoder.STAGES) - 1}.safetensors")
    )
    return coder.requires_grad_(False).to(memory_format=torch.channels_last)


@torch.inference_mode()
def encode(coder: nn.ModuleDict, render: Callable[..., Tensor], *scenes: pictures.Scenes) -> Tensor:
    batches, count = [], len(scenes[0])
    for start in range(0, count, 50):
        picture = render(*(x[start : start + 50] for x in scenes))
        picture = picture.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            batches.append(coder["taesd_encoder"](picture).float())
        common.progress("latents", start / count, "")
    return torch.cat(batches)


def whitening(embeds: Tensor) -> Tensor:
    """Evens out how strongly the features vary, except where they hardly vary at all."""
    values, vectors = torch.linalg.eigh(embeds.T @ embeds / len(embeds))
    return vectors @ (values.clamp_min(0) + 0.02).rsqrt().diag() @ vectors.T
