"""One cross-attention layer while sampling: the image's parts, added to the text's part as the
model computes it.
"""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import comfy.ldm.modules.attention as host_attention

from ...ipadapter_core.attention.image_part import add_image, image_attention, remove_text_part
from .kept_tensors import ImagePart
from .model_call import LayerSite, ModelCall, Observation


class AttendedPart(NamedTuple):
    """An image part before weight and mask, and its queries: [B, N, C or H, D]."""

    image: Tensor
    query: Tensor


PartAttention = Callable[[ImagePart, Tensor, Tensor], AttendedPart]


def add_image_parts(
    text: Tensor,
    query: Tensor,
    site: LayerSite,
    parts: tuple[ImagePart, ...],
    call: ModelCall,
    in_place: bool,
    attention: PartAttention | None = None,
) -> Tensor:
    """The text's attention output plus every image part. in_place: the output may be
    overwritten.

    attention: of a part with its key and value, where it is more than one of the queries to those.
    """
    keeps_prompt = any(part.prompt.settings.keep_prompt for part in parts)
    attention = attention or partial(_attend_part, query, site.precision)
    in_place = in_place and not keeps_prompt and not text.requires_grad
    out = text
    for part in parts:
        prompt = part.prompt
        key, value = call.keys_values(part, query, site.heads)
        image, part_query = attention(part, key, value)
        if prompt.settings.keep_prompt:
            image = remove_text_part(image.flatten(2), text, prompt.settings.keep_prompt)
        mask = call.attention_mask(prompt, site, query)
        if call.watch is not None and prompt is call.watched_prompt:
            whole = Observation(
                part=part,
                query=part_query,
                key=key,
                image=image.flatten(2),
                text=text,
                mask=mask,
                site=site,
            )
            call.watch.look(call, _of_the_image(whole))
        out = add_image(out, image, part.output_weight, mask, in_place)
        in_place = not out.requires_grad
    return out


def _of_the_image(observation: Observation) -> Observation:
    """Without the tokens of a text, which come before those of the image."""
    height, width = observation.site.grid
    image_tokens = slice(max(0, observation.query.shape[1] - height * width), None)
    query, image, text = (
        tokens[:, image_tokens]
        for tokens in (observation.query, observation.image, observation.text)
    )
    return observation._replace(query=query, image=image, text=text)


def _attend_part(
    query: Tensor, precision: torch.dtype | None, part: ImagePart, key: Tensor, value: Tensor
) -> AttendedPart:
    return AttendedPart(image_attention(query, key, value, partial(attend, precision)), query)


def attend(precision: torch.dtype | None, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The host's attention without transformer_options: an override there is about the text.

    With few image tokens a quantised attention gains nothing and loses accuracy. Where the host
    uses torch's, so does this, without the host's list of preferred kernels: to put that in force
    takes longer than the attention itself.
    """
    if host_attention.optimized_attention is host_attention.attention_pytorch:
        return scaled_dot_product_attention(query, key, value).transpose(1, 2)
    options: dict[str, Any] = {
        "attn_precision": precision,
        "low_precision_attention": False,
        "skip_reshape": True,
    }
    out: Tensor = host_attention.optimized_attention(query, key, value, key.shape[1], **options)
    return out
