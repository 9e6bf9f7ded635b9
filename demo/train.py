"""Train the demo's UNet and adapter together, from nothing. Stops and goes on where it was.

    OMP_NUM_THREADS=1 nice python demo/train.py --host COMFYUI --work FOLDER [--steps 20000]

Standard epsilon objective on SD1.5's schedule. Of a target's two halves, layout and style, the
layers of one set see only a reference that shares its layout, the layers of the other only one that
shares its style: mostly one and the same picture, in a fifth of the cases two different ones. Each
half, and both, are left out now and then; the target has that half of any other picture then. In
the last steps also about a quarter of the targets are put together of two pictures side by side or
one above the other, and each reference acts in its own part alone, the second one only half of the
time; and some show two shapes for two references that act at half weight each.
"""

import argparse
import math
import time
from pathlib import Path

import common
import model
import pools
import torch
from torch import Tensor, nn

BATCH, RATE, AVERAGE = 16, 7e-4, 0.995
CASES = {"both": 0.45, "mixed": 0.2, "style": 0.1, "layout": 0.1, "none": 0.15}
LATER = {"both": 0.15, "mixed": 0.05, "style": 0.05, "layout": 0.1, "none": 0.1}
LATER |= {"parts": 0.25, "pairs": 0.3}
FIRST = 10000  # steps without parts; then the learning rate rises to a half again
GRID = 8  # side of the latents
# limits to how much a noisy step counts, and the step that parts them
EARLY, LATE, TURN = 8, 50, 1000
KEEP = 250  # steps between saves


class Training:
    def __init__(self, work: Path, steps: int, seed: int, start: Path | None):
        self.work, self.steps, self.path = work, steps, work / "training.pt"
        pool = pools.features_pool(work, seed)
        self.embeds = pool["embeds"].float()
        self.latents = pools.latents_pool(work, pool, seed)
        self.unet = model.unet(seed)
        self.adapter = model.Adapter(pools.whitening(self.embeds), seed)
        self.parts = {"unet": self.unet, "adapter": self.adapter}
        self.weights = [p for part in self.parts.values() for p in part.parameters()]
        self.weights = [p for p in self.weights if p.requires_grad]
        self.average = [p.detach().clone() for p in self.weights]
        self.optimizer = torch.optim.AdamW(
            self.weights, RATE, (0.9, 0.99), fused=True, weight_decay=0.01
        )
        self.source = common.generator(seed + 2)
        self.alphas = model.cumulative_alphas()
        self.context = model.context()
        self.step = 0
        if self.path.exists():
            self.resume()
        elif start:
            self.start_from(start)

    def start_from(self, path: Path) -> None:
        """Of trained weights: what is left are the steps after the first."""
        tensors = common.load(path)
        for name, part in self.parts.items():
            part.load_state_dict(common.part(tensors, name))
        self.average = [p.detach().clone() for p in self.weights]
        self.step = FIRST

    def resume(self) -> None:
        state = torch.load(self.path, weights_only=True)
        for part, values in state["parts"].items():
            self.parts[part].load_state_dict(values)
        self.average, self.step = state["average"], state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.source.set_state(state["source"])

    def keep(self) -> None:
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        state = {"parts": parts, "average": self.average, "step": self.step}
        state |= {"optimizer": self.optimizer.state_dict(), "source": self.source.get_state()}
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)
        with Averaged(self.weights, self.average):
            self.export()

    def export(self) -> None:
        tensors = {f"unet.{k}": v for k, v in self.unet.state_dict().items()}
        tensors |= {f"adapter.{k}": v for k, v in self.adapter.state_dict().items()}
        common.save(self.work / "trained.safetensors", tensors, steps=self.step)

    def batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Latents; features that the layers for layout and for style see; where they act; features
        elsewhere.
        """
        shares = torch.tensor(list((CASES if self.step < FIRST else LATER).values()))
        case = torch.multinomial(shares, BATCH, True, generator=self.source)
        chosen = torch.randint(0, pools.POOL, (BATCH,), generator=self.source)
        mixed = torch.randint(0, pools.MIXED, (BATCH,), generator=self.source)
        pair_number = torch.randint(0, pools.PAIRS, (BATCH,), generator=self.source)
        same, two, style, layout, _, parts, pairs = (case == n for n in range(len(LATER)))
        chosen = torch.where(pairs, self.latents["first"][pair_number], chosen)
        latent, second_picture = self.latents["own"][chosen], chosen
        mask = torch.ones(BATCH, GRID, GRID)
        beyond = parts | pairs
        if parts.any():
            second_picture = torch.randint(0, pools.POOL, (BATCH,), generator=self.source)
            inside = self.parts_of_pictures() | ~parts[:, None, None]
            latent = torch.where(inside[:, None], latent, self.latents["own"][second_picture])
            mask = inside.float()
            beyond = pairs | parts & (torch.rand(BATCH, generator=self.source) < 0.5)
        latent[pairs] = self.latents["pairs"][pair_number[pairs]]
        mask[pairs] = 0.5
        second_picture = torch.where(pairs, self.latents["second"][pair_number], second_picture)
        # what a half alone leaves open is that of any other picture
        is_mixed = two | style | layout
        latent = torch.where(is_mixed[:, None, None, None], self.latents["mixed"][mixed], latent)
        first = torch.where(is_mixed, self.latents["layout"][mixed], chosen)
        second = torch.where(is_mixed, self.latents["style"][mixed], chosen)
        is_whole = same | two | parts | pairs
        return (
            latent,
            self.embeds[first] * (is_whole | layout)[:, None],
            self.embeds[second] * (is_whole | style)[:, None],
            mask.flatten(1)[..., None],
            self.embeds[second_picture] * beyond[:, None],
        )

    def parts_of_pictures(self) -> Tensor:
        """Of each picture the part on one side of a line near its middle, [B, 8, 8] bool."""
        line = torch.randint(3, GRID - 2, (BATCH, 1, 1), generator=self.source)
        across, is_upright = torch.rand(2, BATCH, 1, 1, generator=self.source) < 0.5
        axis = torch.arange(GRID)
        place = torch.where(across, axis[None, None, :], axis[None, :, None])
        return (place < line) ^ is_upright

    def loss(self) -> Tensor:
        latent, *references = self.batch()
        time_ = torch.randint(0, 1000, (BATCH,), generator=self.source)
        noise = torch.randn(latent.shape, generator=self.source)
        alpha = self.alphas[time_][:, None, None, None]
        noisy = alpha.sqrt() * latent + (1 - alpha).sqrt() * noise
        with torch.autocast("cpu", torch.bfloat16):
            options = self.adapter.patches(*references)
            context = self.context.expand(BATCH, -1, -1)
            prediction = self.unet(
                noisy, time_.float(), context=context, transformer_options=options
            )
        error = ((prediction.float() - noise) ** 2).mean((1, 2, 3))
        ratio = (alpha / (1 - alpha)).flatten()
        # noisy steps count more, since they decide what the picture shows; nearly clean ones less
        limit = EARLY if self.step < TURN else LATE
        emphasis = (1 + 1 / ratio).clamp_max(limit) * (5 / ratio).clamp_max(1)
        return (error * emphasis).mean()

    def rate(self) -> float:
        """The learning rate: a rise and half a cosine, and half of one again for the steps after
        the first.
        """
        if self.step < FIRST:
            return RATE * min(1, (self.step + 1) / 200) * _fall(self.step / min(FIRST, self.steps))
        later = self.step - FIRST
        return RATE / 2 * min(1, (later + 1) / 50) * _fall(later / (self.steps - FIRST))

    def run(self) -> None:
        begun, first, mean_loss = time.monotonic(), self.step, 0.0
        while self.step < self.steps:
            rate = self.rate()
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss = self.loss()
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.weights, 1.0)
            self.optimizer.step()
            self.step += 1
            share = 1 - min(AVERAGE, self.step / (self.step + 10))
            torch._foreach_lerp_(self.average, [p.detach() for p in self.weights], share)
            mean_loss = loss.item() if not mean_loss else 0.99 * mean_loss + 0.01 * loss.item()
            if self.step % 50 == 0:
                speed = (self.step - first) / (time.monotonic() - begun)
                left = (self.steps - self.step) / speed / 60
                text = f"step {self.step}  loss {mean_loss:.4f}  {speed:.2f}/s  {left:.0f} min left"
                common.progress("training", self.step / self.steps, text)
            if self.step % KEEP == 0 or self.step == self.steps:
                self.keep()


def _fall(share: float) -> float:
    return 0.02 + 0.49 * (1 + math.cos(math.pi * share))


class Averaged:
    """While it lasts, the weights are their running average."""

    def __init__(self, weights: list[nn.Parameter], average: list[Tensor]):
        self.weights, self.average = weights, average

    def __enter__(self) -> None:
        self.swap()

    def __exit__(self, *_: object) -> None:
        self.swap()

    def swap(self) -> None:
        for weight, mean in zip(self.weights, self.average, strict=True):
            backup = weight.detach().clone()
            weight.data.copy_(mean)
            mean.copy_(backup)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--start", type=Path, help="trained weights to go on from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", action="store_true", help="only make the features")
    arguments: argparse.Namespace = parser.parse_args()
    common.use_host(arguments.host)
    if arguments.features:
        pools.features_pool(arguments.work, arguments.seed)
        return
    Training(arguments.work, arguments.steps, arguments.seed, arguments.start).run()


if __name__ == "__main__":
    main()
