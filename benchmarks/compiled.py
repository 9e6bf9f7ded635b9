"""Compiled models: whole steps and compile times of SD1.5 and SDXL, with and without the adapter.

Called by `scripts/bench --compile` with the host's folder, and by scripts/gpu-check. Models have
random weights; all of them run in one process, in shuffled order.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import inside

ADAPTERS = {"sd15": "ip-adapter-plus_sd15", "sdxl": "ip-adapter-plus_sdxl_vit-h"}
LATENT, STEPS, ROUNDS = 16, 3, 5
OTHER_TREE = "other tree's adapter, compiled"
TOLERANCE = 2e-2  # of the range, in half precision with other kernels


def compiled_by_host(model: Any, backend: str) -> Any:
    """The model as the host's TorchCompileModel returns it."""
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    return TorchCompileModel.execute(model, backend).args[0]


def with_adapter(pack: Any, model: Any, kind: str, references: int = 1) -> Any:
    import variants

    import nodes

    adapter, _ = variants.adapter(pack, ADAPTERS[kind])
    features = variants.features(references)
    return variants.ours(nodes.NODE_CLASS_MAPPINGS, model, [adapter], features, None)


def with_peer(folder: Path, model: Any, kind: str) -> Any:
    import adapter_layouts
    import variants

    tensors = variants.tensors(adapter_layouts.layout(ADAPTERS[kind]))
    return variants.Peer(folder).patched(kind, model, [tensors], variants.features(1), None)


def variants_of(
    pack: Any, plain: Any, kind: str, backend: str, peer: Path | None
) -> dict[str, Any]:
    """Name -> model; each compiled one is compiled when it runs first, the plain one before."""
    compiled = compiled_by_host(plain, backend)
    models = {
        "plain, eager": plain,
        "adapter, eager": with_adapter(pack, plain, kind),
        "plain, compiled": compiled,
        "adapter, compiled": with_adapter(pack, compiled, kind),
    }
    if peer:
        models["IPAdapter_plus, eager"] = with_peer(peer, plain, kind)
        models["IPAdapter_plus, compiled"] = with_peer(peer, compiled, kind)
    return models


def step_time(model: Any, kind: str, latent: int, steps: int = STEPS) -> float:
    """Median ms of a step, wall time: generated code may use more than one thread."""
    import torch

    times: list[float] = []

    def step(call: Any) -> Any:
        start = time.perf_counter()
        out = call()
        if out.is_cuda:
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
        return out

    inside.sample(model, kind, (latent, 1), step, steps)
    return statistics.median(times)


def first_step(model: Any, kind: str, latent: int) -> str:
    """Time and compilations of the first step, without anything compiled earlier."""
    from torch._dynamo.utils import counters
    from torch._inductor.utils import fresh_cache

    counters.clear()
    with fresh_cache():
        seconds = step_time(model, kind, latent, steps=1) / 1000
    graphs, breaks = counters["stats"]["unique_graphs"], sum(counters["graph_break"].values())
    return f"first step {seconds:.1f} s, {graphs} graphs, {breaks} graph breaks"


def report(
    models: Mapping[str, Any], kind: str, latent: int, rounds: int = ROUNDS, other: Any = None
) -> None:
    """First steps, then steps of all models in shuffled order; a ratio is the median of those in
    the same round.

    other: an OtherTree, of the same kind of model and size.
    """
    for name, model in models.items():
        print(f"{kind} {latent}x{latent}, {name}: {first_step(model, kind, latent)}", flush=True)
    runs = {name: partial(step_time, model, kind, latent) for name, model in models.items()}
    if other is not None:
        print(f"{kind} {latent}x{latent}, {OTHER_TREE}: {other.first_step}", flush=True)
        runs[OTHER_TREE] = partial(other.step_time, STEPS)
    times = inside.Times().measure(runs, rounds).rounds
    for name in runs:
        plain = times[f"plain, {name.split(', ')[1]}"]
        ratios = [time / other for time, other in zip(times[name], plain, strict=True)]
        median, ratio = statistics.median(times[name]), statistics.median(ratios)
        print(f"{kind} {latent}x{latent}, {name}: {median:.1f} ms a step, {ratio:.3f} x plain")


def report_on_gpu(pack: Any, plain: Any, kind: str, latent: int) -> None:
    """Steps with both of the host's backends, and whether an earlier reference is replayed."""
    for backend in ("inductor", "cudagraphs"):
        print(f"{kind}, TorchCompileModel with {backend}:")
        report(variants_of(pack, plain, kind, backend, None), kind, latent)
        error = reference_error(pack, plain, kind, backend, latent)
        print(f"{kind}, {backend}: another reference, {error:.1e} of the range from eager")
        if not error <= TOLERANCE:
            sys.exit("A compiled model does not follow another reference.")


def reference_error(pack: Any, plain: Any, kind: str, backend: str, latent: int) -> float:
    """How far a compiled model is from the eager one after its reference was changed.

    As a share of the range.
    """
    compiled = compiled_by_host(plain, backend)
    for references in (1, 2):
        outputs = [
            output_of(with_adapter(pack, model, kind, references), kind, latent)
            for model in (plain, compiled)
        ]
    expected, output = outputs
    return float((output - expected).abs().max() / (expected.max() - expected.min()))


def output_of(model: Any, kind: str, latent: int) -> Any:
    """The result of the last of several steps: CUDA graphs are recorded in the second one."""
    import torch

    outputs: list[Any] = []

    def step(call: Any) -> Any:
        outputs[:] = [call()]
        return outputs[0]

    torch.manual_seed(0)  # of the text
    inside.sample(model, kind, (latent, 1), step, STEPS)
    return outputs[0].float().cpu()


def whole_model(kind: str) -> Any:
    import hollow
    import torch

    base = hollow.config(kind).get_model({}, "", device=torch.device("cpu"))
    with torch.no_grad():
        for weight in base.diffusion_model.parameters():
            weight.normal_(std=0.01)
    return hollow.patcher_of(base)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--peer", type=Path, help="a folder with IPAdapter_plus")
    parser.add_argument("--beside", type=Path, help="a folder with another release of this pack")
    parser.add_argument("--backend", default="inductor")
    parser.add_argument("--kind", choices=tuple(ADAPTERS), help="this model alone")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each is timed")
    options = parser.parse_args()
    pack = inside.start(options.tree)
    for kind in [options.kind] if options.kind else ADAPTERS:
        models = variants_of(pack, whole_model(kind), kind, options.backend, options.peer)
        other = None
        if options.beside:
            from other_tree import OtherTree

            other = OtherTree(options.tree, options.beside, kind, options.backend)
        report(models, kind, LATENT, options.rounds, other)
        if other is not None:
            other.close()


if __name__ == "__main__":
    main()
