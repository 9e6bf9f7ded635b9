"""FLUX.1 under the host's TorchCompileModel: one graph, no breaks, the right image in every order.

With the backend `eager`, which makes the same graphs and checks the same guards without generating
code.
"""

import pytest
import torch
from support.compare import difference
from support.tolerance import EFFECT, FLUX

pytestmark = [pytest.mark.host, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def traceable_attention(host, monkeypatch):
    """torch's attention, as on a GPU, which can be traced without breaks."""
    import comfy.ldm.flux.math
    import comfy.ldm.modules.attention as attention

    for module in (attention, comfy.ldm.flux.math):
        monkeypatch.setattr(module, "optimized_attention", attention.attention_pytorch)
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def compiler():
    """(model, settings) -> the model as the host's TorchCompileModel returns it."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper
    from comfy_extras.nodes_torch_compile import skip_torch_compile_dict

    def run(model, has_guards=False, **settings):
        model = model.clone()
        options = {} if has_guards else {"guard_filter_fn": skip_torch_compile_dict}
        set_torch_compile_wrapper(model, "eager", options=options, **settings)
        return model

    return run


@pytest.fixture
def compiled(model, compiler):
    return compiler(model)


@pytest.fixture
def graphs():
    """() -> the number of graphs compiled so far, and of graph breaks."""
    from torch._dynamo.utils import counters

    counters.clear()
    return lambda: (counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))


@pytest.fixture
def put(apply_flux, apply_instantx):
    """(model, settings) -> the model with an adapter of each kind on it."""
    pooled = torch.randn(1, 1152, generator=torch.Generator().manual_seed(3))
    return lambda model, **settings: apply_instantx(
        apply_flux(model, **settings), pooled, **settings
    )


def test_a_model_stays_compiled_with_adapters_that_come_later(flux, model, compiled, put, graphs):
    plain = flux.sample(model, steps=1)
    assert difference(flux.sample(compiled, steps=1), plain) <= FLUX
    graph_count, break_count = graphs()
    for settings in ({}, {"weight": 0.3, "attn_mask": torch.arange(12.0).view(1, 4, 3) / 12}):
        expected = flux.sample(put(model, **settings), steps=1)
        assert difference(flux.sample(put(compiled, **settings), steps=1), expected) <= FLUX
        assert difference(expected, plain) > EFFECT
    assert difference(flux.sample(compiled, steps=1), plain) <= FLUX
    assert graphs() == (2 * graph_count, 2 * break_count)
    other_size = {"size": (7, 10), "steps": 1}
    expected = flux.sample(put(model, **settings), **other_size)
    assert difference(flux.sample(put(compiled, **settings), **other_size), expected) <= FLUX


@pytest.mark.parametrize("has_guards", [False, True])
def test_compiled_blocks_are_right_in_any_order(
    flux, model, compiler, put, apply_flux, graphs, has_guards
):
    """As packs compile the blocks of a model one by one. Equal blocks share their graphs."""
    transformer = model.model.diffusion_model
    kinds = {"double": transformer.double_blocks, "single": transformer.single_blocks}
    blocks = [
        f"diffusion_model.{kind}_blocks.{number}"
        for kind, kind_blocks in kinds.items()
        for number in range(len(kind_blocks))
    ]
    compiled = compiler(model, keys=blocks, has_guards=has_guards)
    plain = flux.sample(model, steps=1)
    assert difference(flux.sample(compiled, steps=1), plain) <= FLUX
    mask = torch.arange(12.0).view(1, 4, 3) / 12
    for change in (apply_flux, put, lambda each: put(each, weight=0.3, attn_mask=mask)):
        expected = flux.sample(change(model), steps=1)
        assert difference(flux.sample(change(compiled), steps=1), expected) <= FLUX
        assert difference(expected, plain) > EFFECT
    assert difference(flux.sample(compiled, steps=1), plain) <= FLUX
    if not has_guards:
        # a double and a single block without and with adapters, and a single block that has none
        # beside double blocks that have one
        assert graphs() == (5, 0)
    expected = flux.sample(put(model), steps=1)
    compiled = compiler(put(model), keys=blocks, has_guards=has_guards)
    assert difference(flux.sample(compiled, steps=1), expected) <= FLUX
