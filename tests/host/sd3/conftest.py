"""A small SD3.5 and an adapter for it."""

import pytest


@pytest.fixture(scope="session")
def sd3(host):
    from support import tiny_sd3

    return tiny_sd3


@pytest.fixture(scope="module")
def model(sd3):
    return sd3.model()


@pytest.fixture(scope="module")
def tensors(sd3):
    return sd3.adapter_tensors()


@pytest.fixture(scope="module")
def adapter(pack, tensors):
    return pack.nodes.files.load.loaded_adapter("sd3.bin", tensors)


@pytest.fixture
def apply(nodes_by_id, adapter, sd3):
    """(model, settings) -> the model with a reference on it."""

    def run(model, seed=5, count=1, **settings):
        inputs = {"clip_vision_output": sd3.features(seed, count), "weight": sd3.WEIGHT} | settings
        return nodes_by_id["ApplyIPAdapter"].execute(model, adapter, **inputs).args[0]

    return run


@pytest.fixture
def model_calls(sd3):
    """Samples with the host's KSampler: every call of the model, and what it gave."""
    from comfy.patcher_extension import WrappersMP

    def run(model, **settings):
        model, calls = model.clone(), []
        forward = model.model.diffusion_model.forward

        def watch(x, timesteps, context=None, y=None, transformer_options=None, **kwargs):
            options = {"transformer_options": transformer_options}
            out = forward(x, timesteps, context=context, y=y, **options, **kwargs)
            calls.append((x, timesteps, context, y, transformer_options["cond_or_uncond"], out))
            return out

        def call_model(executor, *args, **kwargs):
            model.model.diffusion_model.forward = watch
            try:
                return executor(*args, **kwargs)
            finally:
                del model.model.diffusion_model.forward

        model.add_wrapper(WrappersMP.OUTER_SAMPLE, call_model)
        sd3.sample(model, **settings)
        assert calls
        return calls

    return run
