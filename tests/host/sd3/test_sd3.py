"""Stable Diffusion 3.5 with InstantX's adapter keeps the pack's promises."""

import pytest
import torch
from support.compare import difference
from support.tolerance import EFFECT, MODEL_CALL, SAMPLING

pytestmark = pytest.mark.host


def test_a_chain_adds_up(model, apply, sd3):
    twice = apply(apply(model, weight=0.3), weight=0.4)
    assert difference(sd3.sample(twice), sd3.sample(apply(model))) < SAMPLING


@pytest.mark.parametrize(
    "settings", [{"weight": 0.0}, {"attn_mask": torch.zeros(1, 5, 7)}, {"start_at": 0.9999}]
)
def test_what_never_acts_leaves_every_bit(model, apply, sd3, settings):
    assert torch.equal(sd3.sample(apply(model, **settings)), sd3.sample(model))


def test_a_schedule_acts_in_its_steps_alone(model, apply, model_calls):
    plain = [call[-1] for call in model_calls(model)]
    late = [call[-1] for call in model_calls(apply(model, start_at=0.4))]
    assert torch.equal(late[0], plain[0])
    assert difference(late[-1], plain[-1]) > EFFECT


@pytest.mark.parametrize("size", [(8, 12), (9, 7)], ids=["even", "odd"])
def test_a_mask_lies_on_the_packed_grid(pack, nodes_by_id, sd3, model_calls, size):
    """With a single block no token hears of another one's image part."""
    model, node = sd3.model(blocks=1), nodes_by_id["ApplyIPAdapter"]
    adapter = pack.nodes.files.load.loaded_adapter("one.bin", sd3.adapter_tensors(blocks=1))
    rows, columns = ((side + 1) // 2 for side in size)
    mask = torch.zeros(1, rows, columns)
    mask[:, : rows // 2] = mask[:, :, :2] = 1
    outputs = []
    for settings in ({"weight": 0.0}, {}, {"attn_mask": mask}):
        inputs = {"clip_vision_output": sd3.features(5), "weight": sd3.WEIGHT} | settings
        (patched,) = node.execute(model, adapter, **inputs).args
        outputs.append(model_calls(patched, size=size, steps=1, batch=2)[0][-1])
    plain, everywhere, masked = outputs
    height, width = size
    cells = mask.repeat_interleave(2, 1).repeat_interleave(2, 2)[0, :height, :width].bool()
    assert torch.equal(masked[..., ~cells], plain[..., ~cells])
    assert difference(masked[..., cells], everywhere[..., cells]) < MODEL_CALL
    assert difference(everywhere, plain) > EFFECT


def test_each_image_of_a_batch_follows_its_own_reference(model, apply, sd3):
    by_frame = sd3.sample(apply(model, count=2, batch="one for each picture"), batch=2)
    both = sd3.features(5, 2)
    for frame in range(2):
        single = type(both)()
        single["penultimate_hidden_states"] = both.penultimate_hidden_states[frame : frame + 1]
        alone = sd3.sample(apply(model, clip_vision_output=single), batch=2)
        assert difference(by_frame[frame], alone[frame]) < SAMPLING


def test_branches_clones_and_runs_are_alike_to_the_bit(model, apply, sd3):
    plain, patched = sd3.sample(model), apply(model)
    first, clone = sd3.sample(patched), sd3.sample(patched.clone())
    assert torch.equal(first, clone)
    assert torch.equal(first, sd3.sample(patched))
    assert torch.equal(plain, sd3.sample(model))
    assert not torch.equal(plain, first)


def other_pack(model, calls):
    """A pack that halves what every joint block gives and one that counts attentions."""

    def block(args, extra):
        out = extra["original_block"](args)
        return {**out, "img": args["img"] + 0.5 * (out["img"] - args["img"])}

    def attention(function, *args, **kwargs):
        calls.append(args[0].shape)
        return function(*args, **kwargs) * 0.9

    model = model.clone()
    model.set_model_patch_replace(block, "dit", "double_block", 1)
    model.model_options["transformer_options"]["optimized_attention_override"] = attention
    return model


def test_patches_of_other_packs_stay_whatever_comes_first(model, apply, sd3):
    calls = []
    before = sd3.sample(apply(other_pack(model, calls)))
    count = len(calls)
    after = sd3.sample(other_pack(apply(model), calls))
    assert len(calls) == 2 * count == 2 * 2 * sd3.BLOCKS
    assert torch.equal(before, after)
    for other in (apply(model), other_pack(model, calls)):
        assert difference(before, sd3.sample(other)) > EFFECT


def test_tokens_are_made_once_for_each_sigma_by_an_adapter_that_the_host_manages(
    model, apply, adapter, sd3
):
    patched, sigmas = apply(model), []
    managed = [extra.model for extra in patched.additional_models["ipadapter"]]
    assert managed == [adapter.patcher.model]
    embedding = adapter.patcher.model.image_proj.time_embedding
    embed = embedding.embed
    embedding.embed = lambda timestep, like: sigmas.append(timestep) or embed(timestep, like)
    try:
        sd3.sample(patched, steps=3)
    finally:
        del embedding.embed
    assert len(set(sigmas)) == 3
    assert sorted(sigmas, reverse=True) == sigmas
    assert len(sigmas) == 3 * 3  # of both sides' tokens, and of the keys


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"scaling": "K+V"}, "'scaling' is 'K\\+V', which '.+' does not support"),
        ({"count": 2, "negatives": 3}, "positive ones \\(2\\), but there are 3"),
    ],
)
def test_what_has_no_meaning_is_said(model, apply, sd3, change, sentence):
    count = change.pop("negatives", 0)
    if count:
        change["clip_vision_output_negative"] = sd3.features(7, count)
    with pytest.raises(ValueError, match=sentence):
        apply(model, **change)


def test_other_models_and_encoders_are_refused(
    model, apply, sd3, nodes_by_id, adapters, models, tiny
):
    medium = sd3.model(x_block_self_attn_layers=[0])
    with pytest.raises(ValueError, match=r"is for SD3.5 Large .* but the model is SD3.5 Medium"):
        apply(medium)
    with pytest.raises(ValueError, match=r"is for SD3.5 Large .* but the model is SD1.5"):
        apply(models("sd15"))
    with pytest.raises(ValueError, match="needs SigLIP so400m/14-384, but"):
        apply(model, clip_vision_output=tiny.features())
    base, _ = adapters("ip-adapter_sd15")
    with pytest.raises(ValueError, match=r"is for SD1.5 .* but the model is SD3.5 Large"):
        nodes_by_id["ApplyIPAdapter"].execute(model, base, clip_vision_output=tiny.features())


def test_a_weight_map_speaks_of_its_blocks(model, apply, nodes_by_id, sd3):
    node = nodes_by_id["IPAdapterWeightMap"]
    nothing = node.execute(model, "balanced", 1.0, 1.0, layers="joint 1:0").args[0]
    assert torch.equal(sd3.sample(apply(model, weight_map=nothing)), sd3.sample(model))
    whole = node.execute(model, "balanced", 1.0, 1.0, layers="joint 1:1, rest:1").args[0]
    assert torch.equal(sd3.sample(apply(model, weight_map=whole)), sd3.sample(apply(model)))
    with pytest.raises(ValueError, match="not known which blocks of this model carry that"):
        node.execute(model, "style", 1.0, 1.0)
    with pytest.raises(ValueError, match="not known which layers of this model carry that"):
        apply(model, task="style")


def test_a_silent_negative_side_gets_nothing(pack, model, apply, model_calls, sd3, adapter):
    references = pack.nodes.sockets.References
    silent = references.of(torch.zeros(1, 729, 1152), "penultimate_hidden_states", silent=True)
    plain = [call[-1] for call in model_calls(model, steps=1)]
    (call,) = model_calls(apply(model, embeds_negative=silent), steps=1)
    rows, result = call[-2], call[-1]
    assert sorted(rows) == [0, 1]
    for number, row in enumerate(rows):
        is_same = torch.equal(result[number], plain[0][number])
        assert is_same == (row == 1)
