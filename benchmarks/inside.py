"""The real host in this process, on the CPU, with the pack loaded by the host's own loader."""

import asyncio
import logging
import os
import random
import statistics
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parent.parent


def start(tree: Path, device: str = "cpu", lowvram: bool = False) -> Any:
    """Import the host and return the pack's root module; the attention is torch's, as CUDA users
    get it.
    """
    sys.path[:] = [str(tree), *(p for p in sys.path if Path(p or os.curdir).resolve() != PACK)]
    sys.path += [str(PACK / "scripts"), str(PACK / "benchmarks")]
    warnings.simplefilter("ignore")
    import comfy.options  # noqa: F401 - without it the host would parse our command line
    from comfy.cli_args import args

    args.cpu, args.lowvram = device == "cpu", lowvram
    args.use_pytorch_cross_attention = True
    logging.disable(logging.INFO)
    import torch

    if device == "cpu":
        torch.set_num_threads(1)
    return load(PACK)


def load(folder: Path) -> Any:
    import nodes

    if not asyncio.run(nodes.load_custom_node(str(folder))):
        raise SystemExit(f"The host could not load the pack in {folder}.")
    return sys.modules[str(folder).replace(".", "_x_")]


def pin() -> None:
    """Stay on one core: a thread that wanders loses its caches."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})


def conditioning(kind: str, tokens: int) -> list:
    import hollow
    import torch

    return [
        [[torch.randn(1, tokens, hollow.TEXT[kind]), {"pooled_output": torch.randn(1, 1280)}]]
        for _ in range(2)
    ]


def sample(model: Any, kind: str, shape: tuple[int, int], step: Any, steps: int) -> None:
    """One sampling of the host in which step(call) runs one call of the model with both prompts.

    shape: latent side and batch. Without gradients, but not in inference mode, where some
    operations hide others from a count.
    """
    import hollow
    import torch

    import comfy.sample
    from comfy.samplers import KSAMPLER

    def sampler(denoise, noise, sigmas, extra_args=None, callback=None, disable=None):
        sigma = noise.new_full([len(noise)], 5.0)
        for _ in range(steps):
            out = step(lambda: denoise(noise, sigma, **extra_args))
        return out

    latent, batch = shape
    empty = torch.zeros(batch, 4, latent, latent)
    conds = conditioning(kind, hollow.TEXT_TOKENS)
    settings = {"disable_pbar": True, "seed": 0}
    with torch.no_grad():
        sigmas = torch.tensor([5.0, 0.0])
        comfy.sample.sample_custom(
            model, empty + 1, 5.0, KSAMPLER(sampler), sigmas, *conds, empty, **settings
        )


def timed_steps(model: Any, kind: str, shape: tuple[int, int], steps: int) -> float:
    """Median CPU time in ms of a step after the first."""
    times = []

    def step(call: Any) -> Any:
        start = time.thread_time()
        out = call()
        times.append(1000 * (time.thread_time() - start))
        return out

    sample(model, kind, shape, step, steps + 1)
    return statistics.median(times[1:])


@dataclass
class Times:
    """CPU times of several things that run in shuffled order, round by round."""

    rounds: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, variants: dict[str, Any], rounds: int) -> "Times":
        order = list(variants)
        for _ in range(rounds):
            random.shuffle(order)
            for name in order:
                self.rounds.setdefault(name, []).append(variants[name]())
        return self

    def added(self, name: str, base: str) -> "Spread":
        pairs = zip(self.rounds[name], self.rounds[base], strict=True)
        return Spread.of([with_adapter - without for with_adapter, without in pairs])


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        low, middle, high = (
            statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        )
        return cls(middle, low, high)

    def __str__(self) -> str:
        return f"{self.middle:.1f} [{self.low:.1f}..{self.high:.1f}]"
