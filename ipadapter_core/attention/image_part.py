"""Decoupled cross-attention: the text attends as before, the image attends beside it.

IP-Adapter, Ye et al. 2023: https://arxiv.org/abs/2308.06721, equation 5
R rows (one per conditioning in the batch), B images per row, N latent tokens, T image tokens, C
inner width, H heads of width D.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def split_heads(tokens: Tensor, head_count: int) -> Tensor:
    """[R, T, C] -> [R, H, T, D], not copied."""
    return tokens.reshape(*tokens.shape[:2], head_count, -1).transpose(1, 2)


def image_attention(query: Tensor, key: Tensor, value: Tensor, attention: Attention) -> Tensor:
    """The image part, before weight and mask: [R * B, N, C], or [R * B, N, H, D] if it lies in
    memory in another order, which may follow that of queries.

    query: [R * B, N, C] or [R * B, N, H, D], rows outermost; key, value: [R, H, T, D].
    attention: of such queries, keys and values, to [R, B * N, C] or [R, B * N, H, D].
    All images of a row share its key, so they form one long sequence and nothing is repeated.
    """
    row_count, head_count, _, head_width = key.shape
    image_output = attention(
        query.reshape(row_count, -1, head_count, head_width).transpose(1, 2), key, value
    )
    if image_output.is_contiguous():
        return image_output.reshape(*query.shape[:2], -1)
    return image_output.reshape(*query.shape[:2], *image_output.shape[2:])


def add_image(
    text_output: Tensor, image_output: Tensor, weight: float, mask: Tensor | None, in_place: bool
) -> Tensor:
    """text + weight * mask * image, in one operation; mask [1 or R * B, N, 1].

    An image part [R * B, N, H, D] is added by heads, which spares a copy.
    """
    if image_output.ndim > text_output.ndim:
        text_heads = text_output.view(*text_output.shape[:2], *image_output.shape[2:])
        head_mask = None if mask is None else mask[..., None]
        changed = add_image(text_heads, image_output, weight, head_mask, in_place)
        return text_output if in_place else changed.flatten(2)
    if mask is None:
        return (
            text_output.add_(image_output, alpha=weight)
            if in_place
            else text_output.add(image_output, alpha=weight)
        )
    return (
        text_output.addcmul_(image_output, mask, value=weight)
        if in_place
        else text_output.addcmul(image_output, mask, value=weight)
    )


def remove_text_part(image_output: Tensor, text_output: Tensor, amount: float) -> Tensor:
    """The image part without `amount` of its component along the text's output, token by token."""
    text_in_float = text_output.float()  # squares of half precision overflow
    squared_length = (text_in_float * text_in_float).sum(-1, keepdim=True).clamp(min=1e-12)
    component = (text_in_float * image_output.float()).sum(-1, keepdim=True) / squared_length
    return image_output - (text_output * (amount * component).to(image_output.dtype))


def token_shares(query: Tensor, key: Tensor) -> Tensor:
    """The share of its attention that each latent token gives to each image token, mean over heads:
    [R * B, N, T].

    query: [R * B, N, C] or [R * B, N, H, D]; key: [R or R * B, H, T, D].
    """
    row_count, head_count, _, head_width = key.shape
    head_queries = query.reshape(row_count, -1, head_count, head_width).float()
    logits: Tensor = torch.einsum("rnhd,rhtd->rhnt", head_queries, key.float()) * head_width**-0.5
    return logits.softmax(-1).mean(1).reshape(*query.shape[:2], -1)
