"""The scalings of IPAdapter_plus: what of key and value a weight multiplies.

R roles, F frames, T image tokens, C inner width of a layer.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from .keys import KeysValues, LayerKeysValues

V_ONLY, K_V = "V only", "K+V"
K_V_PENALTY, K_MEAN_V_PENALTY = WIDTH_SCALINGS = "K+V with C penalty", "K+mean(V) with C penalty"
WIDEST_LAYER = 1280  # inner width of the layers that a channel penalty leaves as they are
Weight = float | Tensor  # a tensor: [R * F, 1, 1]


def scale_keys_values(values: KeysValues, scaling: str, weights: Sequence[float]) -> KeysValues:
    """Keys and values times a weight, in the way of a scaling; attention then adds its result with
    weight 1.
    """
    change = SCALINGS[scaling]

    def scale(layer: int, key: Tensor, value: Tensor) -> LayerKeysValues:
        return change(key, value, weights[layer], values.group or values.tokens)

    return values.map_layers(scale)


def scale_by_frame(
    values: KeysValues, scaling: str, weights: Sequence[float], factors: Sequence[float]
) -> KeysValues:
    """As `scale_keys_values`, times a factor for each frame.

    V only: the factor alone, since attention adds with the weight.
    """
    change = SCALINGS.get(scaling, _scale_value)
    if values.frames != len(factors):  # the same for every frame so far
        values = replace(
            values.map_layers(
                lambda _, key, value: (_repeat(key, factors), _repeat(value, factors))
            ),
            frames=len(factors),
        )
    column = values.flat.new_tensor(list(factors) * values.roles).view(-1, 1, 1)

    def scale(layer: int, key: Tensor, value: Tensor) -> LayerKeysValues:
        weight = 1.0 if scaling == V_ONLY else weights[layer]
        return change(key, value, column * weight, values.group or values.tokens)

    return values.map_layers(scale)


def _repeat(part: Tensor, factors: Sequence[float]) -> Tensor:
    return part.repeat_interleave(len(factors), 0)


def _scale_value(key: Tensor, value: Tensor, weight: Weight, group: int) -> LayerKeysValues:
    return key, value * weight


def _scale_both(key: Tensor, value: Tensor, weight: Weight, group: int) -> LayerKeysValues:
    return key * weight, value * weight


def _scale_by_width(key: Tensor, value: Tensor, weight: Weight, group: int) -> LayerKeysValues:
    return _scale_both(key, value, weight * (key.shape[-1] / WIDEST_LAYER), group)


def _scale_mean_by_width(key: Tensor, value: Tensor, weight: Weight, group: int) -> LayerKeysValues:
    weight = weight * (key.shape[-1] / WIDEST_LAYER)
    grouped = value.reshape(len(value), -1, group, value.shape[-1])
    mean = grouped.mean(2, keepdim=True)
    mean_loss = (1 - weight)[..., None] if isinstance(weight, Tensor) else 1 - weight
    return key * weight, (grouped - mean * mean_loss).reshape(value.shape)


SCALINGS = {
    K_V: _scale_both,
    K_V_PENALTY: _scale_by_width,
    K_MEAN_V_PENALTY: _scale_mean_by_width,
}
