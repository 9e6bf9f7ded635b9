"""How adapter files name their tensors: every published container as one flat mapping."""

from collections.abc import Mapping
from typing import cast

Shape = tuple[int, ...]
Weights = Mapping[str, object]  # key -> tensor, anything with a `.shape`, or a mapping of these

_PREFIXES = {
    "image_proj": "image_proj",
    "image_proj_model": "image_proj",
    "ip_adapter": "ip_adapter",
    "adapter_modules": "ip_adapter",
}


def flatten(weights: Weights) -> dict[str, object]:
    """One flat mapping with the prefixes `image_proj.` and `ip_adapter.`, from any published container.

    Takes the nested dict of a `.bin`, the flat keys of a `.safetensors` and the prefixes of training
    dumps. Other entries are dropped: some published files carry a second copy of their tensors.
    """
    flat: dict[str, object] = {}
    for key, value in weights.items():
        if isinstance(value, Mapping):
            inner = cast("Weights", value)
            flat |= {f"{key}.{name}": tensor for name, tensor in inner.items()}
        else:
            flat[key] = value
    renamed: dict[str, object] = {}
    for key, value in flat.items():
        prefix, _, rest = key.partition(".")
        if prefix in _PREFIXES and rest:
            renamed[f"{_PREFIXES[prefix]}.{rest}"] = value
    return renamed


def shapes_of(weights: Weights) -> dict[str, Shape]:
    """The shapes of the tensors among the values."""
    return {key: shape_of(value) for key, value in weights.items() if hasattr(value, "shape")}


def shape_of(value: object) -> Shape:
    return tuple(cast("Shape", getattr(value, "shape", ())))
