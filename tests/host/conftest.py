"""Small real models and adapters for the host tests, made once."""

import functools

import make_models
import pytest
import torch


@pytest.fixture(scope="session")
def tiny(host):
    import tiny

    return tiny


@pytest.fixture(scope="session")
def models(tiny):
    """kind -> a small model of the real topology. Tests must not change it: that is what they prove."""
    return functools.cache(tiny.model)


@pytest.fixture(scope="session")
def adapters(pack, tiny):
    """(published name, seed) -> the adapter as Load IPAdapter opens it, with the small models' widths."""
    import comfy.ops
    from comfy.model_patcher import CoreModelPatcher

    @functools.cache
    def adapter(name: str, seed: int = 0):
        base = tiny.SMALL["sdxl" if "sdxl" in name else "sd15"]
        tensors = make_models.adapter_tensors(name, base, seed, torch.float32)
        module = pack.nodes.load.core.build(tensors, comfy.ops.manual_cast)
        patcher = CoreModelPatcher(module, torch.device("cpu"), torch.device("cpu"))
        return pack.nodes.sockets.LoadedAdapter(name, module.spec, patcher), tensors

    return adapter
