"""The cost per step of the adapters for FLUX.1 and SD3.5 Large: real widths and numbers of tokens,
few blocks.

Called by scripts/bench with the host's folder.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import flux_sd3_models
import flux_sd3_variants
import inside
from flux_sd3_models import INSTANTX, REAL, SD35, XLABS, Case

GROWTH_ROUNDS = 2
MB = 1e6


def step_time(model: Any, case: Case, is_time_still: bool = True, steps: int = 4) -> float:
    """Median CPU time in ms of a step after the first."""
    times: list[float] = []

    def step(call: Any) -> Any:
        start = time.thread_time()
        out = call()
        times.append(1000 * (time.thread_time() - start))
        return out

    case.sample(model, step, steps, is_time_still)
    return statistics.median(times[1:])


def diffusers_steps(case: Case) -> dict[str, Callable[[], float]]:
    """The attention of the same layers by diffusers' processors, with the adapter and without."""
    import hollow
    import torch

    supply = hollow.Supply(torch.bfloat16)
    if case.name == INSTANTX:  # not in diffusers
        return {}
    make = {
        XLABS: flux_sd3_variants.flux_processors,
        SD35: flux_sd3_variants.sd3_processors,
    }[case.name]
    plain, own, attention, inputs, image = make(supply, case.sizes)
    attention = attention.to(torch.bfloat16)
    flux_sd3_models.hollow_projections(attention, supply)

    def run(processor: Any, extra: dict) -> float:
        times: list[float] = []
        for _ in range(4):
            start = time.thread_time()
            with torch.no_grad():
                for _ in range(case.layers):
                    processor(attention, **inputs, **extra)
            times.append(1000 * (time.thread_time() - start))
        return statistics.median(times[1:])

    return {
        "diffusers": partial(run, own.to(torch.bfloat16), image),
        "diffusers plain": partial(run, plain, {}),
    }


def report(case: Case, rounds: int) -> None:
    ours = case.apply()
    models = {"plain": case.plain, "same": case.plain.clone(), "ours": ours}
    models["floor"] = flux_sd3_variants.floor(case, ours)
    resident = 0
    if case.name != SD35:
        models["packs"], resident = flux_sd3_variants.packs_method(case)
    steps: dict[str, Callable[[], float]] = {
        name: partial(step_time, model, case) for name, model in models.items()
    }
    steps |= diffusers_steps(case)
    inside.Times().measure(steps, 1)
    times = inside.Times().measure(steps, rounds)
    added = times.added("ours", "plain")
    line = f"{case.name}, {case.layers} layers: {added} ms of CPU added a step"
    for name, base in {"floor": "plain", "packs": "plain", "diffusers": "diffusers plain"}.items():
        if name in times.rounds:
            theirs = times.added(name, base)
            line += f"; {name} {theirs}, x {added.middle / theirs.middle:.2f}"
    print(f"{line}; A/A {times.added('same', 'plain').middle:+.1f}", flush=True)
    report_bytes(case, ours, resident)
    if case.name == SD35:
        report_new_timestep(case, ours)
    report_growth(case)


def report_bytes(case: Case, ours: Any, resident: int) -> None:
    import torch
    import variants

    (keys,) = variants.keys_of(ours)
    if case.name != SD35:
        size = keys.values.bytes / MB
        print(f"    keys and values of both sides {size:.1f} MB, packs {resident / MB:.1f} MB")
        return
    with torch.no_grad():
        at_a_time = keys.values.to("cpu", torch.bfloat16).select_at(900.0, ())
    weights = sum(weight.nbytes for weight in case.adapter.patcher.model.parameters())
    print(
        f"    keys and values of both sides {at_a_time.bytes / MB:.1f} MB, of one timestep at a "
        f"time; features {keys.values.bytes / MB:.1f} MB; the adapter's weights, which the host "
        f"loads and unloads, {weights / MB:.1f} MB"
    )


def report_new_timestep(case: Case, ours: Any) -> None:
    moving, still = (
        statistics.median(step_time(ours, case, is_time_still) for _ in range(3))
        for is_time_still in (False, True)
    )
    print(f"    tokens and keys of a new timestep: {moving - still:.0f} ms more", flush=True)


def report_growth(case: Case) -> None:
    """With references, whose tokens add up, and with the image."""
    side = case.sizes.latent * 3 // 2
    larger = case._replace(sizes=case.sizes._replace(latent=side))
    for label, grown, references in (
        ("1 reference", case, 1),
        ("2 references", case, 2),
        ("4 references", case, 4),
        (f"latent {side}x{side}", larger, 1),
    ):
        ours = grown.apply(references)
        models = {"plain": grown.plain, "ours": ours}
        models["floor"] = flux_sd3_variants.floor(grown, ours, references)
        steps = {name: partial(step_time, model, grown) for name, model in models.items()}
        times = inside.Times().measure(steps, GROWTH_ROUNDS)
        added, floor = (times.added(name, "plain") for name in ("ours", "floor"))
        ratio = added.middle / floor.middle
        print(f"    {label}: {added.middle:.1f}, floor {floor.middle:.1f}, x {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--rounds", type=int, default=4, help="how often each variant is timed")
    parser.add_argument("--case", default="", help="only the adapters with this in their name")
    parser.add_argument("--growth", action="store_true", help="only how they grow")
    options = parser.parse_args()
    inside.pin()
    pack = inside.start(options.tree)
    import torch

    print(f"{platform.processor() or platform.machine()}, one thread, torch {torch.__version__}")
    for case in flux_sd3_models.cases(pack, REAL, part_of_name=options.case):
        if options.growth:
            print(case.name)
            report_growth(case)
        else:
            report(case, options.rounds)


if __name__ == "__main__":
    main()
