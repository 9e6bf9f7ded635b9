"""FLUX.1 with InstantX's adapter: its formula in diffusers' model, and SigLIP's pooling head."""

import json
from pathlib import Path

import make_flux
import make_models
import pytest
import torch
from support.compare import difference
from support.instantx import processors
from support.tolerance import EFFECT, ENCODING, FLUX
from transformers import SiglipVisionConfig, SiglipVisionModel

pytestmark = pytest.mark.host
WEIGHT = 0.8  # of `apply_instantx`


@pytest.fixture(scope="module")
def pooled():
    return torch.randn(1, 1152, generator=torch.Generator().manual_seed(3))


def test_output_equals_the_formula_in_diffusers(flux, model, apply_instantx, flux_calls, pooled):
    transformer = flux.twin(model)
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    for block, processor in zip(blocks, processors(flux, pooled), strict=True):
        block.attn.set_processor(processor)
    plain_calls = flux_calls(model, batch=2)
    calls = flux_calls(apply_instantx(model, pooled), batch=2)
    assert difference(calls[0].out, plain_calls[0].out) > EFFECT
    for call in calls:
        assert difference(call.out, flux.diffusers_output(transformer, call)) <= FLUX


def test_the_negative_side_is_the_model_alone(model, apply_instantx, flux_calls, pooled):
    call, plain = (
        flux_calls(model, cfg=3.0, steps=1)[0] for model in (apply_instantx(model, pooled), model)
    )
    assert call.roles == plain.roles == [1, 0]
    negative, positive = ((call.out[row], plain.out[row]) for row in (0, 1))
    assert difference(*negative) <= FLUX
    assert difference(*positive) > EFFECT


@pytest.mark.parametrize("settings", [{"weight": 0.0}, {"attn_mask": torch.zeros(1, 5, 7)}])
def test_what_does_not_act_is_exactly_the_model_alone(
    flux, model, apply_instantx, pooled, settings
):
    plain = flux.sample(model)
    assert torch.equal(flux.sample(apply_instantx(model, pooled, **settings)), plain)
    assert difference(flux.sample(apply_instantx(model, pooled)), plain) > EFFECT


def test_a_mask_acts_on_its_tokens_alone(model, apply_instantx, second_block_input, pooled):
    mask = torch.zeros(1, 4, 3)
    mask[:, :2] = 1
    inside = mask.flatten().bool()
    masked = second_block_input(apply_instantx(model, pooled, attn_mask=mask))
    plain = second_block_input(model)
    assert torch.equal(masked[:, ~inside], plain[:, ~inside])
    assert difference(masked[:, inside], plain[:, inside]) > EFFECT


def test_references_in_the_latent_stay_as_they_are(
    model, apply_instantx, second_block_input, pooled
):
    kontext = {"reference_latents": [torch.ones(1, 16, 4, 6)]}
    changed = second_block_input(apply_instantx(model, pooled), **kontext)
    plain = second_block_input(model, **kontext)
    assert torch.equal(changed[:, 12:], plain[:, 12:])
    assert difference(changed[:, :12], plain[:, :12]) > EFFECT


def test_adapters_of_both_kinds_act_together(flux, model, apply_flux, apply_instantx, pooled):
    both = flux.sample(apply_instantx(apply_flux(model), pooled))
    assert torch.equal(both, flux.sample(apply_flux(apply_instantx(model, pooled))))
    assert difference(both, flux.sample(apply_flux(model))) > EFFECT
    assert difference(both, flux.sample(apply_instantx(model, pooled))) > EFFECT


def test_patches_of_others_act_before_and_after(flux, model, apply_instantx, pooled):
    def halved(output, extra):
        return output * 0.5

    def patched(model):
        model = model.clone()
        model.set_model_patch(halved, "attn1_output_patch")
        return model

    before = flux.sample(apply_instantx(patched(model), pooled))
    assert torch.equal(before, flux.sample(patched(apply_instantx(model, pooled))))
    assert difference(before, flux.sample(patched(model))) > EFFECT
    assert difference(before, flux.sample(apply_instantx(model, pooled))) > EFFECT


@pytest.fixture
def siglip_file(own_encoders):
    """The head of SigLIP so400m at 384 pixels, in a file of an encoder without the rest."""
    tensors = make_models.draw(
        {"vision_model.embeddings.position_embedding.weight": (729, 1152)}
        | make_flux.siglip_head_layout(1152, 4304),
        make_models.generator("siglip", 0),
    )
    return make_models.save(own_encoders / "any name.safetensors", tensors)


def test_the_pooling_head_is_read_from_the_installed_file(
    pack, instantx, siglip_file, model, flux, nodes_by_id, apply_instantx
):
    import comfy.clip_vision

    output = comfy.clip_vision.Output()
    source = torch.Generator().manual_seed(4)
    output["image_embeds"] = torch.randn(1, 729, 1152, generator=source)
    output["penultimate_hidden_states"] = output["image_embeds"]
    node = nodes_by_id["ApplyIPAdapter"]
    changed = node.execute(model, instantx[0], clip_vision_output=output, weight=WEIGHT).args[0]
    siglip = pack.nodes.references.siglip
    head = siglip.read_head(str(siglip_file))
    pooled = siglip.pool_tokens(output["image_embeds"], head)
    assert torch.equal(flux.sample(changed), flux.sample(apply_instantx(model, pooled)))
    siglip_file.unlink()
    output["image_embeds"] = output["image_embeds"].clone()
    with pytest.raises(ValueError, match=r"pooling head of SigLIP .*, which is in no file"):
        node.execute(model, instantx[0], clip_vision_output=output, weight=WEIGHT)


def test_a_picture_becomes_the_pooled_output_of_transformers(pack, encode, instantx, own_encoders):
    """The host's own encoder, two layers deep, and the head out of the file."""
    import comfy.clip_vision

    config = json.loads(
        Path(comfy.clip_vision.__file__).with_name("clip_vision_siglip_384.json").read_text()
    )
    config |= {"num_hidden_layers": 2, "intermediate_size": 64}
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    sizes = {name: config[name] for name in (*names, "image_size", "patch_size")}
    torch.manual_seed(0)
    theirs = SiglipVisionModel(SiglipVisionConfig(**sizes)).eval()
    weights = {
        f"vision_model.{key.removeprefix('vision_model.')}": value
        for key, value in theirs.state_dict().items()
    }
    make_models.save(own_encoders / "whole.safetensors", weights)
    encoder = comfy.clip_vision.ClipVisionModel(config)
    encoder.model.float()
    missing, _ = encoder.load_sd(dict(weights))
    assert not missing
    image = torch.randint(0, 256, (2, 384, 384, 3)) / 255
    output = encode.encode(encoder, image, "crop")
    result = pack.nodes.references.siglip.pooled_output(output, instantx[0])
    expected = theirs((2 * image - 1).movedim(-1, 1)).pooler_output
    assert float(expected.abs().max()) > 0.1
    torch.testing.assert_close(result, expected, atol=ENCODING, rtol=0)


def test_another_encoder_is_refused_by_name(model, instantx, nodes_by_id, tiny):
    with pytest.raises(ValueError, match=r"needs SigLIP so400m/14-384, but .* CLIP ViT-H/14"):
        nodes_by_id["ApplyIPAdapter"].execute(
            model, instantx[0], clip_vision_output=tiny.features(), weight=1.0
        )
