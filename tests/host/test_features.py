"""Beside the host's other features: areas, context windows, precisions, merged and
inpainting models.
"""

import pytest
import torch
from support.compare import difference, host_node, mask
from support.tolerance import EFFECT, LARGE_EFFECT, SAMPLING, SMALL_EFFECT

pytestmark = pytest.mark.host


@pytest.fixture
def area_outputs(tiny):
    """Outputs of the model by the width of the latent it got, when one of two texts has an area."""
    import node_helpers

    import comfy.sample
    from comfy.patcher_extension import WrappersMP

    positive, negative = tiny.text("sd15").conds()
    area = {"area": (16, 8, 0, 0), "strength": 1.0, "set_area_to_bounds": False}
    positive = positive + node_helpers.conditioning_set_values(
        tiny.text("sd15", 4).conds()[0], area
    )

    def run(model):
        outputs: dict[int, list[torch.Tensor]] = {}

        def watch(executor, x, *args, **kwargs):
            output = executor(x, *args, **kwargs)
            outputs.setdefault(x.shape[-1], []).append(output)
            return output

        model = model.clone()
        model.add_wrapper(WrappersMP.DIFFUSION_MODEL, watch)
        latent = torch.zeros(1, 4, 16, 16)
        noise = comfy.sample.prepare_noise(latent, 0)
        sampling = 1, 5.0, "euler", "normal", positive, negative, latent
        comfy.sample.sample(model, noise, *sampling, disable_pbar=True, seed=0)
        return outputs

    return run


def test_a_mask_stays_where_it_is_in_the_picture_under_area_conditioning(
    models, apply, area_outputs
):
    """The left half masked out, the area is the left half: there the adapter must not act at
    all.
    """
    model = models("sd15")
    right = 1 - mask(64, 64, left=32)
    plain, masked = area_outputs(model), area_outputs(apply(model, attn_mask=right))
    assert plain.keys() == masked.keys() == {8, 16}
    assert all(map(torch.equal, plain[8], masked[8]))
    assert difference(masked[16][0], plain[16][0]) > EFFECT


def windowed(model, causal):
    """The host's own context windows of 3 frames, without overlap."""
    import comfy.context_windows as windows

    model = model.clone()
    handler = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule("standard_static"),
        fuse_method=windows.get_matching_fuse_method("flat"),
        context_length=3,
        context_overlap=0,
        dim=0,
    )
    if hasattr(handler, "causal_window_fix"):
        handler.causal_window_fix = causal
    model.model_options["context_handler"] = handler
    return model


@pytest.mark.parametrize("causal", [True, False])
def test_references_follow_their_frames_through_context_windows(
    models, apply, sample, tiny, causal
):
    """A reference for each of 6 frames: every frame is as if its own reference were the only
    one.
    """
    model, output = windowed(models("sd15"), causal), tiny.features(5, 6)
    settings = {"batch": "one for each picture", "clip_vision_output": output}
    result = sample(apply(model, **settings), batch=6, steps=1)
    for number in (0, 3, 5):
        single = tiny.features(5, 6)
        for key in ("image_embeds", "penultimate_hidden_states"):
            single[key] = output[key][number : number + 1]
        alone = sample(apply(model, clip_vision_output=single), batch=6, steps=1)
        assert difference(result[number], alone[number]) < SAMPLING
        assert difference(result[(number + 1) % 6], alone[(number + 1) % 6]) > EFFECT


@pytest.mark.parametrize("causal", [True, False])
def test_masks_follow_their_frames_through_context_windows(models, apply, sample, causal):
    """Frame 4 of 6 alone is unmasked; with windows of 3 the others stay exactly as without the
    adapter.
    """
    model = windowed(models("sd15"), causal)
    masks = torch.zeros(6, 9, 7)
    masks[4] = 1
    plain = sample(model, batch=6, steps=1)
    result = sample(apply(model, attn_mask=masks), batch=6, steps=1)
    changed = [not torch.equal(first, second) for first, second in zip(plain, result, strict=True)]
    assert changed == [False, False, False, False, True, False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_models_follow_the_picture(tiny, models, apply, sample, dtype):
    half = tiny.model("sd15")
    half.model.diffusion_model.to(dtype)
    half.model.diffusion_model.dtype = dtype
    complete = sample(apply(models("sd15")), steps=1)
    result = sample(apply(half), steps=1)
    assert result.isfinite().all()
    effect = difference(complete, sample(models("sd15"), steps=1))
    assert difference(result, complete) < effect / 4
    prompt = apply(half).model_options["transformer_options"]["ipadapter"][0]
    assert prompt.keys.values.flat.dtype == dtype


def test_fp8_weights_keep_keys_and_values_in_the_computing_precision(tiny, apply, sample, models):
    fp8 = tiny.model("sd15")
    fp8.model.manual_cast_dtype = torch.float32
    fp8.model.diffusion_model.dtype = torch.float8_e4m3fn
    prompt = apply(fp8).model_options["transformer_options"]["ipadapter"][0]
    assert prompt.keys.values.flat.dtype == torch.float32


def test_a_merged_model_keeps_the_first_models_picture(tiny, models, apply, sample):
    second = tiny.model("sd15", seed=3)
    merge = lambda first, two: host_node("nodes_model_merging", "ModelMergeSimple", first, two, 0.5)  # noqa: E731
    before, after = merge(apply(models("sd15")), second), apply(merge(models("sd15"), second))
    assert difference(sample(before), sample(after)) < SAMPLING
    assert difference(sample(after), sample(merge(models("sd15"), second))) > LARGE_EFFECT


def test_a_lora_changes_the_text_side_alone_and_both_act(models, apply, sample):
    def with_lora(model):
        model = model.clone()
        key = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_v.weight"
        source = torch.Generator().manual_seed(1)
        model.add_patches({key: ("diff", (torch.randn(32, 768, generator=source),))}, 0.5)
        return model

    model = models("sd15")
    pair = sample(with_lora(apply(model)))
    assert difference(pair, sample(apply(with_lora(model)))) < SAMPLING
    assert difference(pair, sample(apply(model))) > SMALL_EFFECT
    assert difference(pair, sample(with_lora(model))) > LARGE_EFFECT
    assert torch.equal(sample(model), sample(models("sd15")))


def test_an_inpainting_model_follows_the_picture(tiny, apply, sample):
    model = tiny.model("sd15", in_channels=9)
    assert difference(sample(apply(model)), sample(model)) > LARGE_EFFECT


def test_a_second_pass_at_another_size_uses_the_same_picture(models, apply, sample):
    model = apply(models("sd15"), attn_mask=mask(left=20))
    first = sample(model)
    second = sample(model, size=(39, 27))
    assert second.shape[-2:] == (39, 27)
    assert difference(second, sample(models("sd15"), size=(39, 27))) > EFFECT
    assert torch.equal(sample(model), first)


def test_a_model_of_another_kind_is_refused(models, apply):
    with pytest.raises(ValueError, match="is for SD1") as error:
        apply(models("sdxl"), name="ip-adapter-plus_sd15")
    assert "the model is SDXL (70 layers, text width 2048)" in str(error.value)


def test_the_wrong_encoder_is_refused_by_name(models, apply, tiny):
    output = tiny.features(5, hidden=1664, projection=1280)
    with pytest.raises(ValueError, match="needs CLIP ViT-H/14") as error:
        apply(models("sd15"), clip_vision_output=output)
    assert "'clip_vision_output' was encoded by CLIP ViT-bigG/14" in str(error.value)


def test_nan_in_a_mask_is_refused(models, apply):
    with pytest.raises(ValueError, match="'attn_mask' number 1 of 1 holds NaN"):
        apply(models("sd15"), attn_mask=torch.full((1, 5, 7), torch.nan))


@pytest.fixture
def controlnet(models):
    """The host's ControlNet class, untrained, and the outputs of each of its calls."""
    import make_models

    import comfy.cldm.cldm
    import comfy.controlnet

    config = dict(models("sd15").model.model_config.unet_config)
    del config["out_channels"]
    config |= {"hint_channels": 3, "transformer_depth": list(config["transformer_depth"])}
    net = comfy.cldm.cldm.ControlNet(**config | {"dtype": torch.float32, "device": "cpu"})
    make_models.fill(net, torch.Generator().manual_seed(2))
    control = comfy.controlnet.ControlNet(net, load_device=torch.device("cpu"))
    hint = torch.rand(1, 3, 208, 144, generator=torch.Generator().manual_seed(3))
    control.set_cond_hint(hint, 0.5, (0.0, 1.0))
    outputs: list[list[torch.Tensor]] = []
    net.register_forward_hook(
        lambda _net, _args, output: outputs.append([each.clone() for each in output["output"]])
    )
    return control, outputs


@pytest.fixture
def controlled_text(tiny, controlnet):
    """Both texts with the ControlNet on them."""

    class Controlled(type(tiny.text("sd15"))):
        def conds(self):
            options = {"control": controlnet[0], "control_apply_to_uncond": True}
            return [
                [[tokens, {**rest, **options}] for tokens, rest in cond] for cond in super().conds()
            ]

    return Controlled(**vars(tiny.text("sd15")))


def test_a_controlnet_acts_beside_the_picture_and_does_not_see_it(
    models, apply, sample, controlnet, controlled_text
):
    """With the adapter at weight 0 it is the ControlNet alone."""
    _, outputs = controlnet
    model, results, first_outputs = models("sd15"), {}, {}
    applied = {"alone": model, "both": apply(model), "zero": apply(model, weight=0.0)}
    for name, controlled in applied.items():
        outputs.clear()
        results[name] = sample(controlled, prompt=controlled_text, steps=1)
        first_outputs[name] = outputs[0]
    assert torch.equal(results["zero"], results["alone"])
    assert difference(results["both"], results["alone"]) > EFFECT
    assert difference(results["both"], sample(apply(model), steps=1)) > EFFECT
    assert first_outputs["alone"]
    assert all(map(torch.equal, first_outputs["alone"], first_outputs["both"]))
