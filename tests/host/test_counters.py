"""The figures of the benchmark that are exact: operations, synchronisations, bytes, runs of the
encoder, growth.
"""

import functools
import sys
import types

import counters
import inside
import pytest
import torch

pytestmark = [pytest.mark.host, pytest.mark.no_inference_mode]

NAMES = {"sd15": "ip-adapter-plus_sd15", "sdxl": "ip-adapter_sdxl_vit-h"}
LAYERS = {"sd15": 16, "sdxl": 70}


@pytest.fixture(autouse=True)
def torch_attention(host, monkeypatch):
    """The attention that users of a GPU have; the host's default on a CPU is one of many
    operations.
    """
    import comfy.ldm.modules.attention as attention

    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)


@pytest.fixture
def apply(nodes_by_id, adapters, tiny):
    features = functools.cache(tiny.features)  # as the host's cache keeps them

    def run(model, kind="sd15", seed=5, **settings):
        adapter, _ = adapters(NAMES[kind])
        inputs = {
            "clip_vision_output": features(seed),
            "clip_vision_output_negative": features(seed + 1),
        }
        return nodes_by_id["ApplyIPAdapter"].execute(model, adapter, **inputs | settings).args[0]

    return run


def counted(model, kind, shape=(16, 2), steps=3):
    """The operations of each step."""
    result = []

    def step(call):
        with counters.Operations() as mode:
            out = call()
        result.append(mode)
        return out

    inside.sample(model, kind, shape, step, steps)
    return result


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("count", [1, 3])
def test_each_layer_has_two_operations_more_per_adapter(models, apply, kind, masked, count):
    patched = models(kind)
    for seed in range(count):
        mask = torch.rand(1, 31, 47) if masked else None
        patched = apply(patched, kind, seed=seed, attn_mask=mask)
    plain, *_ = counted(models(kind), kind, steps=1)
    *_, steady = counted(patched, kind)
    added = steady.counted - plain.counted
    attention, add = 2 * [count * LAYERS[kind]]  # so every layer is reached, too
    assert added == {
        next(name for name in added if "attention" in name): attention,
        "aten.addcmul_" if masked else "aten.add_": add,
    }


def test_a_step_never_waits_for_the_device(models, apply):
    masked = apply(models("sd15"), attn_mask=torch.rand(1, 31, 47))
    plain, *_ = counted(models("sd15"), "sd15", steps=1)
    assert [step.syncs for step in counted(masked, "sd15")] == [plain.syncs] * 3


def test_a_window_asks_for_sigma_once_per_call_of_the_model(models, apply):
    chained = apply(apply(models("sd15"), end_at=0.5), seed=8, start_at=0.5)
    plain, *_ = counted(models("sd15"), "sd15", steps=1)
    assert [step.syncs for step in counted(chained, "sd15")] == [plain.syncs + 1] * 3


def test_outside_its_window_an_adapter_costs_no_operation(models, apply):
    late = apply(models("sd15"), start_at=0.9)
    plain, *_ = counted(models("sd15"), "sd15", steps=1)
    *_, steady = counted(late, "sd15")
    assert set(steady.counted - plain.counted) <= {"aten._local_scalar_dense"}


@pytest.mark.parametrize(
    ("kind", "tokens", "megabytes"),
    [("sd15", 4, 0.8), ("sd15", 16, 3.3), ("sdxl", 4, 2.7), ("sdxl", 16, 11)],
)
def test_only_keys_and_values_of_both_rows_are_alive_while_sampling(pack, kind, tokens, megabytes):
    import hollow  # needs the host

    model, during = hollow.model(kind), {}

    def step(call):
        out = call()
        during[name] = counters.alive()
        return out

    base = counters.alive()
    for name in ("plain", "ours"):
        patched = model if name == "plain" else with_random_keys(pack, model, tokens)
        inside.sample(patched, kind, (16, 1), step, 2)
    ours = during["ours"] - during["plain"]
    assert 0 < ours <= megabytes * 1e6
    del patched
    assert counters.alive() - base <= during["plain"] - base  # and nothing afterwards


def with_random_keys(pack, model, tokens):
    """The model with random keys and values of that many tokens, at its real widths."""
    layers = pack.nodes.sampling.layers.find_layout(model.model.diffusion_model).layers
    widths = tuple(inner for inner, _ in layers.values())
    flat = torch.randn(4 * tokens * sum(widths)).to(model.model.get_dtype_inference())
    core = sys.modules[pack.__name__ + ".ipadapter_core.attention.keys"]
    keys = pack.nodes.sockets.ImageKeys(
        "random", tuple(layers), core.KeysValues(flat, tokens, widths)
    )
    return pack.nodes.sampling.patch.add_image_prompt(
        model, keys, pack.nodes.sampling.image_prompt.PromptSettings()
    )


@pytest.fixture
def run_node(tower, models, adapters, nodes_by_id, monkeypatch, pack):
    """Runs Apply IPAdapter with the counted encoder; returns (runs of it, matrix products)."""
    displayed = types.SimpleNamespace(PreviewImage=lambda _: types.SimpleNamespace(as_dict=dict))
    monkeypatch.setattr(pack.nodes.references.encode, "ui", displayed)

    def run(image, name="ip-adapter-plus_sd15", **settings):
        before = tower.runs
        with counters.Operations() as mode, torch.no_grad():
            nodes_by_id["ApplyIPAdapter"].execute(
                models("sd15"), adapters(name)[0], tower, image, **settings
            )
        products = sum(mode.counted[f"aten.{name}"] for name in ("mm", "addmm", "bmm"))
        return tower.runs - before, products

    return run


def test_another_weight_window_or_mask_runs_no_encoder_and_projects_nothing(run_node):
    picture = torch.rand(1, 30, 30, 3)
    assert run_node(picture)[0] == 2  # the picture and, once for each encoder, no picture
    for change in ({"weight": 0.3}, {"end_at": 0.5}, {"attn_mask": torch.rand(1, 9, 9)}):
        assert run_node(picture, **change) == (0, 0)


def test_another_picture_runs_the_encoder_once(run_node):
    run_node(torch.rand(1, 30, 30, 3))
    runs, products = run_node(torch.rand(1, 30, 30, 3))
    assert runs == 1 and products > 0


def test_adapters_that_share_an_encoder_see_a_picture_once(run_node):
    picture = torch.rand(1, 30, 30, 3)
    names = ("ip-adapter_sd15", "ip-adapter-plus_sd15", "ip-adapter-full-face_sd15")
    assert [run_node(picture, name)[0] for name in names] == [1, 1, 0]  # the second: no picture


def test_fifty_queued_runs_of_three_branches_leave_nothing_behind(models, apply, tiny):
    model, prompt = models("sd15"), tiny.text("sd15")

    def queued():
        first = apply(model, seed=5)
        branches = [first, apply(first, seed=8), apply(first, seed=9, weight=0.3)]
        outs = [tiny.sample(branch, prompt, size=(8, 8), steps=1) for branch in branches]
        patches = [
            len(branch.model_options["transformer_options"]["ipadapter"]) for branch in branches
        ]
        return torch.cat(outs), patches, [len(branch.wrappers) for branch in branches]

    recorded = {}
    for run in range(1, 51):
        out, *counts = queued()
        if run in (2, 50):
            recorded[run] = out.clone(), counts, store_sizes(model), counters.alive()
    (second, *before), (last, *after) = recorded.values()
    assert torch.equal(second, last)
    assert after[:-1] == before[:-1]
    assert after[-1] - before[-1] <= last.nbytes  # the copy kept of the second run


def store_sizes(model):
    return len(model.wrappers), len(model.callbacks), len(model.attachments), len(model.patches)
