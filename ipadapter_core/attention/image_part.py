"""Decoupled cross-attention: the text attends as before, the image attends beside it.

IP-Adapter, Ye et al. 2023: https://arxiv.org/abs/2308.06721, equation 5
R rows (one per conditioning in the batch), B images per row, N latent tokens, T image tokens, C inner width, H heads of
width D.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """[R, T, C] -> [R, H, T, D], not copied."""
    return tokens.reshape(*tokens.shape[:2], heads, -1).transpose(1, 2)


def image_attention(query: Tensor, key: Tensor, value: Tensor, attention: Attention) -> Tensor:
    """The image part, before weight and mask: [R * B, N, C].

    query: [R * B, N, C], rows outermost; key, value: [R, H, T, D]; attention: of such queries, keys and values, to
    [R, B * N, C] or [R, B * N, H, D].
    All images of a row share its key, so they form one long sequence and nothing is repeated.
    """
    rows, heads, _, width = key.shape
    out = attention(query.reshape(rows, -1, heads, width).transpose(1, 2), key, value)
    return out.reshape(query.shape)


def add_image(
    text: Tensor, image: Tensor, weight: float, mask: Tensor | None, in_place: bool
) -> Tensor:
    """text + weight * mask * image, in one operation; mask [1 or R * B, N, 1]."""
    if mask is None:
        return text.add_(image, alpha=weight) if in_place else text.add(image, alpha=weight)
    return (
        text.addcmul_(image, mask, value=weight)
        if in_place
        else text.addcmul(image, mask, value=weight)
    )


def remove_text_part(image: Tensor, text: Tensor, amount: float) -> Tensor:
    """The image part without `amount` of its component along the text's output, token by token."""
    wide = text.float()  # squares of half precision overflow
    length = (wide * wide).sum(-1, keepdim=True).clamp(min=1e-12)
    share = (wide * image.float()).sum(-1, keepdim=True) / length
    return image - (text * (amount * share).to(image.dtype))


def token_shares(query: Tensor, key: Tensor) -> Tensor:
    """The share of its attention that each latent token gives to each image token, mean over heads: [R * B, N, T].

    query: [R * B, N, C]; key: [R or R * B, H, T, D].
    """
    rows, heads, _, width = key.shape
    q = query.reshape(rows, -1, heads, width).float()
    logits: Tensor = torch.einsum("rnhd,rhtd->rhnt", q, key.float()) * width**-0.5
    return logits.softmax(-1).mean(1).reshape(*query.shape[:2], -1)
