"""The adapter on a GPU: the same result as on the CPU, and what it costs. Called by
scripts/gpu-check.

`scripts/gpu-check --cpu` runs every line but the GPU's own.
"""

import argparse
import statistics
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import inside

NAMES = {"sd15": "ip-adapter-plus_sd15", "sdxl": "ip-adapter-plus_sdxl_vit-h"}
STEPS, WARM, ROUNDS = 10, 3, 3
LATENTS = {"sd15": (64,), "sdxl": (32, 128)}
TOLERANCE = 2e-3  # of the range: TF32 and other orders of summation


class Case(NamedTuple):
    """A step that is measured."""

    kind: str
    latent: int  # its side
    gpu: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.latent}x{self.latent}"


def results(pack: Any) -> dict:
    """What small models of the real topologies make of a picture, masked and not."""
    sys.path.append(str(inside.PACK / "tests"))
    import make_models
    import torch
    import variants
    from support import tiny

    import comfy.model_patcher
    import comfy.ops
    import nodes

    outputs = {}
    for kind, name in NAMES.items():
        tensors = make_models.adapter_tensors(name, tiny.SMALL[kind], 0, torch.float32)
        module = pack.nodes.files.load.build(tensors, comfy.ops.manual_cast)
        devices = comfy.model_management.text_encoder_device(), torch.device("cpu")
        patcher = comfy.model_patcher.CoreModelPatcher(module, *devices)
        adapter = pack.nodes.sockets.LoadedAdapter(name, module.spec, patcher)
        source = torch.Generator().manual_seed(3)
        for mask in (None, torch.rand(1, 31, 47, generator=source)):
            model = variants.ours(
                nodes.NODE_CLASS_MAPPINGS, tiny.model(kind), [adapter], tiny.features(5), mask
            )
            out = tiny.sample(model, tiny.text(kind))
            outputs[f"{kind} {'whole' if mask is None else 'masked'}"] = out.float().cpu().clone()
    return outputs


def compare(pack: Any, path: str, label: str) -> None:
    from safetensors.torch import load_file

    everything = results(pack)
    for name, expected in load_file(path).items():
        gpu_result = everything[name]
        error = float((gpu_result - expected).abs().max() / (expected.max() - expected.min()))
        print(f"{label}, {name}: differs from the CPU by {error:.1e} of the range")
        if not error <= TOLERANCE:
            sys.exit("That is too much.")


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


def report_waits(models: dict[str, Any], case: Case) -> None:
    """Peaks of memory, and synchronisations that torch warns of."""
    waits_by_label = {label: waits(model, case) for label, model in models.items()}
    for label, (peak, syncs) in waits_by_label.items():
        print(f"{case}, {label}: peak {peak:.1f} MB, {syncs} synchronisations in {STEPS} steps")
    plain = waits_by_label["plain"][1]
    if waits_by_label["ours"][1] > plain or waits_by_label["ours, mask"][1] > plain:
        sys.exit("The adapter waits for the device.")
    if waits_by_label["ours, window open"][1] > plain + STEPS:
        sys.exit("A window waits for the device more than once a step.")


def report_steps(models: dict[str, Any], case: Case) -> None:
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


def report_patches(models: dict[str, Any], case: Case) -> None:
    """What the calls at the cross-attention layers of one step take, replayed in shuffled order."""
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


def waits(model: Any, case: Case) -> tuple[float, int]:
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

    inside.sample(model, case.kind, (case.latent, 1), step, STEPS + WARM)
    peak = torch.cuda.max_memory_allocated() / 1e6 if case.gpu else 0.0
    return peak, sum(syncs[WARM:])


def step_time(model: Any, case: Case) -> float:
    """Median ms of a step."""
    times: list[float] = []

    def step(call: Any) -> Any:
        start = now(case.gpu)
        out = call()
        times.append(now(case.gpu) - start)
        return out

    inside.sample(model, case.kind, (case.latent, 1), step, STEPS + WARM)
    return 1000 * statistics.median(times[WARM:])


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


def watch(gpu: bool, on: bool) -> None:
    if gpu:
        import torch

        torch.cuda.set_sync_debug_mode("warn" if on else "default")


def now(gpu: bool) -> float:
    if gpu:
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()


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

        save_file(results(pack), options.save)
    if options.compare:
        compare(pack, options.compare, options.device + " --lowvram" * options.lowvram)
    if options.measure:
        measure(pack, options.device)
        measure_faces(options.device)


if __name__ == "__main__":
    main()
