"""SD3.5 under the host's TorchCompileModel: one graph, no breaks, the right image in every order.

With the backend `eager`, which makes the same graphs and checks the same guards without generating
code.
"""

import pytest
import torch
from support.compare import difference
from support.tolerance import EFFECT, SAMPLING, SMALL_EFFECT

pytestmark = [pytest.mark.host, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def traceable_attention(host):
    """torch's attention, as on a GPU, which can be traced without breaks. Graphs of one test serve
    the next.
    """
    import comfy.ldm.modules.attention as attention
    import comfy.ldm.modules.diffusionmodules.mmdit as mmdit

    with pytest.MonkeyPatch.context() as patch:
        for module in (attention, mmdit):
            patch.setattr(module, "optimized_attention", attention.attention_pytorch)
        torch.compiler.reset()
        yield
        torch.compiler.reset()


@pytest.fixture
def compiled(host):
    """(model, keys) -> the model as the host's TorchCompileModel returns it, whole if there are no
    keys of parts.
    """
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    try:
        from comfy_extras.nodes_torch_compile import skip_torch_compile_dict
    except ImportError:  # older hosts
        options = {}
    else:
        options = {"guard_filter_fn": skip_torch_compile_dict}

    def run(model, keys=()):
        model = model.clone()
        set_torch_compile_wrapper(model, "eager", options=options, keys=list(keys))
        return model

    return run


@pytest.fixture
def graphs():
    """() -> the number of graphs compiled so far, and of graph breaks."""
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    counters.clear()
    return lambda: (counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))


def test_a_model_stays_compiled_with_adapters_that_come_later(model, apply, compiled, sd3, graphs):
    plain, whole = sd3.sample(model), compiled(model)
    assert difference(sd3.sample(whole), plain) < SAMPLING
    graph_count, break_count = graphs()
    masked = {"weight": 0.9, "attn_mask": torch.arange(24.0).view(1, 4, 6) / 24}
    for settings in ({}, masked, {"start_at": 0.4}):
        expected = sd3.sample(apply(model, **settings))
        assert difference(sd3.sample(apply(whole, **settings)), expected) < SAMPLING
        assert difference(expected, plain) > SMALL_EFFECT
    assert difference(sd3.sample(whole), plain) < SAMPLING
    assert graphs() == (2 * graph_count, 2 * break_count)


def test_a_model_is_compiled_after_the_adapter(model, apply, compiled, sd3):
    first = compiled(apply(model))
    assert difference(sd3.sample(first), sd3.sample(apply(model))) < SAMPLING


def with_halved_block(model):
    """A patch of another pack: a replacement of a block."""

    def halved(arguments, extra):
        out = extra["original_block"](arguments)
        return {**out, "img": arguments["img"] + 0.5 * (out["img"] - arguments["img"])}

    model = model.clone()
    model.set_model_patch_replace(halved, "dit", "double_block", 1)
    return model


def with_doubled_attention(model):
    """A patch of another pack: an override of the attention."""

    def doubled(function, *args, **kwargs):
        return 2.0 * function(*args, **kwargs)

    model = model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = doubled
    return model


def test_patches_of_other_packs_act_in_a_compiled_model(model, apply, compiled, sd3, graphs):
    def branches(model):
        model = apply(model)
        return model, with_halved_block(model), with_doubled_attention(model)

    expected = [sd3.sample(branch) for branch in branches(model)]
    assert all(difference(image, expected[0]) > EFFECT for image in expected[1:])
    compiled_branches = branches(compiled(model))
    for branch, image in [*zip(compiled_branches, expected, strict=True)] * 2:
        assert difference(sd3.sample(branch), image) < SAMPLING
    assert graphs() == (len(expected), 0)


def with_compiled_blocks(model, names):
    """As packs do that put compiled blocks into a model themselves."""
    model = model.clone()
    for name in names:
        model.add_object_patch(name, torch.compile(model.get_model_object(name), backend="eager"))
    return model


@pytest.mark.parametrize("is_patched", [False, True])
def test_blocks_that_are_compiled_one_by_one_stay_so(
    model, apply, compiled, sd3, graphs, is_patched
):
    """By the host without guards on its options, or by another pack with all guards."""
    names = [f"diffusion_model.joint_blocks.{number}" for number in range(sd3.BLOCKS)]
    blocks = with_compiled_blocks(model, names) if is_patched else compiled(model, names)
    plain = sd3.sample(model)
    assert difference(sd3.sample(blocks), plain) < SAMPLING
    graph_count, break_count = graphs()
    for settings in ({}, {"weight": 0.9, "seed": 9, "start_at": 0.4}):
        expected = sd3.sample(apply(model, **settings))
        assert difference(sd3.sample(apply(blocks, **settings)), expected) < SAMPLING
        assert difference(expected, plain) > SMALL_EFFECT
    assert difference(sd3.sample(blocks), plain) < SAMPLING
    expected, patched = (
        sd3.sample(with_halved_block(apply(model))),
        with_halved_block(apply(blocks)),
    )
    assert difference(sd3.sample(patched), expected) < SAMPLING
    assert graphs() == (2 * graph_count, 2 * break_count)
    expected = sd3.sample(with_doubled_attention(apply(model)))
    assert difference(sd3.sample(with_doubled_attention(apply(blocks))), expected) < SAMPLING
