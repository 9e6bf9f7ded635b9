"""How adapter files name their tensors: every container, and unconverted training, as one
mapping.
"""

import re
from collections.abc import Iterator, Mapping
from typing import cast

Shape = tuple[int, ...]
Weights = Mapping[str, object]  # key -> tensor, anything with a `.shape`, or a mapping of these

_PREFIXES = {
    "image_proj": "image_proj",
    "image_proj_model": "image_proj",
    "ip_adapter": "ip_adapter",
    "adapter_modules": "ip_adapter",
}
_WRAPPERS = re.compile(r"(?:(?:module|state_dict)\.)+")  # of parallel training, and of containers
_DEEPEST = 4  # mappings in one another; published files have two
_PROCESSOR_KEY = re.compile(
    r"(?:.+\.)?((?:down_blocks|up_blocks|mid_block)\.[\w.]+\.attn2)(?:\.processor)?\.to_([kv])_ip\.weight"
)
_UNET_ORDER = ("down_blocks", "up_blocks", "mid_block")  # in which diffusers lists its processors


def flatten(weights: Weights) -> dict[str, object]:
    """One flat mapping with the prefixes `image_proj.` and `ip_adapter.`, from any container.

    Takes the nested dict of a `.bin`, the flat keys of a `.safetensors`, the prefixes of training
    dumps, and layers named after the UNet's processors. Other entries are dropped: some published
    files carry a second copy of their tensors.
    """
    named = plain_names(weights)
    processors = _numbered_processors(named)
    renamed: dict[str, object] = {}
    for key, value in named.items():
        prefix, _, rest = key.partition(".")
        if key not in processors and prefix in _PREFIXES and rest:
            renamed[f"{_PREFIXES[prefix]}.{rest}"] = value
    if not any(key.startswith("ip_adapter.") for key in renamed):
        renamed |= {name: named[key] for key, name in processors.items()}
    return renamed


def plain_names(weights: Weights) -> dict[str, object]:
    """The values of a file by flat keys, without what training and containers put in front."""
    return {
        _WRAPPERS.sub("", key, count=1) if _WRAPPERS.match(key) else key: value
        for key, value in _flat_items("", weights, _DEEPEST)
    }


def _flat_items(prefix: str, weights: Weights, depth: int) -> Iterator[tuple[str, object]]:
    for key, value in weights.items():
        if isinstance(value, Mapping) and depth > 1:
            yield from _flat_items(f"{prefix}{key}.", cast("Weights", value), depth - 1)
        else:
            yield f"{prefix}{key}", value


def _numbered_processors(weights: Weights) -> dict[str, str]:
    """Key of a layer that is named after its place in the UNet -> its name by number.

    The numbers count self- and cross-attention, in the order in which diffusers lists them.
    """
    matches = {key: match for key in weights if (match := _PROCESSOR_KEY.fullmatch(key))}
    places = sorted({match[1] for match in matches.values()}, key=_unet_place)
    numbers = {place: 2 * count + 1 for count, place in enumerate(places)}
    return {
        key: f"ip_adapter.{numbers[match[1]]}.to_{match[2]}_ip.weight"
        for key, match in matches.items()
    }


def _unet_place(place: str) -> tuple[int, ...]:
    group, *parts = place.split(".")
    return _UNET_ORDER.index(group), *(int(part) for part in parts if part.isdecimal())


def shapes_of(weights: Weights) -> dict[str, Shape]:
    """The shapes of the tensors among the values."""
    return {key: shape_of(value) for key, value in weights.items() if hasattr(value, "shape")}


def shape_of(value: object) -> Shape:
    return tuple(cast("Shape", getattr(value, "shape", ())))
