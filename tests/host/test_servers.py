"""Many prompts in one server, and servers with other caches, all with very small work.

`--lowvram` cannot be had together with `--cpu`: scripts/gpu-check has it.
"""

import json
import os
import shutil
from pathlib import Path

import comfy_host
import comfy_server
import make_models
import pytest
from support import tiny
from support.graphs import node

pytestmark = pytest.mark.http

PACKS = Path(__file__).parents[1] / "support" / "packs"
BLOCK, KEYS = 3, 3  # prompts in a row with the same settings, and how many settings
PROMPTS = 2 * BLOCK * KEYS


@pytest.fixture
def start(tmp_path, monkeypatch, host_tree):
    """Starts a server with the given flags, two small adapters and the nodes of tiny_pack."""
    folders = [comfy_host.PACK / name for name in ("scripts", "benchmarks", "tests")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)))
    # more would only wait for each other on so small work
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    small = tiny.SMALL["sd15"]
    for name, published in (("a", "ip-adapter_sd15"), ("b", "ip-adapter_sd15_light")):
        tensors = make_models.adapter_tensors(published, small)
        make_models.save(tmp_path / "models" / "ipadapter" / f"{name}.safetensors", tensors)
    shutil.copytree(PACKS / "tiny_pack", tmp_path / "models" / "custom_nodes" / "tiny_pack")
    paths = {"base_path": str(tmp_path / "models"), "ipadapter": "ipadapter"}
    config = tmp_path / "paths.yaml"  # JSON is YAML
    config.write_text(json.dumps({"tests": {**paths, "custom_nodes": "custom_nodes"}}))
    flags = ("--extra-model-paths-config", str(config))
    return lambda *options: comfy_server.Server(
        comfy_host.prepare(), tmp_path / "work", *flags, *options
    )


def graph(how="", steps=2, **settings):
    """Two adapters on a small model."""
    prompt = {
        "model": node("TinyModel", seed=0),
        "text": node("RandomText", seed=1),
        "latent": node("EmptyLatentImage", width=64, height=80, batch_size=1),
    }
    previous = "model"
    for number, name in enumerate("ab"):
        prompt[f"load {name}"] = node("LoadIPAdapter", ipadapter_file=f"{name}.safetensors")
        prompt[f"seen {name}"] = node("RandomFeatures", seed=settings.pop(name, number))
        inputs = {"weight": 0.7, "start_at": 0.0, "end_at": 1.0, **settings}
        links = {"ipadapter": [f"load {name}", 0], "clip_vision_output": [f"seen {name}", 0]}
        prompt[name] = node("ApplyIPAdapter", model=[previous, 0], **links, **inputs)
        previous = name
    prompt["fails"] = node("Fails", model=[previous, 0], how=how)
    prompt["sample"] = node(
        "KSampler",
        model=["fails", 0],
        positive=["text", 0],
        negative=["text", 1],
        latent_image=["latent", 0],
        seed=1,
        steps=steps,
        cfg=5.0,
        denoise=1.0,
        sampler_name="euler",
        scheduler="normal",
    )
    prompt["digest"] = node("Digest", samples=["sample", 0])
    return prompt


def digest(server, prompt):
    entry = server.run(prompt)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    return entry["outputs"]["digest"]["text"][0]


def test_many_prompts_in_one_server_leave_nothing_behind(start):
    recorded, sizes = {}, []
    with start() as server:
        for number in range(PROMPTS):
            key = number // BLOCK % KEYS, number // BLOCK % KEYS % 2  # each comes twice
            # `a` runs through numbers that never come again: nothing of them may stay for long
            settings = {"weight": 0.5 + key[0] / 10, "b": key[1], "steps": 1}
            server.queue(graph(a=1000 + number, **settings))
            if number % BLOCK == BLOCK - 1:
                result = digest(server, graph(**settings))
                assert recorded.setdefault(key, result) == result
                sizes.append(server.get("/test/alive"))
        final, last = sizes[len(sizes) // 2], sizes[-1]
    assert len(set(recorded.values())) == len(recorded)
    assert last["tensors"] <= final["tensors"] * 1.05
    assert last["process"] <= final["process"] * 1.05


@pytest.mark.parametrize(
    ("flags", "failures"),
    [(("--cache-none",), ["interrupt"]), (("--cache-lru", "3"), ["error", "memory"])],
    ids=str,
)
def test_the_picture_is_the_same_with_another_cache_and_after_failures(start, flags, failures):
    with start(*flags) as server:
        first = digest(server, graph())
        changed = digest(server, graph(weight=0.3))
        for how in failures:
            assert server.run(graph(how))["status"]["status_str"] == "error"
            server.free()
            assert digest(server, graph()) == first
        assert digest(server, graph(weight=0.3)) == changed != first
