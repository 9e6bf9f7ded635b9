"""FaceID adapters: the model equals diffusers' with adapter and LoRA; the LoRA is added once."""

import gc
from functools import partial

import counters
import diffusers.loaders.unet
import inside
import make_models
import pytest
import torch
from diffusers.models.embeddings import IPAdapterFaceIDPlusImageProjection
from support.faceid import merge_lora
from support.tolerance import MODEL_CALL

pytestmark = pytest.mark.host

NAMES = [
    "ip-adapter-faceid_sd15",
    "ip-adapter-faceid-plusv2_sd15",
    "ip-adapter-faceid-portrait_sd15",
    "ip-adapter-faceid-plusv2_sdxl",
    "ip-adapter-faceid-portrait_sdxl_unnorm",
]
(FACEID, PLUS), WEIGHT = NAMES[:2], 0.7


def faces(pack, spec, seed, count=1, is_empty=False):
    """What `spec` takes of some faces; of none: zeros, and what an encoder gives for them."""
    source = torch.Generator().manual_seed(seed)
    identities = torch.randn(count, 512, generator=source)
    if spec.identity_input.is_normalised:
        identities = identities / identities.norm(dim=-1, keepdim=True)
    features = {"face_identity": torch.zeros_like(identities) if is_empty else identities}
    if spec.clip_input is not None:
        features[spec.clip_input.name] = torch.randn(count, 257, 1280, generator=source)
    return pack.nodes.sockets.References(features, (1.0,) * count)


def kind_of(name):
    return "sdxl" if "sdxl" in name else "sd15"


@pytest.fixture(autouse=True)
def unloaded(host, adapters):
    """No model is left with the weights of another test's LoRA, and no other adapter in memory."""
    import comfy.model_management

    comfy.model_management.unload_all_models()
    adapters.cache_clear()
    gc.collect()


@pytest.fixture
def follow(pack, nodes_by_id, adapters):
    """(model, name, settings) -> the model that follows faces, and what the node shows."""

    def run(model, name=FACEID, count=1, seed=5, adapter=None, **settings):
        adapter = adapter or adapters(name)[0]
        positive = faces(pack, adapter.spec, seed, count)
        negative = faces(pack, adapter.spec, seed + 1, count, is_empty=True)
        inputs = {"embeds": positive, "embeds_negative": negative, "weight": WEIGHT}
        output = nodes_by_id["ApplyIPAdapter"].execute(model, adapter, **inputs | settings)
        return output.args[0], (output.ui or {}).get("text", ()), (negative, positive)

    return run


@pytest.fixture
def calls(tiny):
    """Every call of the UNet while the host samples: its inputs, and what came out."""
    from comfy.patcher_extension import WrappersMP

    def run(model, prompt):
        seen = []

        def watch(executor, x, timesteps, context, *args, **kwargs):
            out = executor(x, timesteps, context, *args, **kwargs)
            options = kwargs.get("transformer_options") or args[-1]
            y = next((value for value in args if isinstance(value, torch.Tensor)), kwargs.get("y"))
            seen.append((x, timesteps, context, y, options["cond_or_uncond"], out))
            return out

        model = model.clone()
        model.add_wrapper(WrappersMP.DIFFUSION_MODEL, watch)
        tiny.sample(model, prompt, steps=1)
        assert seen
        return seen

    return run


def expected_output(unet, call, pair):
    """diffusers' output for a call; pair: the references of both sides."""
    x, timesteps, context, y, rows, _ = call
    sides = [pair[0] if index == 1 else pair[1] for index in rows]
    identities = torch.stack([side.features["face_identity"] for side in sides])
    conditions = {"image_embeds": [identities]}
    (projection,) = unet.encoder_hid_proj.image_projection_layers
    if "penultimate_hidden_states" in pair[0].features:
        hidden = [side.features["penultimate_hidden_states"] for side in sides]
        projection.clip_embeds, projection.shortcut = torch.stack(hidden), True
    if type(projection).__name__ == "IPAdapterPlusImageProjection":  # one token for each face
        conditions["image_embeds"] = [identities[:, :, None]]
    if y is not None:
        height, width = (8.0 * side for side in x.shape[-2:])
        conditions["text_embeds"] = y[:, :1280]
        sizes = torch.tensor([[height, width, 0, 0, height, width]])
        conditions["time_ids"] = sizes.expand(len(x), -1)
    return unet(x, timesteps, context, added_cond_kwargs=conditions).sample


def assert_same(found, expected):
    assert float((found - expected).abs().max() / (expected.max() - expected.min())) <= MODEL_CALL


@pytest.fixture
def oracle(tiny, models, adapters, monkeypatch):
    """(name, strength) -> diffusers' UNet with that adapter and its LoRA."""

    def run(name, strength):
        _, tensors = adapters(name)
        unet = tiny.twin(kind_of(name), models(kind_of(name)))
        has_lora = "portrait" not in name
        assert merge_lora(unet, tensors, strength) == has_lora * 4 * len(unet.attn_processors)
        depth = sum(key.endswith("to_kv.weight") for key in tensors)  # see tiny.adapter_tensors
        projection = partial(IPAdapterFaceIDPlusImageProjection, depth=depth)
        monkeypatch.setattr(diffusers.loaders.unet, projection.func.__name__, projection)
        unet._load_ip_adapter_weights([make_models.nested(tensors)])
        for processor in unet.attn_processors.values():
            if hasattr(processor, "scale"):
                processor.scale = [WEIGHT]
        return unet.requires_grad_(False)

    return run


@pytest.mark.parametrize(("name", "count"), [(name, 1) for name in NAMES] + [(FACEID, 3)])
def test_output_equals_diffusers_with_the_lora_in_its_weights(
    follow, calls, models, oracle, tiny, name, count
):
    kind, strength = kind_of(name), 0.8
    followed, texts, pair = follow(models(kind), name, count, lora_strength=strength)
    assert not texts
    unet = oracle(name, strength)
    for call in calls(followed, tiny.text(kind)):
        assert_same(call[-1], expected_output(unet, call, pair))


@pytest.fixture
def sampled(tiny, models):
    prompt = tiny.text("sd15")
    return lambda model: tiny.sample(model, prompt, steps=1)


def test_weight_0_or_strength_0_with_weight_0_is_the_plain_model(follow, models, sampled):
    plain = sampled(models("sd15"))
    for settings in ({"weight": 0.0}, {"weight": 0.0, "lora_strength": 0.0}):
        followed, texts, _ = follow(models("sd15"), **settings)
        assert torch.equal(sampled(followed), plain) and not texts
        assert not followed.patches
    acting, *_ = follow(models("sd15"))
    assert not torch.equal(sampled(acting), plain)


def test_strength_0_leaves_the_lora_out(follow, models, adapters, sampled):
    from dataclasses import replace

    adapter, _ = adapters(FACEID)
    without, texts, _ = follow(models("sd15"), lora_strength=0.0)
    assert not without.patches and not texts
    bare = replace(adapter, lora={})
    followed, texts, _ = follow(models("sd15"), adapter=bare, lora_strength=0.0)
    assert torch.equal(sampled(without), sampled(followed))


def test_the_model_is_as_before_afterwards(follow, models, sampled):
    model = models("sd15")
    state = {key: value.clone() for key, value in model.model.state_dict().items()}
    plain = sampled(model)
    followed, *_ = follow(model)
    sampled(followed)
    assert len(followed.patches) == 128 and not model.patches
    assert torch.equal(sampled(model), plain)
    followed.unpatch_model()
    for key, value in model.model.state_dict().items():
        assert torch.equal(value, state[key])


@pytest.mark.no_inference_mode
def test_a_step_has_no_operation_more_with_the_lora(follow, models):
    steps = []

    def step(call):
        with counters.Operations() as mode:
            out = call()
        steps.append(mode.counted)
        return out

    for strength in (0.0, 1.0):
        followed, *_ = follow(models("sd15"), lora_strength=strength)
        inside.sample(followed, "sd15", (16, 1), step, steps=2)
    assert len(followed.patches) == 128
    assert steps[3] == steps[1] and steps[1].total() > 1000


def strengths(model):
    """How often, and how strongly, each weight is changed."""
    return {tuple(strength for strength, *_ in patches) for patches in model.patches.values()}


def test_two_references_in_a_row_add_the_lora_once(follow, models, sampled):
    first, *_ = follow(models("sd15"), seed=5)
    second, texts, _ = follow(first, seed=8)
    assert strengths(second) == strengths(first) == {(1.0,)}
    assert not texts
    third, texts, _ = follow(first, seed=8, lora_strength=0.5)
    assert strengths(third) == {(1.0,)}
    assert [text for text in texts if "is already applied to this model with strength 1.0" in text]


def test_another_weight_leaves_the_models_weights_loaded(follow, models):
    """The host loads weights anew where it does not know that the patches are the same."""
    model = models("sd15")
    followed, again, stronger, elsewhere = (
        follow(start, seed=seed, weight=weight, lora_strength=strength)[0]
        for start, seed, weight, strength in (
            (model, 5, 0.7, 1.0),
            (model, 8, 0.3, 1.0),
            (model, 5, 0.7, 0.5),
            (follow(model, PLUS)[0], 5, 0.7, 1.0),
        )
    )
    assert followed.clone_has_same_weights(again)
    assert not followed.clone_has_same_weights(stronger)
    assert not followed.clone_has_same_weights(elsewhere)
    assert not followed.clone_has_same_weights(model)


@pytest.fixture
def add_by_hand(adapters, tiny):
    """(model, strength) -> the model with the LoRA that is in the FaceID adapter's file."""
    import comfy.sd

    _, tensors = adapters(FACEID)
    unet, lora = tiny.diffusers_unet("sd15"), {}
    for number, name in enumerate(unet.attn_processors):
        place = name.removesuffix(".processor").replace(".", "_")
        for letter, layer in (("q", "q"), ("k", "k"), ("v", "v"), ("out", "out_0")):
            for part in ("up", "down"):
                value = tensors[f"ip_adapter.{number}.to_{letter}_lora.{part}.weight"]
                lora[f"lora_unet_{place}_to_{layer}.lora_{part}.weight"] = value.half()
    return lambda model, strength: comfy.sd.load_lora_for_models(model, None, lora, strength, 0)[0]


def test_a_lora_added_by_hand_is_not_added_again(follow, models, add_by_hand):
    loaded = add_by_hand(models("sd15"), 0.6)
    assert strengths(loaded) == {(0.6,)} and len(loaded.patches) == 128
    followed, (text,), _ = follow(loaded)
    assert strengths(followed) == {(0.6,)}
    assert "The LoRA of 'ip-adapter-faceid_sd15' is already applied to this model" in text


def test_a_lora_added_by_hand_later_acts_once_with_its_own_strength(
    follow, models, add_by_hand, sampled, caplog
):
    model = models("sd15")
    expected = sampled(follow(add_by_hand(model, 0.6))[0])
    followed, *_ = follow(model)
    twice = add_by_hand(followed, 0.6)
    assert strengths(twice) == {(1.0, 0.6)}
    caplog.clear()
    assert torch.equal(sampled(twice), expected)
    (text,) = [record.getMessage() for record in caplog.records if "LoRA of" in record.message]
    assert text == (
        "Another node applies the LoRA of 'ip-adapter-faceid_sd15' too, with strength 0.6: that "
        "strength is used, and the LoRA is not added again."
    )
    assert strengths(twice) == {(1.0, 0.6)}  # the model of the graph stays as it was
    loaded = model.model.current_weight_patches_uuid
    assert torch.equal(sampled(twice), expected)
    assert model.model.current_weight_patches_uuid == loaded  # nothing is loaded anew
    assert not torch.equal(sampled(followed), expected)


def test_another_lora_added_later_acts_beside_the_adapters(
    pack, follow, models, add_by_hand, sampled
):
    plain, *_ = follow(models("sd15"), PLUS)
    both = add_by_hand(plain, 0.6)
    assert strengths(both) == {(1.0, 0.6)}
    assert pack.nodes.sampling.adapter_lora.without_repeated_loras(both) is both
    assert not torch.equal(sampled(both), sampled(plain))


def test_another_lora_on_the_model_stays_beside_it(follow, models, adapters):
    first, *_ = follow(models("sd15"), FACEID)
    second, texts, _ = follow(first, PLUS, lora_strength=0.5)
    assert strengths(second) == {(1.0, 0.5)}
    assert not texts
