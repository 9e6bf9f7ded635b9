"""InstantX's adapter for FLUX.1 by its formula, in diffusers' model."""

import make_flux
import torch
from diffusers.models.transformers.transformer_flux import _get_qkv_projections, apply_rotary_emb
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

WEIGHT = 0.8  # of the adapter


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
