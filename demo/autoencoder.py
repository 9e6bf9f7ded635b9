"""Train the demo's autoencoder on its own pictures: TAESD, with half of its channels.

    OMP_NUM_THREADS=2 python demo/autoencoder.py --host COMFYUI --work FOLDER

`padded` gives it the true width: the other channels are zero and stay so, since nothing in it mixes
channels but its convolutions. Latents are held near unit size and the decoder sees them with a
little noise, so that it forgives a sampler's errors.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import common
import pictures
import torch
from torch import Tensor, nn

BATCH = 8
THIN, FULL = 32, 64


@dataclass(frozen=True)
class Stage:
    """noise: on the latents, whose size is about 1; outline: how much more the shape's edge
    counts.
    """

    steps: int
    rate: float
    noise: float
    outline: float


STAGES = Stage(3000, 1e-3, 0.1, 0.0), Stage(2000, 8e-4, 0.06, 6.0)


def thin(channels: int = THIN) -> nn.ModuleDict:
    """The host's TAESD, layer by layer, with fewer channels."""
    from comfy.taesd.taesd import Block, Clamp, conv

    def stage() -> list[nn.Module]:
        return [Block(channels, channels) for _ in range(3)]

    def down() -> nn.Module:
        return conv(channels, channels, stride=2, bias=False)

    def up() -> list[nn.Module]:
        return [nn.Upsample(scale_factor=2), conv(channels, channels, bias=False)]

    block = Block(channels, channels)
    encoder = [conv(3, channels), block, *(m for _ in range(3) for m in (down(), *stage()))]
    decoder = [
        Clamp(),
        conv(4, channels),
        nn.ReLU(),
        *(m for _ in range(3) for m in (*stage(), *up())),
    ]
    last = [Block(channels, channels), conv(channels, 3)]
    return nn.ModuleDict(
        {
            "taesd_encoder": nn.Sequential(*encoder, conv(channels, 4)),
            "taesd_decoder": nn.Sequential(*decoder, *last),
        }
    )


def start(seed: int) -> nn.ModuleDict:
    source = common.generator(seed)
    model = thin()
    for key, value in model.named_parameters():
        if value.ndim == 4:
            gain = 0.2 if key.endswith("conv.4.weight") else 1.0  # a block begins as nearly nothing
            value.data.normal_(0, 1, generator=source).mul_(gain * (2 / value[0].numel()) ** 0.5)
        else:
            value.data.zero_()
    return model


def padded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same autoencoder with TAESD's 64 channels."""
    return {key: _pad(value) for key, value in tensors.items()}


def _pad(value: Tensor) -> Tensor:
    shape = [FULL if size == THIN else size for size in value.shape]
    wide = torch.zeros(shape, dtype=value.dtype)
    wide[tuple(slice(size) for size in value.shape)] = value
    return wide


def loss_of(
    model: nn.ModuleDict, scenes: pictures.Scenes, stage: Stage, source: torch.Generator
) -> Tensor:
    picture = pictures.render(scenes).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        latent = model["taesd_encoder"](picture).float()
        noise = torch.randn(latent.shape, generator=source)
        back = model["taesd_decoder"](latent + stage.noise * noise).float()
    mean, spread = latent.mean((0, 2, 3)), latent.var((0, 2, 3))
    size = (mean**2).mean() + (spread.clamp_min(1e-3).log() ** 2).mean()
    weight = 1 + stage.outline * outline(scenes)
    error = back - picture
    return ((error.abs() + error**2) * weight / weight.mean()).mean() + 0.01 * size


def outline(scenes: pictures.Scenes) -> Tensor:
    """1 near the edge of the shape, [B, 1, 64, 64]."""
    cover = pictures.shape_cover(scenes)
    inside, outside = (nn.functional.max_pool2d(x, 5, 1, 2) for x in (cover, 1 - cover))
    return torch.minimum(inside, outside)


def train(work: Path, number: int, seed: int = 0) -> None:
    """One stage, from where the one before has ended."""
    stage, model = STAGES[number], start(seed)
    if number:
        model.load_state_dict(common.load(work / f"autoencoder-{number - 1}.safetensors"))
    model = model.to(memory_format=torch.channels_last)
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW(weights, stage.rate, betas=(0.9, 0.99), weight_decay=0.0)
    source = common.generator(seed + number)
    average = [p.detach().clone() for p in weights]
    begun, mean_loss = time.monotonic(), 0.0
    for step in range(1, stage.steps + 1):
        progress = step / stage.steps
        slow = 0.02 + 0.49 * (1 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = stage.rate * min(1, step / 100) * slow
        loss = loss_of(model, pictures.draw_scenes(BATCH, source), stage, source)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        share = 1 - min(0.995, step / (step + 10))
        torch._foreach_lerp_(average, [p.detach() for p in weights], share)
        mean_loss = loss.item() if not mean_loss else 0.98 * mean_loss + 0.02 * loss.item()
        if step % 50 == 0:
            minutes = (time.monotonic() - begun) / 60
            text = f"stage {number}  step {step}  loss {mean_loss:.4f}  {minutes:.1f} min"
            common.progress("autoencoder", progress, text)
    for parameter, value in zip(weights, average, strict=True):
        parameter.data.copy_(value)
    common.save(work / f"autoencoder-{number}.safetensors", model.state_dict())


def main() -> None:
    arguments = common.parser(__doc__).parse_args()
    common.use_host(arguments.host)
    for number in range(len(STAGES)):
        if not (arguments.work / f"autoencoder-{number}.safetensors").exists():
            train(arguments.work, number)


if __name__ == "__main__":
    main()
