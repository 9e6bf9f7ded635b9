"""One cross-attention layer while sampling: the image's parts, added to the text's part as the
model computes it.
"""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import comfy.ldm.modules.attention as host_attention

from ...ipadapter_core.attention.image_part import add_image, image_attention, remove_text_part
from .model_call import LayerSite, ModelCall, Observation
from .run import ImagePart


def add_image_parts(
    text: Tensor,
    query: Tensor,
    site: LayerSite,
    parts: tuple[ImagePart, ...],
    call: ModelCall,
    in_place: bool,
) -> Tensor:
    """The text's attention output plus every image part. in_place: the output may be
    overwritten.
    """
    keeps_prompt = any(part.prompt.settings.keep_prompt for part in parts)
    attend = partial(_attend, site.precision)
    in_place = in_place and not keeps_prompt and not text.requires_grad
    out = text
    for part in parts:
        prompt = part.prompt
        key, value = call.keys_values(part, query, site.heads)
        image = image_attention(query, key, value, attend)
        if prompt.settings.keep_prompt:
            image = remove_text_part(image, text, prompt.settings.keep_prompt)
        mask = call.attention_mask(prompt, site, query)
        if call.watch is not None and prompt is call.watched_prompt:
            call.watch.look(call, Observation(part, query, key, image, text, mask, site))
        out = add_image(out, image, part.output_weight, mask, in_place)
        in_place = not out.requires_grad
    return out


def _attend(precision: torch.dtype | None, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
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
