"""Errors, interrupts and missing memory at every stage; threads, precisions, copies; objects of
other packs.
"""

import copy
import functools
import pickle
import threading

import counters
import pytest
import torch
from support.compare import difference
from support.tolerance import EFFECT

pytestmark = pytest.mark.host

SIZE = {"size": (8, 10)}
STAGES = [
    "OUTER_SAMPLE",
    "PREPARE_SAMPLING",
    "SAMPLER_SAMPLE",
    "PREDICT_NOISE",
    "CALC_COND_BATCH",
    "APPLY_MODEL",
    "DIFFUSION_MODEL",
    "attention",
]


@pytest.fixture
def apply(nodes_by_id, adapters, tiny):
    features = functools.cache(tiny.features)

    def run(model, seed=5, name="ip-adapter-plus_sd15", **settings):
        inputs = {"clip_vision_output": features(seed), "weight": 0.7} | settings
        inputs["clip_vision_output_negative"] = features(seed + 1)
        return nodes_by_id["ApplyIPAdapter"].execute(model, adapters(name)[0], **inputs).args[0]

    return run


def failures():
    import comfy.model_management as management

    return {
        "interrupt": management.InterruptProcessingException(),
        "exception": RuntimeError("on purpose"),
        "out of memory": management.OOM_EXCEPTION("on purpose"),
    }


def failing(model, stage, error, after=1):
    """The model with something in it that fails at a stage, when it is reached for the `after`th
    time.
    """
    from comfy.patcher_extension import WrappersMP

    model, reached = model.clone(), []

    def fail(executor, *args, **kwargs):
        reached.append(1)
        if len(reached) == after:
            raise error
        return executor(*args, **kwargs)

    if stage == "attention":
        replace = functools.partial(fail, lambda query, key, value, extra: query)
        model.set_model_attn2_replace(replace, "middle", 0, 0)
    else:
        model.add_wrapper(getattr(WrappersMP, stage), fail)
    return model


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", ["interrupt", "exception", "out of memory"])
def test_after_a_failure_nothing_is_left_and_the_next_sampling_is_right(
    models, apply, tiny, pack, monkeypatch, stage, kind
):
    model, prompt = apply(models("sd15"), attn_mask=torch.rand(1, 9, 9)), tiny.text("sd15")
    expected = tiny.sample(model, prompt, **SIZE)
    runs, Run = [], pack.nodes.sampling.patch.Run
    monkeypatch.setattr(
        pack.nodes.sampling.patch, "Run", lambda **fields: runs.append(Run(**fields)) or runs[-1]
    )
    once = stage in ("OUTER_SAMPLE", "PREPARE_SAMPLING", "SAMPLER_SAMPLE")  # in a sampling
    for after in (1,) if once else (1, 2):
        error = failures()[kind]
        with pytest.raises(type(error)):
            tiny.sample(failing(model, stage, error, after), prompt, steps=3, **SIZE)
    assert runs and all(run.is_empty for run in runs)
    runs.clear()
    assert torch.equal(tiny.sample(model, prompt, **SIZE), expected)


def test_failures_leave_no_bytes_behind(models, apply, tiny):
    model, prompt = apply(models("sd15")), tiny.text("sd15")

    def fail():
        for error in failures().values():
            with pytest.raises(type(error)):
                tiny.sample(failing(model, "attention", error, 2), prompt, **SIZE)
        return counters.alive()

    fail()
    first = fail()
    assert [fail() for _ in range(3)] == [first] * 3


@pytest.mark.parametrize("kind", ["interrupt", "exception", "out of memory"])
def test_a_failed_encoding_is_not_remembered(models, adapters, nodes_by_id, tiny, kind):
    from comfy.model_patcher import CoreModelPatcher

    cpu = torch.device("cpu")

    class Tower:
        patcher = CoreModelPatcher(torch.nn.Linear(1, 1), cpu, cpu)
        load_device, image_size, fail = cpu, 224, True

        def encode_image(self, image, crop=True):
            if self.fail:
                raise failures()[kind]
            return tiny.features(5)

        def model(self, **_):
            recorded = tiny.features(6)
            return (
                recorded.last_hidden_state,
                recorded.penultimate_hidden_states,
                recorded.image_embeds,
                None,
            )

    tower, picture = Tower(), torch.rand(1, 20, 20, 3)
    run = functools.partial(
        nodes_by_id["ApplyIPAdapter"].execute,
        models("sd15"),
        adapters("ip-adapter-plus_sd15")[0],
        tower,
        picture,
    )
    with pytest.raises(type(failures()[kind])):
        run()
    tower.fail = False
    assert tiny.sample(run().args[0], tiny.text("sd15"), **SIZE).isfinite().all()


def test_weights_that_are_not_finite_are_refused(models, adapters, nodes_by_id, tiny):
    output = tiny.features(5)
    output["image_embeds"][0, 3] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinite"):
        nodes_by_id["ApplyIPAdapter"].execute(
            models("sd15"), adapters("ip-adapter_sd15")[0], clip_vision_output=output
        )


def test_a_model_unloaded_between_two_prompts_gives_the_same(models, apply, tiny):
    import comfy.model_management

    model, prompt = apply(models("sd15")), tiny.text("sd15")
    expected = tiny.sample(model, prompt, **SIZE)
    comfy.model_management.unload_all_models()
    assert torch.equal(tiny.sample(model, prompt, **SIZE), expected)


def test_what_hangs_on_a_model_can_be_copied_and_pickled(models, apply, tiny):
    model, prompt = (
        apply(models("sd15"), attn_mask=torch.rand(1, 9, 9), end_at=0.9),
        tiny.text("sd15"),
    )
    expected = tiny.sample(model, prompt, **SIZE)
    for duplicate in (copy.deepcopy, lambda options: pickle.loads(pickle.dumps(options))):
        second = model.clone()
        second.model_options = duplicate(model.model_options)
        assert torch.equal(tiny.sample(second, prompt, **SIZE), expected)
    prompts = model.model_options["transformer_options"]["ipadapter"]
    assert copy.deepcopy(prompts)[0] is prompts[0]


def test_no_model_travels_with_ours(models, apply):
    """So the host's multi-GPU, which clones every additional model, has none of ours to clone."""
    model = apply(models("sd15"))
    assert not model.get_nested_additional_models() and not model.model_patches_models()
    assert not model.attachments and not model.injections


@pytest.fixture
def model_call(pack, models, apply):
    """(roles) -> one call of the model with an adapter on it, and what is added at each layer."""
    sampling = pack.nodes.sampling
    prompts = apply(models("sd15")).model_options["transformer_options"]["ipadapter"]

    def make(*roles):
        rows = sampling.batch_rows.BatchRows(
            roles=roles, areas=(None, None), latent_size=(8, 8), count=1, frames=None
        )
        call = sampling.model_call.ModelCall(sampling.run.Run(), rows, rows.latent_size)
        return call, sampling.patch._parts_by_layer(call.run, prompts, (0,))

    return make


def test_threads_with_other_precisions_do_not_disturb_each_other(pack, model_call):
    call, parts = model_call(0, 1)
    composed = pack.nodes.sampling.unet.ComposedAttention({}, parts, call)
    extra = {"n_heads": 4, "attn_precision": None, "activations_shape": [4, 32, 3, 5]}
    extra |= {"block": ("input", 1), "block_index": 0}
    outputs, dtypes = {}, (torch.float32, torch.float64, torch.bfloat16, torch.float16)

    def work(number):
        dtype = dtypes[number % len(dtypes)]
        source = torch.Generator().manual_seed(dtype.itemsize)
        query, key, value = (torch.randn(4, n, 32, generator=source).to(dtype) for n in (15, 7, 7))
        with torch.inference_mode():
            for _ in range(20):
                outputs.setdefault(dtype, []).append(composed(query, key, value, dict(extra)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for dtype in dtypes:
        first, *rest = outputs[dtype]
        assert len(rest) == 39 and first.dtype == dtype
        assert all(torch.equal(second, first) for second in rest)


def test_a_model_on_a_device_without_memory_gets_keys_there(model_call):
    """As the host's multi-GPU calls one patch with tensors of several devices."""
    call, parts = model_call(1, 0)
    (part,) = parts["input", 1, 0]
    for device in ("meta", "cpu", "meta"):
        query = torch.empty(2, 15, 32, device=device)
        pair = call.keys_values(part, query, 4)
        assert {tensor.device.type for tensor in pair} == {device}


class Shared:
    """A replacement on which other packs put more with `.add(callback, **kwargs)`, as several
    popular packs have.
    """

    def __init__(self, callback, **kwargs):
        self.callbacks = [(callback, kwargs)]

    def add(self, callback, **kwargs):
        self.callbacks.append((callback, kwargs))

    def __call__(self, query, key, value, extra):
        import comfy.ldm.modules.attention as attention

        out = attention.optimized_attention(query, key, value, extra["n_heads"])
        for callback, kwargs in self.callbacks:
            out = out + callback(query, **kwargs)
        return out


def put(model, scale):
    """As those packs do: `.add` on what is there, else an object of their own."""
    model, places = model.clone(), [("input", 4, 0), ("middle", 0, 0), ("output", 5, 0)]
    for place in places:
        present = (
            model.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
        )
        if place in present:
            fresh = Shared(*present[place].callbacks[0][:1], **present[place].callbacks[0][1])
            fresh.add(torch.mul, other=scale)
            model.set_model_attn2_replace(fresh, *place)
        else:
            model.set_model_attn2_replace(Shared(torch.mul, other=scale), *place)
    return model


def test_an_object_that_takes_more_callbacks_acts_before_and_after_ours(models, apply, tiny):
    model, prompt = models("sd15"), tiny.text("sd15")
    graphs = [
        apply(put(put(model, 0.1), 0.2)),
        put(apply(put(model, 0.1)), 0.2),
        put(put(apply(model), 0.1), 0.2),
    ]
    outs = [tiny.sample(graph, prompt, **SIZE) for graph in graphs]
    assert torch.equal(outs[0], outs[1]) and torch.equal(outs[0], outs[2])
    rest = (
        tiny.sample(put(put(model, 0.1), 0.2), prompt, **SIZE),
        tiny.sample(apply(model), prompt, **SIZE),
    )
    assert all(difference(outs[0], second) > EFFECT for second in rest)
