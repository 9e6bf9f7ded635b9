"""What the adapters for FLUX.1 and SD3.5 Large are compared with: the floor, and diffusers' own
processors.
"""

from functools import partial
from typing import Any

DOUBLE, SINGLE, JOINT = 8, 6, 4  # blocks
TEXT_TOKENS, WEIGHT = 64, 0.7
LATENT = 32  # its side: 256 tokens of the image
FLUX_WIDTH, FLUX_HEADS, TEXT_WIDTH = 3072, 24, 4096
SD3_WIDTH, SD3_HEADS = 2432, 38


def key_pairs(ours: Any, heads: int) -> list:
    """For each layer keys and values of the positive side, [1, H, T, D]."""
    import torch
    import variants

    (keys,) = variants.keys_of(ours)
    layers = keys.values.select((), torch.device("cpu"), torch.bfloat16).layers()
    return [
        tuple(part[-1:].unflatten(-1, (heads, -1)).transpose(1, 2) for part in pair)
        for pair in layers
    ]


def floor_after_blocks(model: Any, ours: Any) -> Any:
    """Keys and values given: one attention and one addition after each double block."""
    model, pairs = model.clone(), key_pairs(ours, FLUX_HEADS)
    queries: dict[str, Any] = {}
    model.set_model_attn1_patch(partial(_keep_query, queries))
    for number, pair in enumerate(pairs):
        model.set_model_patch_replace(
            partial(_add_after, queries, pair), "dit", "double_block", number
        )
    return model


def _keep_query(queries: dict, query: Any, *_: Any, **__: Any) -> dict:
    queries["query"] = query
    return {}


def _add_after(queries: dict, pair: Any, arguments: dict, extra: dict) -> dict:
    from torch.nn.functional import scaled_dot_product_attention as attend

    out = extra["original_block"](arguments)
    query = queries["query"][:, :, -out["img"].shape[1] :]
    out["img"].add_(attend(query, *pair).transpose(1, 2).flatten(2), alpha=WEIGHT)
    return out


def floor_in_attention(model: Any, ours: Any) -> Any:
    """The same to the attention's output of all blocks."""
    model, pairs = model.clone(), key_pairs(ours, FLUX_HEADS)
    queries: dict[str, Any] = {}
    model.set_model_attn1_patch(partial(_keep_query, queries))
    model.set_model_attn1_output_patch(partial(_add_to_attention, queries, pairs))
    return model


def _add_to_attention(queries: dict, pairs: list, output: Any, extra: dict) -> Any:
    from torch.nn.functional import scaled_dot_product_attention as attend

    is_double = extra["block_type"] == "double"
    pair = pairs[extra["block_index"] + (0 if is_double else DOUBLE)]
    first = extra["img_slice"][0] if is_double else 0
    image = attend(queries["query"][:, :, first:], *pair).transpose(1, 2).flatten(2)
    output[:, first:].add_(image, alpha=WEIGHT)
    return output


def floor_joint(model: Any, _: Any) -> Any:
    """One attention of the image to itself and the reference, keys and values of both given."""
    import hollow
    import torch

    model, supply = model.clone(), hollow.Supply(torch.bfloat16)
    options = model.model_options["transformer_options"]
    options["optimized_attention_override"] = partial(_joint, supply)
    return model


def _joint(supply: Any, function: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
    from torch.nn.functional import scaled_dot_product_attention as attend

    joint = function(query, *args, **kwargs)
    image = query[:, TEXT_TOKENS:]
    heads = image.unflatten(-1, (SD3_HEADS, -1)).transpose(1, 2)
    key_value = supply.noise(*heads.shape[:2], heads.shape[2] + 64, heads.shape[3])
    joint[:, TEXT_TOKENS:].add_(
        attend(heads, key_value, key_value).transpose(1, 2).flatten(2), alpha=WEIGHT
    )
    return joint


def flux_processors(supply: Any) -> tuple:
    from diffusers.models.transformers import transformer_flux as theirs

    attention = theirs.FluxAttention(
        FLUX_WIDTH, FLUX_HEADS, 128, added_kv_proj_dim=FLUX_WIDTH, bias=True
    )
    own = theirs.FluxIPAdapterAttnProcessor(FLUX_WIDTH, TEXT_WIDTH, (16,), [WEIGHT])
    tokens = (LATENT // 2) ** 2
    inputs = {
        "hidden_states": supply.noise(1, tokens, FLUX_WIDTH),
        "encoder_hidden_states": supply.noise(1, TEXT_TOKENS, FLUX_WIDTH),
    }
    image = {"ip_hidden_states": [supply.noise(1, 16, TEXT_WIDTH)]}
    return theirs.FluxAttnProcessor(), own, attention, inputs, image


def sd3_processors(supply: Any) -> tuple:
    from diffusers.models import attention_processor as theirs

    attention = theirs.Attention(
        SD3_WIDTH,
        added_kv_proj_dim=SD3_WIDTH,
        dim_head=64,
        heads=SD3_HEADS,
        context_pre_only=False,
        bias=True,
        qk_norm="rms_norm",
        out_dim=SD3_WIDTH,
        eps=1e-6,
    )
    own = theirs.SD3IPAdapterJointAttnProcessor2_0(SD3_WIDTH, SD3_WIDTH, 64, 1280, WEIGHT)
    inputs = {
        "hidden_states": supply.noise(2, (LATENT // 2) ** 2, SD3_WIDTH),
        "encoder_hidden_states": supply.noise(2, TEXT_TOKENS, SD3_WIDTH),
    }
    image = {"ip_hidden_states": supply.noise(2, 64, SD3_WIDTH), "temb": supply.noise(2, 1280)}
    return theirs.JointAttnProcessor2_0(), own, attention, inputs, image
