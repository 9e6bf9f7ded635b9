"""Train the demo's image encoder on its own pictures: from what it says of a picture, linear layers
that are thrown away afterwards tell every factor, the jitter, and which parts the shape covers.

    OMP_NUM_THREADS=1 python demo/train_encoder.py --host COMFYUI --work FOLDER

It sees no picture that is held out. Kept every 200 steps; goes on where it was stopped.
"""

import time
from pathlib import Path

import common
import encoder
import pictures
import torch
from torch import Tensor, nn

BATCH, STEPS, RATE, AVERAGE, KEEP = 96, 2600, 2e-3, 0.995, 200
NOISE = 0.03  # on half of the pictures
SIDE = 224
MEAN, SPREAD = (
    torch.tensor(values)[:, None, None]
    for values in (
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    )
)


def axis_filters() -> Tensor:
    """The host's enlarging to 224 pixels and one axis of `encoder.patch_basis`, as one matrix:
    [3, 16, 64].
    """
    size = pictures.SIDE
    enlarge = nn.functional.interpolate(
        torch.eye(size)[None, None], (SIDE, size), mode="bicubic", antialias=True
    )[0, 0]
    basis = encoder.patch_basis()[[0, 9, 18], 0].sum(-1)  # along y, constant along x
    return torch.einsum("np,gpx->ngx", basis, enlarge.unflatten(0, (encoder.GRID, -1)))


class Quick:
    """The filters of the patch embedding on pictures of 64 pixels, but for the host's rounding."""

    def __init__(self):
        self.axis = axis_filters()
        weight = encoder.start(common.generator(encoder.SEED))["embeddings.patch_embedding.weight"]
        basis = encoder.patch_basis().flatten(1)
        self.mix = weight[encoder.SHOWN].flatten(1) @ torch.linalg.pinv(basis)

    def __call__(self, picture: Tensor) -> Tensor:
        """[B, 256, 96]"""
        pixels = (picture - MEAN) / SPREAD
        along = torch.einsum("bgx,dcyx->dcybg", self.axis, pixels)
        both = torch.einsum("ahy,dcybg->dhgabc", self.axis, along)
        return both.flatten(1, 2).flatten(2) @ self.mix.T


class Readout(nn.Module):
    """The targets to be read from the embeds: factors, jitter, and the area of the shape."""

    def __init__(self):
        super().__init__()
        self.sizes = (*pictures.COUNTS, 4, encoder.GRID**2)
        self.linear = nn.Linear(encoder.PROJECTION, sum(self.sizes))

    def loss(self, embeds: Tensor, scenes: pictures.Scenes) -> tuple[Tensor, float]:
        """And the share of right shapes."""
        *factors, jitter, cover = self.linear(embeds).split(self.sizes, 1)
        loss = 0.02 * embeds.mean(0).square().mean() + 0.02 * (embeds.square().mean() - 1).square()
        for number, logits in enumerate(factors):
            loss = loss + nn.functional.cross_entropy(logits, scenes.factors[:, number])
        parts = nn.functional.avg_pool2d(pictures.shape_cover(scenes), 4).flatten(1)
        loss = loss + (jitter - scenes.jitter).square().mean() + 4 * (cover - parts).square().mean()
        return loss, float((factors[0].argmax(1) == scenes.factors[:, 0]).float().mean())


class Training:
    def __init__(self, work: Path, seed: int = 0):
        torch.manual_seed(seed)
        self.path, self.output = work / "training-encoder.pt", work / "encoder.safetensors"
        self.weights = encoder.untrained()
        self.readout, self.filters = Readout(), Quick()
        self.parameters = [w.requires_grad_() for w in self.weights.values()]
        self.average = [p.detach().clone() for p in self.parameters]
        every = [*self.parameters, *self.readout.parameters()]
        self.optimizer = torch.optim.AdamW(every, RATE, (0.9, 0.99), weight_decay=0.01)
        self.tower = encoder.Tower(self.weights)
        self.source, self.step = common.generator(seed), 0
        if self.path.exists():
            self.resume()

    def resume(self) -> None:
        state = torch.load(self.path, weights_only=True)
        for parameter, value in zip(self.parameters, state["weights"], strict=True):
            parameter.data.copy_(value)
        self.readout.load_state_dict(state["readout"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step = state["average"], state["step"]
        self.source.set_state(state["source"])

    def keep(self) -> None:
        state = {"weights": [p.detach() for p in self.parameters], "step": self.step}
        state |= {"readout": self.readout.state_dict(), "average": self.average}
        state |= {"optimizer": self.optimizer.state_dict(), "source": self.source.get_state()}
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)
        weights = dict(zip(self.weights, self.average, strict=True))
        common.save(self.output, weights, steps=self.step)

    def update(self) -> tuple[float, float]:
        """One step: its loss and the share of right shapes."""
        scenes = pictures.draw_scenes(BATCH, self.source)
        picture = pictures.render(scenes)
        noise = NOISE * torch.randn(picture.shape, generator=self.source)
        picture[::2] = (picture + noise)[::2].clamp(0, 1)
        with torch.autocast("cpu", torch.bfloat16):
            embeds = self.tower.embeds_of_patches(self.filters(picture))
        loss, accuracy = self.readout.loss(embeds.float(), scenes)
        rate = RATE * min(1, (self.step + 1) / 100) * (1 - self.step / STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        share = 1 - min(AVERAGE, self.step / (self.step + 10))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], share)
        return loss.item(), accuracy

    def run(self) -> None:
        begun, first, losses, shapes = time.monotonic(), self.step, 0.0, 0.0
        while self.step < STEPS:
            loss, shape = self.update()
            losses, shapes = losses + loss / 50, shapes + shape / 50
            if self.step % 50 == 0:
                left = (STEPS - self.step) * (time.monotonic() - begun) / (self.step - first) / 60
                text = f"step {self.step}  loss {losses:.3f}  shapes {shapes:.0%}  {left:.0f} min"
                common.progress("encoder", self.step / STEPS, f"{text} left")
                losses, shapes = 0.0, 0.0
            if self.step % KEEP == 0 or self.step == STEPS:
                self.keep()


def main() -> None:
    arguments = common.parser(__doc__).parse_args()
    common.use_host(arguments.host)
    Training(arguments.work).run()


if __name__ == "__main__":
    main()
