"""Runs the cases and prints one line for each."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import adapter_layouts
import counters
import hollow
import inside
import make_models
import torch
import variants

import comfy.ops
import nodes as host_nodes

MEGA = 1e6
WIDTHS = "{:34} {:>20} {:>16} {:>8} {:>16} {:>8} {:>9} {:>6} {:>8} {:>8}"


def head(peer: bool) -> None:
    names = ("added ms of CPU a step", "ours", "floor", "x floor", "diffusers", "x", "A/A")
    print(
        WIDTHS.format(*names, "ops", "syncs", "MB")
        + f" {'other pack':>20} {'x':>6} {'ops':>6} {'syncs':>6}" * peer,
        flush=True,
    )


class Bench:
    """One case after another; models and adapters are made once."""

    def __init__(self, pack: Any, peer: Any, rounds: int):
        self.pack, self.peer, self.rounds = pack, peer, rounds
        self._models: dict[str, Any] = {}
        self._adapters: dict[str, Any] = {}

    def model(self, kind: str) -> Any:
        if kind not in self._models:
            self._models = {kind: hollow.model(kind)}  # one kind at a time is enough memory
        return self._models[kind]

    def adapter(self, name: str) -> Any:
        if name not in self._adapters:
            if len(self._adapters) > 1:
                self._adapters.clear()
            self._adapters[name] = variants.adapter(self.pack, name)
        return self._adapters[name]

    def variants(self, case: Any) -> dict[str, Any]:
        """Name -> model, all of them clones of one."""
        model, features = self.model(case.kind), variants.features(case.references)
        opened = [self.adapter(name) for name in case.adapters]
        mask = torch.rand(1, 8 * case.latent, 8 * case.latent) if case.mask else None
        adapters = [adapter for adapter, _ in opened]
        faces = variants.face_inputs(self.pack) if case.is_face else {}
        by_id = host_nodes.NODE_CLASS_MAPPINGS
        ours = variants.ours(by_id, model, adapters, features, mask, **faces)
        models = {"plain": model, "same": model.clone(), "ours": ours}
        models["floor"] = variants.floor(model, variants.keys_of(ours))
        if self.peer and not case.is_face:  # it finds faces with InsightFace alone
            adapter_tensors = [tensors for _, tensors in opened]
            models["peer"] = self.peer.patched(case.kind, model, adapter_tensors, features, mask)
        return models

    def measured_steps(self, case: Any, models: dict[str, Any]) -> dict[str, Any]:
        shape = (case.kind, (case.latent, case.batch))
        steps = {
            name: lambda model=model: inside.timed_steps(model, *shape, 3)
            for name, model in models.items()
        }
        if case.references > 1 or case.mask:
            return steps
        theirs = variants.Diffusers(case.kind, models["plain"], case.latent, case.batch)
        adapter_tensors = [self.adapter(name)[1] for name in case.adapters]
        count = variants.keys_of(models["ours"])[0].values.tokens
        text = hollow.TEXT[case.kind]
        tokens = [torch.randn(2 * case.batch, count, text) for _ in adapter_tensors]
        steps["diffusers"] = timed(theirs.with_adapters(adapter_tensors, tokens))
        steps["diffusers plain"] = timed(theirs.plain)
        return steps

    def case(self, case: Any) -> None:
        models = self.variants(case)
        times = inside.Times().measure(self.measured_steps(case, models), self.rounds)
        ours, floor = (times.added(name, "plain") for name in ("ours", "floor"))
        line = [str(case), ours, floor.middle, ours.middle / floor.middle]
        if "diffusers" in times.rounds:
            theirs = times.added("diffusers", "diffusers plain")
            line += [str(theirs), f"{ours.middle / theirs.middle:.2f}"]
        else:
            line += ["", ""]
        line += [f"{times.added('same', 'plain').middle:+.1f}", *self.counts(case, models, "ours")]
        size = sum(keys.values.bytes for keys in variants.keys_of(models["ours"])) / MEGA
        cells = [
            f"{value:.2f}" if isinstance(value, float) else str(value) for value in (*line, size)
        ]
        print(WIDTHS.format(*cells) + self.peer_columns(case, models, times, ours), flush=True)

    def peer_columns(self, case: Any, models: Any, times: Any, ours: Any) -> str:
        if "peer" not in models:
            return ""
        theirs = times.added("peer", "plain")
        ops, syncs = self.counts(case, models, "peer")
        return f" {theirs!s:>20} {ours.middle / theirs.middle:6.2f} {ops:>6} {syncs:>6}"

    def counts(self, case: Any, models: dict[str, Any], name: str) -> tuple[str, str]:
        """Added operations per attention layer and adapter, and synchronisations, in a steady
        step.
        """
        counts_by_name = {}
        for which in ("plain", name):
            steps: list[counters.Operations] = []

            def step(call: Any, steps: list = steps) -> Any:
                with counters.Operations() as mode:
                    out = call()
                steps.append(mode)
                return out

            inside.sample(models[which], case.kind, (case.latent, case.batch), step, 3)
            counts_by_name[which] = steps[-1]
        layers = {"sd15": 16, "sdxl": 70}[case.kind]
        added = counts_by_name[name].counted.total() - counts_by_name["plain"].counted.total()
        per_layer = added / layers / len(case.adapters)
        return f"{per_layer:.1f}", str(counts_by_name[name].syncs - counts_by_name["plain"].syncs)


def timed(step: Any) -> Any:
    def run() -> float:
        times = []
        for _ in range(4):
            start = time.thread_time()
            step()
            times.append(1000 * (time.thread_time() - start))
        return statistics.median(times[1:])

    return run


def wall(call: Any, times: int = 1) -> tuple[float, Any]:
    """Least wall time in ms, and what came out last."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        out = call()
        seconds.append(1000 * (time.perf_counter() - start))
    return min(seconds), out


def nodes(pack: Any, kinds: Sequence[str]) -> None:
    for kind in kinds:
        times_of_nodes(pack, kind)


def times_of_nodes(pack: Any, kind: str) -> None:
    """Times of the nodes themselves, with an encoder that costs nothing."""
    name = {"sd15": "ip-adapter-plus_sd15", "sdxl": "ip-adapter-plus_sdxl_vit-h"}[kind]
    with tempfile.TemporaryDirectory() as folder:
        loads(pack, Path(folder), name)
    (adapter, _), model = variants.adapter(pack, name), hollow.model(kind)
    apply = host_nodes.NODE_CLASS_MAPPINGS["ApplyIPAdapter"].execute
    positive, negative = variants.features(1), variants.features(2)
    fixed = {"clip_vision_output": positive, "clip_vision_output_negative": negative}
    with torch.no_grad():
        first, _ = wall(lambda: apply(model, adapter, **fixed))
        again = {
            "weight": wall(lambda: apply(model, adapter, **fixed, weight=0.3), 5)[0],
            "window": wall(lambda: apply(model, adapter, **fixed, end_at=0.3), 5)[0],
            "mask": wall(lambda: apply(model, adapter, **fixed, attn_mask=torch.rand(512, 512)), 5)[
                0
            ],
        }
        fixed["clip_vision_output"] = variants.features(1)
        picture, _ = wall(lambda: apply(model, adapter, **fixed))
    changed = ", ".join(f"{activity} {took:.1f} ms" for activity, took in again.items())
    print(f"{name}: first run {first:.0f} ms and one encoding, again with another {changed},")
    print(f"    another picture {picture:.0f} ms and one encoding", flush=True)


def loads(pack: Any, folder: Path, name: str) -> None:
    """The same adapter as both kinds of file, opened and built as Load IPAdapter does, from the
    page cache.
    """
    tensors = variants.tensors(adapter_layouts.layout(name))
    make_models.save(folder / "a.safetensors", tensors)
    torch.save(make_models.nested(tensors), folder / "a.bin")
    build, read = pack.nodes.files.load.build, pack.nodes.files.open_files.read_weights
    for file in ("a.safetensors", "a.bin"):
        path = str(folder / file)
        took, _ = wall(lambda path=path: build(read(path), comfy.ops.manual_cast), 7)
        print(f"{name} as {file[1:]}: loaded in {took:.1f} ms", flush=True)


def report_whole_step(bench: Bench, case: Any) -> None:
    """The share of what we add in a step of the model with all its weights."""
    base = hollow.config(case.kind).get_model({}, "", device=torch.device("cpu"))
    for weight in base.diffusion_model.parameters():
        weight.data.fill_(0.01)  # not zero: that could be faster
    real = hollow.patcher_of(base)
    step = statistics.median(
        inside.timed_steps(real, case.kind, (case.latent, case.batch), 1) for _ in range(3)
    )
    steps = bench.measured_steps(case, bench.variants(case))
    steps = {name: steps[name] for name in ("plain", "ours", "floor")}
    times = inside.Times().measure(steps, bench.rounds)
    ours, floor = (100 * times.added(name, "plain").middle / step for name in ("ours", "floor"))
    print(f"{case}: a whole step is {step:.0f} ms; ours adds {ours:.2f} %, the floor {floor:.2f} %")
