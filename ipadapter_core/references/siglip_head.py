"""SigLIP's pooling head, which the host leaves out: one query attends to all tokens of an image.

https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/siglip/modeling_siglip.py
(SiglipMultiheadAttentionPoolingHead)
N images, S tokens, E width.
"""

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

from ..adapter.layout import Weights, shape_of

HEAD_PREFIX = "vision_model.head."
HEAD_COUNT = 16  # of so400m
LAYER_NORM_EPSILON = 1e-6
_PROBE, _POSITIONS = f"{HEAD_PREFIX}probe", "vision_model.embeddings.position_embedding.weight"


def has_head(stored_weights: Weights, width: int, token_count: int) -> bool:
    """Whether a file of SigLIP with so many tokens has the head."""
    positions = shape_of(stored_weights.get(_POSITIONS))
    return shape_of(stored_weights.get(_PROBE)) == (1, 1, width) and positions == (
        token_count,
        width,
    )


def pool_tokens(tokens: Tensor, head: Mapping[str, Tensor], head_count: int = HEAD_COUNT) -> Tensor:
    """tokens [N, S, E] behind the encoder's last norm -> [N, E]; head: by the names in the file,
    without the prefix.
    """
    count, _, width = tokens.shape

    def split(projected: Tensor) -> Tensor:
        return projected.view(count, -1, head_count, width // head_count).transpose(1, 2)

    weights, biases = (head[f"attention.in_proj_{kind}"].chunk(3) for kind in ("weight", "bias"))
    inputs = (head["probe"].expand(count, -1, -1), tokens, tokens)
    query, key, value = (
        split(linear(part, weight, bias))
        for part, weight, bias in zip(inputs, weights, biases, strict=True)
    )
    attended = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    pooled = _linear(attended, head, "attention.out_proj")
    norm = layer_norm(
        pooled, (width,), head["layernorm.weight"], head["layernorm.bias"], LAYER_NORM_EPSILON
    )
    hidden = gelu(_linear(norm, head, "mlp.fc1"), approximate="tanh")
    return (pooled + _linear(hidden, head, "mlp.fc2"))[:, 0]


def _linear(tokens: Tensor, head: Mapping[str, Tensor], name: str) -> Tensor:
    return linear(tokens, head[f"{name}.weight"], head[f"{name}.bias"])
