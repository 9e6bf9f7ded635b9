"""FLUX.1 with InstantX's adapter: its formula in diffusers' model, and SigLIP's pooling head."""

import json
from pathlib import Path

import make_flux
import make_models
import pytest
import torch
from diffusers.models.transformers.transformer_flux import _get_qkv_projections, apply_rotary_emb
from support.compare import difference
from support.tolerance import EFFECT, ENCODING, FLUX
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention
from transformers import SiglipVisionConfig, SiglipVisionModel

pytestmark = pytest.mark.host
WEIGHT = 0.8  # of `apply_instantx`


class InstantXProcessor(torch.nn.Module):
    """InstantX's attention processor, whose class diffusers does not have.

    https://github.com/Shakker-Labs/ComfyUI-IPAdapter-Flux/blob/eef22b6/attention_processor.py
    """

    def __init__(self, key, value):
        super().__init__()
        self.key, self.value = key, value  # [1, H, T, D], normalised

    def forward(
        self,
        attn,
        hidden_states,
        encoder_hidden_states=None,
        attention_mask=None,
        image_rotary_emb=None,
    ):
        def heads(tokens):
            return tokens.unflatten(-1, (attn.heads, -1))

        def attend(query, key, value):
            return scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

        projections = _get_qkv_projections(attn, hidden_states, encoder_hidden_states)
        query, key, value = map(heads, projections[:3])
        query, key = attn.norm_q(query), attn.norm_k(key)
        count = len(query)
        key_value = (part.expand(count, -1, -1, -1) for part in (self.key, self.value))
        image = attend(query.transpose(1, 2), *key_value)
        if encoder_hidden_states is not None:
            text_query, text_key, text_value = map(heads, projections[3:])
            query = torch.cat((attn.norm_added_q(text_query), query), 1)
            key = torch.cat((attn.norm_added_k(text_key), key), 1)
            value = torch.cat((text_value, value), 1)
        query, key = (
            apply_rotary_emb(part, image_rotary_emb, sequence_dim=1) for part in (query, key)
        )
        out = attend(*(part.transpose(1, 2) for part in (query, key, value)))
        if encoder_hidden_states is None:
            return out + WEIGHT * image
        length = encoder_hidden_states.shape[1]
        out, text = out[:, length:] + WEIGHT * image, out[:, :length]
        return attn.to_out[0](out), attn.to_add_out(text)


def processors(flux, pooled):
    """One for each block, double blocks first, by the formulas on plain tensors."""
    tensors = make_flux.instantx_tensors()
    prefix = "image_proj."
    projection = {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }

    def unit(tokens):
        heads = tokens.unflatten(-1, (flux.HEADS, -1)).transpose(1, 2)
        return heads * torch.rsqrt(heads.pow(2).mean(-1, keepdim=True) + 1e-5)

    hidden = gelu(linear(pooled, projection["proj.0.weight"], projection["proj.0.bias"]))
    tokens = linear(hidden, projection["proj.2.weight"], projection["proj.2.bias"])
    tokens = layer_norm(
        tokens.view(1, -1, flux.TEXT_WIDTH),
        (flux.TEXT_WIDTH,),
        projection["norm.weight"],
        projection["norm.bias"],
    )
    for number in range(flux.DOUBLE_BLOCKS + flux.SINGLE_BLOCKS):
        weights = (tensors[f"ip_adapter.{number}.to_{letter}_ip.weight"] for letter in "kv")
        yield InstantXProcessor(*(unit(linear(tokens, weight)) for weight in weights))


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
    with pytest.raises(ValueError, match=r"pooling head of SigLIP so400m/14-384 .* in no file"):
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
