"""What the adapters for FLUX.1 and SD3.5 Large cost a step: real widths and numbers of tokens, few
blocks, in the host's own classes.

Called by scripts/bench with the host's folder. As in hollow.py, attention and norms are real, and
every projection gives back ready-made tensors.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flux_sd3_variants
import inside
from flux_sd3_variants import (
    DOUBLE,
    FLUX_HEADS,
    FLUX_WIDTH,
    JOINT,
    LATENT,
    SINGLE,
    TEXT_TOKENS,
    TEXT_WIDTH,
    WEIGHT,
)

SD3_DEPTH = 38  # of the whole model, which gives the width
XLABS, INSTANTX, SD35 = "FLUX.1 XLabs v2", "FLUX.1 InstantX", "SD3.5 Large"


class Case(NamedTuple):
    """One adapter on one model."""

    name: str
    model: Any
    ours: Any
    floor: Any
    pooled: int  # width of the pooled text
    cfg: float
    layers: int


def hollow_projections(module: Any, supply: Any) -> None:
    """Linear and convolution layers give ready tensors and lose their weights; norms keep ones."""
    import torch

    for name, part in module.named_modules():
        if hasattr(part, "out_features"):
            kind = supply.noise if name.endswith(("qkv", "linear1")) else supply.zeros
            part.forward = partial(_projected, kind, part.out_features)
        elif hasattr(part, "kernel_size"):
            part.forward = partial(_patched, supply, part.out_channels)
        is_dropped = hasattr(part, "out_features") or hasattr(part, "kernel_size")
        for key, weight in part._parameters.items():
            if weight is not None:
                value = torch.empty(0) if is_dropped else torch.ones(weight.shape)
                part._parameters[key] = torch.nn.Parameter(value.to(supply.dtype), False)
        for key, buffer in part._buffers.items():
            part._buffers[key] = torch.zeros(buffer.shape, dtype=supply.dtype)


def _projected(kind: Any, width: int, x: Any, *_: Any, **__: Any) -> Any:
    return kind(*x.shape[:-1], width)


def _patched(supply: Any, channels: int, x: Any) -> Any:
    return supply.zeros(len(x), channels, x.shape[2] // 2, x.shape[3] // 2)


def host_model(kind: str) -> Any:
    """A ModelPatcher around the host's own class without weights."""
    import hollow
    import make_flux
    import make_sd3
    import torch

    import comfy.supported_models

    if kind == "flux":
        sizes = {"hidden_size": FLUX_WIDTH, "num_heads": FLUX_HEADS, "context_in_dim": TEXT_WIDTH}
        blocks = {"depth": DOUBLE, "depth_single_blocks": SINGLE}
        config = comfy.supported_models.Flux({**make_flux.FLUX, **sizes, **blocks})
    else:
        sizes = {"adm_in_channels": 2048, "pos_embed_max_size": 64, "num_patches": 64 * 64}
        config = comfy.supported_models.SD3({**make_sd3.config(SD3_DEPTH), **sizes})
    config.set_inference_dtype(torch.bfloat16, None)
    base = config.get_model({}, "", device=torch.device("meta"))
    if kind == "sd35":  # the last block is another one
        blocks = base.diffusion_model.joint_blocks
        base.diffusion_model.joint_blocks = torch.nn.ModuleList([*blocks[: JOINT - 1], blocks[-1]])
    hollow_projections(base.diffusion_model, hollow.Supply(torch.bfloat16))
    return hollow.patcher_of(base)


def opened(pack: Any, name: str, layout: dict) -> Any:
    """An adapter as Load IPAdapter would open it."""
    import torch
    import variants

    import comfy.model_patcher
    import comfy.ops

    module = pack.nodes.files.load.build(variants.tensors(layout), comfy.ops.manual_cast)
    cpu = torch.device("cpu")
    patcher = comfy.model_patcher.CoreModelPatcher(module, cpu, cpu)
    return pack.nodes.sockets.LoadedAdapter(name, module.spec, patcher)


def cases(pack: Any) -> list[Case]:
    import adapter_layouts

    flux, sd35 = host_model("flux"), host_model("sd35")
    base = adapter_layouts.Base(TEXT_WIDTH, (FLUX_WIDTH,) * (DOUBLE + SINGLE))
    xlabs = adapter_layouts.flux_xlabs(16, blocks=DOUBLE)
    instantx = adapter_layouts.flux_instantx(base, hidden=64)  # projects once, before sampling
    joint = adapter_layouts.sd3(blocks=JOINT)
    return [
        make_case(pack, XLABS, flux, xlabs, flux_sd3_variants.floor_after_blocks),
        make_case(pack, INSTANTX, flux, instantx, flux_sd3_variants.floor_in_attention),
        make_case(pack, SD35, sd35, joint, flux_sd3_variants.floor_joint),
    ]


def make_case(pack: Any, name: str, model: Any, layout: dict, make_floor: Any) -> Case:
    import torch

    import nodes

    adapter = opened(pack, name, layout)
    (feature,) = adapter.spec.inputs
    shape = (1, 729, 1152) if name == SD35 else (1, feature.width)
    sides = [pack.nodes.sockets.References.of(torch.randn(shape), feature.name) for _ in range(2)]
    inputs = {"embeds": sides[0], "embeds_negative": sides[1], "weight": WEIGHT}
    with torch.no_grad():
        apply = nodes.NODE_CLASS_MAPPINGS["ApplyIPAdapter"].execute
        ours = apply(model, adapter, **inputs).args[0]
    size = (2048, 4.0) if name == SD35 else (768, 1.0)
    return Case(name, model, ours, make_floor(model, ours), *size, len(adapter.spec.layers))


def step_time(model: Any, case: Case, sigmas: Callable[[int], float], steps: int = 4) -> float:
    """Median CPU time in ms of a step after the first."""
    import torch

    import comfy.sample
    from comfy.samplers import KSAMPLER

    times: list[float] = []

    def sampler(denoise, noise, _, extra_args=None, callback=None, disable=None):
        for number in range(steps):
            sigma = noise.new_full([len(noise)], sigmas(number))
            start = time.thread_time()
            out = denoise(noise, sigma, **extra_args)
            times.append(1000 * (time.thread_time() - start))
        return out

    latent = torch.zeros(1, 16, LATENT, LATENT)
    text = torch.ones(1, TEXT_TOKENS, TEXT_WIDTH), {"pooled_output": torch.ones(1, case.pooled)}
    settings = (KSAMPLER(sampler), torch.tensor([0.9, 0.0]), [text], [text], latent)
    with torch.no_grad():
        comfy.sample.sample_custom(
            model, latent + 1, case.cfg, *settings, disable_pbar=True, seed=0
        )
    return statistics.median(times[1:])


def same_sigma(_: int) -> float:
    return 0.9


def other_sigmas(number: int) -> float:
    return 0.9 - 0.1 * number


def diffusers_steps(case: Case) -> dict[str, Callable[[], float]]:
    """The attention of the same layers by diffusers' processors, with the adapter and without."""
    import hollow
    import torch

    supply = hollow.Supply(torch.bfloat16)
    if case.name == XLABS:
        plain, own, attention, inputs, image = flux_sd3_variants.flux_processors(supply)
    elif case.name == SD35:
        plain, own, attention, inputs, image = flux_sd3_variants.sd3_processors(supply)
    else:
        return {}
    attention = attention.to(torch.bfloat16)
    hollow_projections(attention, supply)

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
    import variants

    models = {
        "plain": case.model,
        "same": case.model.clone(),
        "ours": case.ours,
        "floor": case.floor,
    }
    steps: dict[str, Callable[[], float]] = {
        name: partial(step_time, model, case, same_sigma) for name, model in models.items()
    }
    steps |= diffusers_steps(case)
    inside.Times().measure(steps, 1)
    times = inside.Times().measure(steps, rounds)
    ours, floor = (times.added(name, "plain") for name in ("ours", "floor"))
    line = f"{case.name}, {case.layers} layers: {ours} ms of CPU added a step, floor {floor}"
    line += f", x {ours.middle / floor.middle:.2f}"
    if "diffusers" in times.rounds:
        theirs = times.added("diffusers", "diffusers plain")
        line += f"; diffusers {theirs}, x {ours.middle / theirs.middle:.2f}"
    print(f"{line}; A/A {times.added('same', 'plain').middle:+.1f}", flush=True)
    (keys,) = variants.keys_of(case.ours)
    if case.name != SD35:
        print(f"    keys and values {keys.values.bytes / 1e6:.1f} MB for both sides", flush=True)
        return
    ahead = statistics.median(step_time(case.ours, case, other_sigmas) for _ in range(3))
    behind = statistics.median(step_time(case.ours, case, same_sigma) for _ in range(3))
    print(f"    tokens and keys of a new timestep: {ahead - behind:.0f} ms more", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--rounds", type=int, default=4, help="how often each variant is timed")
    options = parser.parse_args()
    inside.pin()
    pack = inside.start(options.tree)
    import torch

    print(f"{platform.processor() or platform.machine()}, one thread, torch {torch.__version__}")
    for case in cases(pack):
        report(case, options.rounds)


if __name__ == "__main__":
    main()
