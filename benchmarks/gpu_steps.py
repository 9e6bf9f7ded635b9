"""Whole steps on a GPU or a CPU: times, peaks of memory, synchronisations."""

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import inside

STEPS, WARM, ROUNDS = 10, 3, 3
# these ask the device for sigma or the timestep, once a call of the model
TIMED = "ours, timed"
ASKING = ("ours, window open", "ours, window closed", TIMED, f"{TIMED}, mask")


class MeasuredCase(Protocol):
    """A model's step that is measured."""

    gpu: bool
    steps: int

    def sample(self, model: Any, step: Callable[[Any], Any], steps: int) -> None:
        """One sampling of the host in which step(call) runs one call of the model."""


def report_waits(models: dict[str, Any], case: MeasuredCase) -> None:
    """Peaks of memory, and synchronisations that torch warns of."""
    waits_by_label = {label: waits(model, case) for label, model in models.items()}
    for label, (peak, syncs) in waits_by_label.items():
        print(
            f"{case}, {label}: peak {peak:.1f} MB, {syncs} synchronisations in {case.steps} steps"
        )
    plain = waits_by_label["plain"][1]
    for label in models.keys() - {"floor"}:
        allowed = case.steps if label in ASKING else 0
        if waits_by_label[label][1] > plain + allowed:
            sys.exit(f"The adapter waits for the device more than it may ({label}).")


def report_steps(models: dict[str, Any], case: MeasuredCase) -> None:
    """Whole steps, in shuffled order."""
    runs = {label: partial(step_time, model, case) for label, model in models.items()}
    runs["A/A"] = runs["plain"]
    inside.Times().measure(runs, 1)
    times = inside.Times().measure(runs, ROUNDS)
    plain = statistics.median(times.rounds["plain"])
    print(f"{case}, plain: {plain:.2f} ms a step")
    for label in [label for label in runs if label != "plain"]:
        added = times.added(label, "plain")
        print(f"{case}, step, {label}: {added} ms added, {100 * added.middle / plain:+.1f} %")


def waits(model: Any, case: MeasuredCase) -> tuple[float, int]:
    """MB at the peak and synchronisations in steps after the first ones."""
    import torch

    syncs: list[int] = []
    if case.gpu:
        torch.cuda.reset_peak_memory_stats()

    def step(call: Any) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            watch(case.gpu, True)
            out = call()
            watch(case.gpu, False)
        syncs.append(sum("synchroniz" in str(warning.message) for warning in caught))
        return out

    case.sample(model, step, case.steps + WARM)
    peak = torch.cuda.max_memory_allocated() / 1e6 if case.gpu else 0.0
    return peak, sum(syncs[WARM:])


def step_time(model: Any, case: MeasuredCase) -> float:
    """Median ms of a step."""
    times: list[float] = []

    def step(call: Any) -> Any:
        start = now(case.gpu)
        out = call()
        times.append(now(case.gpu) - start)
        return out

    case.sample(model, step, case.steps + WARM)
    return 1000 * statistics.median(times[WARM:])


def watch(gpu: bool, on: bool) -> None:
    if gpu:
        import torch

        torch.cuda.set_sync_debug_mode("warn" if on else "default")


def now(gpu: bool) -> float:
    if gpu:
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()
