"""The adapter on a GPU: the same result as on the CPU, and what it costs. Called by scripts/gpu-check.

Not yet run on a GPU by its authors, who have none; `scripts/gpu-check --cpu` runs every line but the GPU's own.
"""

import argparse
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import inside

NAMES = {"sd15": "ip-adapter-plus_sd15", "sdxl": "ip-adapter-plus_sdxl_vit-h"}
STEPS = 10
TOLERANCE = 2e-3  # of the range: TF32 and other orders of summation


def results(pack: Any) -> dict:
    """What small models of the real topologies make of a picture, masked and not."""
    sys.path.append(str(inside.PACK / "tests" / "host"))
    import make_models
    import tiny
    import torch
    import variants

    import comfy.model_patcher
    import comfy.ops
    import nodes

    found = {}
    for kind, name in NAMES.items():
        tensors = make_models.adapter_tensors(name, tiny.SMALL[kind], 0, torch.float32)
        module = pack.nodes.load.core.build(tensors, comfy.ops.manual_cast)
        devices = comfy.model_management.text_encoder_device(), torch.device("cpu")
        patcher = comfy.model_patcher.CoreModelPatcher(module, *devices)
        adapter = pack.nodes.sockets.LoadedAdapter(name, module.spec, patcher)
        source = torch.Generator().manual_seed(3)
        for mask in (None, torch.rand(1, 31, 47, generator=source)):
            model = variants.ours(
                nodes.NODE_CLASS_MAPPINGS, tiny.model(kind), [adapter], tiny.features(5), mask
            )
            out = tiny.sample(model, tiny.text(kind))
            found[f"{kind} {'whole' if mask is None else 'masked'}"] = out.float().cpu().clone()
    return found


def compare(pack: Any, path: str, label: str) -> None:
    from safetensors.torch import load_file

    everything = results(pack)
    for name, expected in load_file(path).items():
        found = everything[name]
        error = float((found - expected).abs().max() / (expected.max() - expected.min()))
        print(f"{label}, {name}: differs from the CPU by {error:.1e} of the range")
        if not error <= TOLERANCE:
            sys.exit("That is too much.")


def measure(pack: Any, device: str) -> None:
    """Steps of whole models with random weights: times, peaks of memory, synchronisations."""
    import variants

    import nodes

    for kind, name in NAMES.items():
        plain, latent = whole(kind, device)
        adapter, _ = variants.adapter(pack, name)
        seen = variants.features(1)
        ours = variants.ours(nodes.NODE_CLASS_MAPPINGS, plain, [adapter], seen, None)
        keys = sum(one.values.bytes for one in variants.keys_of(ours)) / 1e6
        found = {
            label: steps(model, kind, latent, device)
            for label, model in (
                ("plain", plain),
                ("ours", ours),
                ("plain again", plain),
                ("ours again", ours),
            )
        }
        for label, (took, peak, syncs) in found.items():
            print(
                f"{kind} {label}: {took:.2f} ms a step, peak {peak:.1f} MB, {syncs} synchronisations"
            )
        extra = found["ours again"][2] - found["plain again"][2]
        print(
            f"{kind}: keys and values {keys:.1f} MB; synchronisations of ours in {STEPS} steps: {extra}"
        )
        if extra > 0:
            sys.exit("The adapter waits for the device.")


def whole(kind: str, device: str) -> tuple[Any, int]:
    """A model with random weights in half precision, and the latent's side; small on the CPU."""
    import hollow
    import torch

    if device == "cpu":
        return hollow.model(kind), 16
    made = hollow.config(kind)
    made.set_inference_dtype(torch.float16, None)
    base = made.get_model({}, "", device=torch.device("cpu"))
    for weight in base.diffusion_model.parameters():
        weight.data.normal_(std=0.01)
    return hollow.patcher_of(base), {"sd15": 64, "sdxl": 128}[kind]


def steps(model: Any, kind: str, latent: int, device: str) -> tuple[float, float, int]:
    """Median ms of a step, MB at the peak, and synchronisations that torch warns of, after two steps."""
    import torch

    gpu, times, syncs = device == "cuda", [], 0
    if gpu:
        torch.cuda.reset_peak_memory_stats()

    def step(call: Any) -> Any:
        nonlocal syncs
        start = now(gpu)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            watch(gpu, True)
            out = call()
            watch(gpu, False)
        times.append(now(gpu) - start)
        if len(times) > 2:
            syncs += sum("synchroniz" in str(one.message) for one in caught)
        return out

    inside.sample(model, kind, (latent, 1), step, STEPS + 2)
    peak = torch.cuda.max_memory_allocated() / 1e6 if gpu else 0.0
    return 1000 * statistics.median(times[2:]), peak, syncs


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


if __name__ == "__main__":
    main()
