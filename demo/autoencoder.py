"""Train the demo's autoencoder on its own pictures: TAESD, with half of its channels.

    OMP_NUM_THREADS=2 python demo/autoencoder.py --host COMFYUI --work FOLDER [--steps 3000]

`padded` gives it the true width: the other channels are zero and stay so, since nothing in it mixes channels but its
convolutions. Latents are held near unit size and the decoder sees them with a little noise, so that it forgives a sampler's errors.
"""

import math
import time
from pathlib import Path

import common
import pictures
import torch
from torch import Tensor, nn

BATCH = 8
RATE = 1e-3
THIN, FULL = 32, 64
NOISE = 0.1  # on the latents, whose size is about 1


def thin(channels: int = THIN) -> nn.ModuleDict:
    """The host's TAESD, layer by layer, with fewer channels."""
    from comfy.taesd.taesd import Block, Clamp, conv

    def stage() -> list[nn.Module]:
        return [Block(channels, channels) for _ in range(3)]

    def down() -> nn.Module:
        return conv(channels, channels, stride=2, bias=False)

    def up() -> list[nn.Module]:
        return [nn.Upsample(scale_factor=2), conv(channels, channels, bias=False)]

    one = Block(channels, channels)
    encoder = [conv(3, channels), one, *(m for _ in range(3) for m in (down(), *stage()))]
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


def loss_of(model: nn.Module, picture: Tensor, source: torch.Generator) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        latent = model["taesd_encoder"](picture).float()
        noise = torch.randn(latent.shape, generator=source)
        back = model["taesd_decoder"](latent + NOISE * noise).float()
    mean, spread = latent.mean((0, 2, 3)), latent.var((0, 2, 3))
    size = (mean**2).mean() + (spread.clamp_min(1e-3).log() ** 2).mean()
    error = back - picture
    return error.abs().mean() + (error**2).mean() + 0.01 * size


def train(work: Path, steps: int, seed: int = 0) -> None:
    model = start(seed).to(memory_format=torch.channels_last)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, RATE, betas=(0.9, 0.99), weight_decay=0.0)
    source = torch.Generator().manual_seed(seed)
    average = [p.detach().clone() for p in weights]
    begun, shown = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        done = step / steps
        rate = RATE * min(1, step / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        picture = pictures.render(pictures.draw_scenes(BATCH, source))
        loss = loss_of(model, picture.to(memory_format=torch.channels_last), source)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        torch._foreach_lerp_(
            average, [p.detach() for p in weights], 1 - min(0.995, step / (step + 10))
        )
        shown = loss.item() if not shown else 0.98 * shown + 0.02 * loss.item()
        if step % 50 == 0:
            minutes = (time.monotonic() - begun) / 60
            common.progress(
                "autoencoder", done, f"{minutes:.1f} min  step {step}  loss {shown:.4f}"
            )
    for parameter, value in zip(weights, average, strict=True):
        parameter.data.copy_(value)
    common.save(work / "autoencoder.safetensors", model.state_dict(), steps=steps, seed=seed)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    arguments = parser.parse_args()
    common.use_host(arguments.host)
    train(arguments.work, arguments.steps)


if __name__ == "__main__":
    main()
