"""The adapter on a GPU: the same result as on the CPU, and what it costs. Called by
scripts/gpu-check.

`scripts/gpu-check --cpu` runs every line but the GPU's own.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gpu_results
import gpu_transformers
import inside
from gpu_results import NAMES
from gpu_steps import ROUNDS, STEPS, WARM, now, report_steps, report_waits

LATENTS = {"sd15": (64,), "sdxl": (32, 128)}


class Case(NamedTuple):
    """A step that is measured."""

    kind: str
    latent: int  # its side
    gpu: bool
    steps: int = STEPS

    def __str__(self) -> str:
        return f"{self.kind} {self.latent}x{self.latent}"

    def sample(self, model: Any, step: Callable[[Any], Any], steps: int) -> None:
        inside.sample(model, self.kind, (self.latent, 1), step, steps)


def measure(pack: Any, device: str) -> None:
    """Steps of whole models with random weights: times, peaks of memory, synchronisations."""
    import compiled
    import variants

    for kind, name in NAMES.items():
        models = patched(pack, whole_model(kind, device), name)
        keys = sum(each.values.bytes for each in variants.keys_of(models["ours"])) / 1e6
        print(f"{kind}, {name}: keys and values {keys:.1f} MB")
        for latent in LATENTS[kind] if device == "cuda" else (16,):
            case = Case(kind, latent, device == "cuda")
            report_waits(models, case)
            report_steps(models, case)
            report_patches(models, case)
        if device == "cuda":
            compiled.report_on_gpu(pack, models["plain"], kind, LATENTS[kind][0])


def patched(pack: Any, plain: Any, name: str) -> dict[str, Any]:
    """The plain model, the adapter in it in several ways, and what the least would be."""
    import torch
    import variants

    import nodes

    adapter, _ = variants.adapter(pack, name)
    make = partial(variants.ours, nodes.NODE_CLASS_MAPPINGS, plain, [adapter], variants.features(1))
    ours = make(None)
    return {
        "plain": plain,
        "floor": variants.floor(plain, variants.keys_of(ours)),
        "ours": ours,
        "ours, mask": make(torch.rand(1, 64, 64)),
        # the sigma of all these steps lies in the first window and not in the second
        "ours, window open": make(None, end_at=0.9),
        "ours, window closed": make(None, start_at=0.9),
    }


def report_patches(models: dict[str, Any], case: Case) -> None:
    """The time of the cross-attention calls of one step, replayed in shuffled order."""
    import variants

    with_patches = [label for label in models if label != "plain"]
    calls = {label: recorded(models[label], case) for label in with_patches}
    calls["plain"] = [(variants.text_alone, *inputs) for _, *inputs in calls["ours"]]
    calls["A/A"] = calls["plain"]
    runs = {label: partial(replayed, steps, case.gpu) for label, steps in calls.items()}
    inside.Times().measure(runs, WARM)
    times = inside.Times().measure(runs, 10 * ROUNDS)
    floor = times.added("floor", "plain").middle
    for label in [*with_patches, "A/A"]:
        added = times.added(label, "plain")
        print(f"{case}, patches, {label}: {added} ms added, {added.middle / floor:.2f} x floor")


def recorded(model: Any, case: Case) -> list[tuple]:
    """(replacement, query, key, value, options) of every cross-attention layer that has one, in one
    step.
    """
    from comfy.patcher_extension import WrappersMP

    calls = []

    def note(executor: Any, *args: Any, **kwargs: Any) -> Any:
        options = dict(args[5])
        attn2_patches = options.get("patches_replace", {}).get("attn2", {})
        noting = {place: partial(keep, call) for place, call in attn2_patches.items()}
        options["patches_replace"] = {"attn2": noting}
        return executor(*args[:5], options, *args[6:], **kwargs)

    def keep(call: Any, *arguments: Any) -> Any:
        calls.append((call, *arguments))
        return call(*arguments)

    watched = model.clone()
    watched.add_wrapper(WrappersMP.DIFFUSION_MODEL, note)
    inside.sample(watched, case.kind, (case.latent, 1), lambda call: call(), 1)
    return calls


def replayed(calls: list[tuple], gpu: bool) -> float:
    """Milliseconds."""
    start = now(gpu)
    for call, *arguments in calls:
        call(*arguments)
    return 1000 * (now(gpu) - start)


def whole_model(kind: str, device: str) -> Any:
    """A model with random weights in half precision; a hollow one on the CPU."""
    import hollow
    import torch

    if device == "cpu":
        return hollow.model(kind)
    config = hollow.config(kind)
    config.set_inference_dtype(torch.float16, None)
    base = config.get_model({}, "", device=torch.device(device))
    with torch.no_grad():
        for weight in base.diffusion_model.parameters():
            weight.normal_(std=0.01)
    return hollow.patcher_of(base)


def measure_faces(device: str) -> None:
    """Finding the largest face of a picture of 1024 px."""
    import faces
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    net = faces.yunet.load_yunet(load_file(faces.yunet.WEIGHTS), device)
    picture = Image.open(inside.PACK / "tests" / "data" / "faces" / "three_people.jpg")
    size = [round(n * 1024 / max(picture.size)) for n in picture.size]
    pixels = faces.pixels(picture.resize(size, Image.Resampling.BICUBIC)).to(device)
    times = []
    with torch.inference_mode():
        for _ in range(12):
            start = now(device == "cuda")
            candidates = faces.find.find_faces(net, pixels, faces.THRESHOLD, find_all=False)
            faces.find.settle_face(net, pixels, candidates[0])
            times.append(1000 * (now(device == "cuda") - start))
    print(f"the largest face of {size[0]} x {size[1]} on {device}: {min(times):.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", type=Path)
    parser.add_argument("device", choices=("cpu", "cuda"))
    parser.add_argument("--save")
    parser.add_argument("--compare")
    parser.add_argument("--lowvram", action="store_true")
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    pack = inside.start(options.tree, options.device, lowvram=options.lowvram)
    if options.save:
        from safetensors.torch import save_file

        save_file(gpu_results.results(pack), options.save)
    if options.compare:
        label = options.device + " --lowvram" * options.lowvram
        gpu_results.compare(pack, options.compare, label)
    if options.measure:
        measure(pack, options.device)
        gpu_transformers.measure(pack, options.device)
        measure_faces(options.device)


if __name__ == "__main__":
    main()
