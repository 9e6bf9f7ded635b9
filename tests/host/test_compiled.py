"""Compiled models: one graph for each structure, no breaks, and the right image in every order.

Most of it on a UNet of 11 cross-attention layers, since a compiler takes as long as the model is
deep, and with the backend `eager`, which makes the same graphs and checks the same guards without
generating code. It runs the operations of the plain model, so that results are equal to the bit.
"""

from functools import partial

import make_models
import pytest
import torch
from support import tiny
from support.compare import NAMES, difference
from support.tolerance import EFFECT, SAMPLING

pytestmark = [pytest.mark.host, pytest.mark.filterwarnings("ignore")]

SETTINGS = {"size": (8, 10), "steps": 2}
SMALL = {
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [1, 2],
    "transformer_depth_output": [1, 1, 2, 2],
    "transformer_depth_middle": 2,
}
SMALL_BASE = make_models.Base(768, (32, 64, 64, 64, 64, 64, 64, 32, 32, 64, 64))
SMALLEST = {
    "num_res_blocks": [1],
    "channel_mult": [1],
    "transformer_depth": [1],
    "transformer_depth_output": [1, 1],
    "transformer_depth_middle": 1,
}
SMALLEST_BASE = make_models.Base(768, (32, 32, 32, 32))


@pytest.fixture(autouse=True)
def traceable_attention(host, monkeypatch):
    """torch's attention, as on a GPU, which can be traced without breaks."""
    import comfy.ldm.modules.attention as attention

    for name in ("optimized_attention", "optimized_attention_masked"):
        monkeypatch.setattr(attention, name, attention.attention_pytorch)


@pytest.fixture
def fresh_compiler(host):
    """No compiled code of another test."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture(scope="module")
def compiler(host):
    """(model, backend, settings) -> the model as the host's TorchCompileModel returns it."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    def run(model, backend="eager", has_guards=False, **settings):
        options = {} if has_guards else guard_filter()
        model = model.clone()
        set_torch_compile_wrapper(model, backend, options=options, **settings)
        return model

    return run


def guard_filter():
    try:
        from comfy_extras.nodes_torch_compile import skip_torch_compile_dict
    except ImportError:  # older hosts
        return {}
    return {"guard_filter_fn": skip_torch_compile_dict}


@pytest.fixture
def graphs(host):
    """() -> the number of graphs compiled so far, and of graph breaks."""
    from torch._dynamo.utils import counters

    counters.clear()
    return lambda: (counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))


@pytest.fixture(scope="module")
def small(host):
    return tiny.model("sd15", **SMALL)


@pytest.fixture(scope="module")
def smallest(host):
    return tiny.model("sd15", **SMALLEST)


@pytest.fixture(scope="module")
def put(pack, nodes_by_id):
    """(model, settings) -> a model of these with an adapter on it."""
    import comfy.ops
    from comfy.model_patcher import CoreModelPatcher

    def run(model, seed=5, weights=0, count=1, **settings):
        name = "ip-adapter-plus_sd15"
        is_small = len(model.model.diffusion_model.input_blocks) > 2
        base = SMALL_BASE if is_small else SMALLEST_BASE
        tensors = make_models.adapter_tensors(name, base, weights, torch.float32)
        module = pack.nodes.files.load.build(tensors, comfy.ops.manual_cast)
        patcher = CoreModelPatcher(module, torch.device("cpu"), torch.device("cpu"))
        adapter = pack.nodes.sockets.LoadedAdapter(name, module.spec, patcher)
        inputs = {
            "clip_vision_output": tiny.features(seed, count),
            "clip_vision_output_negative": tiny.features(seed + 1),
            "weight": 0.7,
        }
        return nodes_by_id["ApplyIPAdapter"].execute(model, adapter, **inputs | settings).args[0]

    return run


@pytest.fixture
def assert_same(sample, small):
    """The compiled model gives the image of the other one, which is not that of the plain model."""

    def check(compiled, eager, tolerance=0.0, has_effect=True, plain=small, **settings):
        settings = SETTINGS | settings
        expected = sample(eager, **settings)
        assert difference(sample(compiled, **settings), expected) <= tolerance
        assert (difference(expected, sample(plain, **settings)) > EFFECT) == has_effect

    return check


CHANGES = [
    {},
    {"weight": 1.3},
    {"seed": 9},
    {"weights": 1},  # another adapter of the same kind
    {"end_at": 0.5},
    {"weight": 0.0},
    {"attn_mask": torch.arange(12.0).view(1, 3, 4) / 12},
    {"keep_prompt": 0.5},
    {"count": 3},
    {"scaling": "K+V"},
    {"scaling": "K+mean(V) with C penalty", "count": 2},
]


@pytest.fixture(scope="module")
def compiled(small, compiler):
    torch.compiler.reset()
    return compiler(small)


def test_nothing_of_an_adapter_that_changes_makes_another_graph(
    small, compiled, put, graphs, assert_same
):
    assert_same(compiled, small, has_effect=False)
    assert graphs() == (1, 0)
    for change in CHANGES:
        has_effect = change.get("weight") != 0.0
        assert_same(put(compiled, **change), put(small, **change), has_effect=has_effect)
        assert graphs() == (2, 0), change
    assert_same(compiled, small, has_effect=False)
    assert graphs() == (2, 0)


# The tests down to the next line use the graphs of that one.


def test_branches_of_a_compiled_model_do_not_see_each_other(
    small, compiled, put, graphs, assert_same
):
    branches = [(put(compiled, seed=seed), put(small, seed=seed)) for seed in (5, 8)]
    for compiled_branch, branch in [*branches, *branches]:
        assert_same(compiled_branch, branch)
        assert_same(compiled, small, has_effect=False)
    assert graphs() == (0, 0)


def test_a_second_adapter_needs_no_other_graph(small, compiled, put, graphs, assert_same):
    assert_same(put(put(compiled), seed=8, weight=-0.4), put(put(small), seed=8, weight=-0.4))
    assert graphs() == (0, 0)


def test_the_adapter_may_come_before_the_compiler(small, put, compiler, graphs, assert_same):
    assert_same(compiler(put(small)), put(small))
    assert_same(put(compiler(put(small)), seed=8), put(put(small), seed=8))
    assert graphs() == (0, 0)


def test_a_watch_comes_and_goes(small, compiled, put, graphs, assert_same, nodes_by_id):
    def watched(model):
        node = nodes_by_id["WatchIPAdapterAttention"]
        return node.execute(model, number=1, start_at=0.0, end_at=1.0, layers="").args

    compiled, eager = put(compiled), put(small)
    maps = []
    for model in (compiled, eager):
        watched_model, watch = watched(model)
        assert_same(watched_model, eager)
        maps.append(watch.maps)
    assert torch.equal(*maps)
    assert_same(compiled, eager)
    assert graphs() == (0, 0)


def test_another_size_is_right(small, compiled, put, assert_same):
    mask = torch.arange(12.0).view(1, 3, 4) / 12
    for size in ((12, 16), (8, 10)):
        assert_same(put(compiled, attn_mask=mask), put(small, attn_mask=mask), size=size)


# ---- graphs of their own -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NAMES)
def test_real_topologies_are_one_graph(
    models, apply, sample, compiler, graphs, kind, fresh_compiler
):
    model, settings = models(kind), SETTINGS | {"steps": 1}
    expected = sample(apply(model, kind), kind, **settings)
    assert torch.equal(sample(apply(compiler(model), kind), kind, **settings), expected)
    assert difference(expected, sample(model, kind, **settings)) > EFFECT
    assert graphs() == (1, 0)


def with_attn2_patch(model, factor):
    model = model.clone()
    model.set_model_attn2_patch(lambda query, key, value, extra: (query, key, value * factor))
    return model


def with_replacement(model, factor):
    def replacement(query, key, value, extra):
        import comfy.ldm.modules.attention as attention

        return factor * attention.optimized_attention(query, key, value, extra["n_heads"])

    model = model.clone()
    for block in (("input", 1), ("middle", 0)):
        model.set_model_attn2_replace(replacement, *block)
    return model


def test_patches_of_other_packs_act_before_and_after_also_where_they_come_later(
    smallest, put, compiler, assert_same, fresh_compiler
):
    compiled, assert_same = compiler(smallest), partial(assert_same, plain=smallest)
    assert_same(put(compiled), put(smallest))
    for patch in (with_attn2_patch, with_replacement):  # as another pack's node makes it anew
        patched = patch(put(compiled), 2.0)
        assert_same(patched, patch(put(smallest), 2.0))
        assert_same(put(patch(compiled, 0.5)), put(patch(smallest, 0.5)))
        assert_same(patched, patch(put(smallest), 2.0))


@pytest.fixture
def own_code_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))


@pytest.mark.usefixtures("fresh_compiler", "own_code_cache")
def test_generated_code_gives_the_same(smallest, put, compiler, graphs, assert_same):
    compiled, mask = compiler(smallest, "inductor"), torch.arange(12.0).view(1, 3, 4) / 12
    assert_same = partial(assert_same, tolerance=SAMPLING, plain=smallest)
    for change in ({}, {"seed": 9, "attn_mask": mask}, {"keep_prompt": 0.5}):
        assert_same(put(compiled, **change), put(smallest, **change))
    assert_same(put(compiled, weight=0.0), put(smallest, weight=0.0), has_effect=False)
    assert graphs() == (1, 0)


BLOCKS = [
    f"diffusion_model.{place}.1.transformer_blocks.{number}"
    for place in ("input_blocks.3", "middle_block", "output_blocks.0")
    for number in range(2)
]


@pytest.mark.parametrize("has_guards", [False, True])
def test_compiled_blocks_are_right_in_any_order(
    small, put, compiler, assert_same, has_guards, fresh_compiler
):
    """Blocks of equal shapes share their graphs."""
    compiled = compiler(small, keys=BLOCKS, has_guards=has_guards)
    assert_same(compiled, small, has_effect=False)
    for change in ({}, {"seed": 9}, {"end_at": 0.5}):
        assert_same(put(compiled, **change), put(small, **change))
    assert_same(compiled, small, has_effect=False)
    assert_same(compiler(put(small), keys=BLOCKS, has_guards=has_guards), put(small))


def test_without_custom_operators_the_layers_are_left_to_eager_code(
    smallest, put, compiler, assert_same, monkeypatch, pack, fresh_compiler
):
    module = pack.nodes.sampling.compiled
    assert module.make_operator(None) is None
    monkeypatch.setattr(module, "OPERATOR", None)
    compiled = compiler(smallest)
    for change in ({}, {"seed": 9, "weight": 1.3}):
        assert_same(put(compiled, **change), put(smallest, **change), plain=smallest, steps=1)
