"""Which rows of a model call are positive or negative, under the guiders of the host."""

import pytest
import torch
from support.compare import host_node

pytestmark = pytest.mark.host


@pytest.fixture
def roles():
    """Watches which role each row of the UNet has: list of (index as the host numbers, role)."""
    from comfy.patcher_extension import WrappersMP

    def watch(model):
        model, recorded = model.clone(), set()

        def note(executor, x, t, c_concat, c_crossattn, control, options, **kwargs):
            composed = next(iter(options["patches_replace"]["attn2"].values()))
            rows = composed.call.rows
            recorded.update(zip(options["cond_or_uncond"], rows.roles, strict=True))
            return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)

        model.add_wrapper(WrappersMP.APPLY_MODEL, note)
        return model, recorded

    return watch


NEGATIVE, POSITIVE, ALONE = 0, 1, 2  # alone: no negative side is computed


@pytest.mark.parametrize(
    ("guider", "expected"),
    [
        ("KSampler", {(0, POSITIVE), (1, NEGATIVE)}),
        ("PAG", {(0, POSITIVE), (1, NEGATIVE)}),
        ("SAG", {(0, POSITIVE), (0, NEGATIVE), (1, NEGATIVE)}),
        ("DualCFG", {(0, NEGATIVE), (1, POSITIVE), (2, POSITIVE)}),
        ("PerpNeg", {(0, POSITIVE), (1, NEGATIVE), (2, NEGATIVE)}),
        ("Basic", {(0, ALONE)}),
    ],
)
def test_rows_are_positive_or_negative_by_meaning(
    models, apply, roles, tiny, sample, guider, expected
):
    import comfy.sample
    import comfy.samplers
    import comfy_extras.nodes_custom_sampler as custom
    import comfy_extras.nodes_perpneg as perpneg

    model = apply(models("sd15"))
    if guider == "SAG":
        model = host_node("nodes_sag", "SelfAttentionGuidance", model, 0.5, 2.0)
    if guider == "PAG":
        model = host_node("nodes_pag", "PerturbedAttentionGuidance", model, 3.0)
    model, recorded = roles(model)
    if guider in ("KSampler", "PAG", "SAG"):
        sample(model, size=(16, 16))
        assert recorded == expected
        return
    positive, negative = tiny.text("sd15").conds()
    middle, _ = tiny.text("sd15", 4).conds()
    if guider == "DualCFG":
        guide = custom.Guider_DualCFG(model)
        guide.set_conds(positive, middle, negative)
        guide.set_cfg(5.0, 3.0)
    elif guider == "PerpNeg":
        guide = perpneg.Guider_PerpNeg(model)
        guide.set_conds(positive, negative, middle)
        guide.set_cfg(5.0, 1.0)
    else:
        guide = custom.Guider_Basic(model)
        guide.set_conds(positive)
    latent = torch.zeros(1, 4, 16, 16)
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 2)
    noise = comfy.sample.prepare_noise(latent, 0)
    with torch.inference_mode():
        guide.sample(
            noise, latent, comfy.samplers.ksampler("euler"), sigmas, disable_pbar=True, seed=0
        )
    assert recorded == expected
