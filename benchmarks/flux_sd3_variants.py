"""Comparisons for the adapters for FLUX.1 and SD3.5 Large: the floor, the method of packs for
FLUX.1, and diffusers' own processors.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from flux_sd3_models import FLUX_HEAD, INSTANTX, SD3_HEAD, SD35, WEIGHT, XLABS, Case, Sizes

Pair = Callable[[], tuple[Any, Any]]  # gives a layer's key and value [1, H, T, D]


def floor(case: Case, ours: Any, references: int = 1, device: str = "cpu") -> Any:
    """Keys and values given: one attention and one addition a layer."""
    if case.name == SD35:
        return floor_joint(case, references, device)
    return with_pairs(case, [partial(tuple, pair) for pair in key_pairs(case, ours, device)])


def key_pairs(case: Case, ours: Any, device: str) -> list:
    """For each layer keys and values of the positive side, [1, H, T, D]."""
    import torch
    import variants

    (keys,) = variants.keys_of(ours)
    layers = keys.values.select((), torch.device(device), torch.bfloat16).layers()
    return [
        tuple(part[-1:].unflatten(-1, (case.heads, -1)).transpose(1, 2) for part in pair)
        for pair in layers
    ]


def packs_method(case: Case) -> tuple[Any, int]:
    """As the packs of XLabs and Shakker-Labs do it: the adapter's weights stay in memory, and keys
    and values of its tokens are made anew at each layer and step. And the bytes of these weights.
    """
    import hollow
    import torch

    sizes = case.sizes
    count = sizes.xlabs_tokens if case.name == XLABS else sizes.instantx_tokens
    tokens = hollow.Supply(torch.bfloat16).noise(1, count, sizes.text_width)
    pairs, size = [], 0
    for layer in case.adapter.patcher.model.ip_adapter.values():
        projections = [
            [
                weight if weight is None else weight.to(torch.bfloat16)
                for weight in (layer[name].weight, layer[name].bias)
            ]
            for name in ("to_k_ip", "to_v_ip")
        ]
        pairs.append(partial(_project, case, tokens, projections))
        size += sum(weight.nbytes for weight, _ in projections)
    return with_pairs(case, pairs), size


def _project(case: Case, tokens: Any, projections: list) -> tuple[Any, Any]:
    """InstantX's formula also normalises each head of both."""
    from torch.nn.functional import linear, rms_norm

    key, value = (
        linear(tokens, *projection).unflatten(-1, (case.heads, -1)).transpose(1, 2)
        for projection in projections
    )
    if case.name == XLABS:
        return key, value
    return rms_norm(key, key.shape[-1:], eps=1e-5), rms_norm(value, value.shape[-1:], eps=1e-5)


def with_pairs(case: Case, pairs: list[Pair]) -> Any:
    """One attention and one addition: for XLabs' adapter after each double block, for InstantX's to
    the attention's output of all blocks.
    """
    model, queries = case.plain.clone(), dict[str, Any]()
    model.set_model_attn1_patch(partial(_keep_query, queries))
    if case.name == INSTANTX:
        model.set_model_attn1_output_patch(
            partial(_add_to_attention, queries, pairs, case.sizes.double)
        )
        return model
    for number, pair in enumerate(pairs):
        model.set_model_patch_replace(
            partial(_add_after, queries, pair), "dit", "double_block", number
        )
    return model


def _keep_query(queries: dict, query: Any, *_: Any, **__: Any) -> dict:
    queries["query"] = query
    return {}


def _add_after(queries: dict, pair: Pair, arguments: dict, extra: dict) -> dict:
    from torch.nn.functional import scaled_dot_product_attention as attend

    out = extra["original_block"](arguments)
    query = queries["query"][:, :, -out["img"].shape[1] :]
    _add_heads(out["img"], attend(query, *pair()))
    return out


def _add_to_attention(
    queries: dict, pairs: list[Pair], double: int, output: Any, extra: dict
) -> Any:
    from torch.nn.functional import scaled_dot_product_attention as attend

    is_double = extra["block_type"] == "double"
    pair = pairs[extra["block_index"] + (0 if is_double else double)]
    first = extra["img_slice"][0] if is_double else 0
    _add_heads(output[:, first:], attend(queries["query"][:, :, first:], *pair()))
    return output


def _add_heads(tokens: Any, image: Any) -> None:
    """tokens [B, N, C], image [B, H, N, D], which is not copied."""
    heads = tokens.view(*tokens.shape[:2], image.shape[1], -1)
    heads.add_(image.transpose(1, 2), alpha=WEIGHT)


def floor_joint(case: Case, references: int, device: str) -> Any:
    """One attention of the image to itself and the reference, keys and values of both given."""
    import hollow
    import torch

    model, supply = case.plain.clone(), hollow.Supply(torch.bfloat16, device)
    options = model.model_options["transformer_options"]
    options["optimized_attention_override"] = partial(_joint, supply, case.sizes, 64 * references)
    return model


def _joint(
    supply: Any, sizes: Sizes, count: int, function: Any, query: Any, *args: Any, **kwargs: Any
) -> Any:
    from torch.nn.functional import scaled_dot_product_attention as attend

    joint = function(query, *args, **kwargs)
    image = query[:, sizes.text_tokens :]
    heads = image.unflatten(-1, (sizes.sd3_heads, -1)).transpose(1, 2)
    key_value = supply.noise(*heads.shape[:2], heads.shape[2] + count, heads.shape[3])
    joint[:, sizes.text_tokens :].add_(
        attend(heads, key_value, key_value).transpose(1, 2).flatten(2), alpha=WEIGHT
    )
    return joint


def flux_processors(supply: Any, sizes: Sizes) -> tuple:
    from diffusers.models.transformers import transformer_flux as theirs

    width, text_width, count = sizes.flux_width, sizes.text_width, sizes.xlabs_tokens
    attention = theirs.FluxAttention(
        width, sizes.flux_heads, FLUX_HEAD, added_kv_proj_dim=width, bias=True
    )
    own = theirs.FluxIPAdapterAttnProcessor(width, text_width, (count,), [WEIGHT])
    inputs = {
        "hidden_states": supply.noise(1, (sizes.latent // 2) ** 2, width),
        "encoder_hidden_states": supply.noise(1, sizes.text_tokens, width),
    }
    image = {"ip_hidden_states": [supply.noise(1, count, text_width)]}
    return theirs.FluxAttnProcessor(), own, attention, inputs, image


def sd3_processors(supply: Any, sizes: Sizes) -> tuple:
    from diffusers.models import attention_processor as theirs

    width, time_width = sizes.sd3_width, sizes.resampler
    attention = theirs.Attention(
        width,
        added_kv_proj_dim=width,
        dim_head=SD3_HEAD,
        heads=sizes.sd3_heads,
        context_pre_only=False,
        bias=True,
        qk_norm="rms_norm",
        out_dim=width,
        eps=1e-6,
    )
    own = theirs.SD3IPAdapterJointAttnProcessor2_0(width, width, SD3_HEAD, time_width, WEIGHT)
    inputs = {
        "hidden_states": supply.noise(2, (sizes.latent // 2) ** 2, width),
        "encoder_hidden_states": supply.noise(2, sizes.text_tokens, width),
    }
    image = {"ip_hidden_states": supply.noise(2, 64, width), "temb": supply.noise(2, time_width)}
    return theirs.JointAttnProcessor2_0(), own, attention, inputs, image
