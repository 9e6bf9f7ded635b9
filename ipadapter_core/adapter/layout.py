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
    "ip_adapter_proj_model": "image_proj",
    "ip_adapter": "ip_adapter",
    "adapter_modules": "ip_adapter",
}
_WRAPPERS = re.compile(r"(?:(?:module|state_dict)\.)+")  # of parallel training, and of containers
_DEEPEST = 4  # mappings in one another; published files have two
_PROCESSOR_KEY = re.compile(
    r"(?:.+\.)?((?:down_blocks|up_blocks|mid_block)\.[\w.]+\.attn2)(?:\.processor)?\.to_([kv])_ip\.weight"
)
_XLABS_KEY = re.compile(
    r"double_blocks\.(\d{1,9})\.processor\.ip_adapter_double_stream_([kv])_proj\.(weight|bias)"
)
_LONGEST_NAME = 1000  # of a tensor; longer ones are not looked at as names of processors
_UNET_ORDER = ("down_blocks", "up_blocks", "mid_block")  # in which diffusers lists its processors


def flatten(stored_weights: Weights) -> dict[str, object]:
    """One flat mapping with the prefixes `image_proj.` and `ip_adapter.`, from any container.

    Takes the nested dict of a `.bin`, the flat keys of a `.safetensors`, the prefixes of training
    dumps, and layers named after the processors of a UNet or of FLUX. Other entries are dropped:
    some published files carry a second copy of their tensors.
    """
    stored_names = plain_names(stored_weights)
    plain_weights = {_numbered_block(key): value for key, value in stored_names.items()}
    processor_names = _numbered_processors(plain_weights)
    renamed_weights: dict[str, object] = {}
    for tensor_key, value in plain_weights.items():
        prefix, _, tensor_name = tensor_key.partition(".")
        if tensor_key not in processor_names and prefix in _PREFIXES and tensor_name:
            renamed_weights[f"{_PREFIXES[prefix]}.{tensor_name}"] = value
    if not any(tensor_key.startswith("ip_adapter.") for tensor_key in renamed_weights):
        renamed_weights |= {
            layer_name: plain_weights[tensor_key]
            for tensor_key, layer_name in processor_names.items()
        }
    return renamed_weights


def plain_names(stored_weights: Weights) -> dict[str, object]:
    """The values of a file by flat keys, without what training and containers put in front."""
    return {
        _WRAPPERS.sub("", tensor_key, count=1) if _WRAPPERS.match(tensor_key) else tensor_key: value
        for tensor_key, value in _flat_items("", stored_weights, _DEEPEST)
    }


def _numbered_block(tensor_key: str) -> str:
    """XLabs' name of a layer of FLUX -> its name by number; other names as they are."""
    key_match = _XLABS_KEY.fullmatch(tensor_key)
    if key_match is None:
        return tensor_key
    return f"ip_adapter.{key_match[1]}.to_{key_match[2]}_ip.{key_match[3]}"


def _flat_items(
    prefix: str, stored_weights: Weights, depth_left: int
) -> Iterator[tuple[str, object]]:
    for tensor_key, value in stored_weights.items():
        if isinstance(value, Mapping) and depth_left > 1:
            yield from _flat_items(f"{prefix}{tensor_key}.", cast("Weights", value), depth_left - 1)
        else:
            yield f"{prefix}{tensor_key}", value


def _numbered_processors(stored_weights: Weights) -> dict[str, str]:
    """Key of a layer that is named after its place in the UNet -> its name by number.

    The numbers count self- and cross-attention, in the order in which diffusers lists them.
    """
    short_keys = [key for key in stored_weights if len(key) <= _LONGEST_NAME]
    key_matches = {
        key: key_match for key in short_keys if (key_match := _PROCESSOR_KEY.fullmatch(key))
    }
    layer_places = sorted({key_match[1] for key_match in key_matches.values()}, key=_unet_place)
    layer_numbers = {layer_place: 2 * count + 1 for count, layer_place in enumerate(layer_places)}
    return {
        tensor_key: f"ip_adapter.{layer_numbers[key_match[1]]}.to_{key_match[2]}_ip.weight"
        for tensor_key, key_match in key_matches.items()
    }


def _unet_place(layer_place: str) -> tuple[int, ...]:
    block_group, *places = layer_place.split(".")
    return _UNET_ORDER.index(block_group), *(int(place) for place in places if place.isdecimal())


def shapes_of(stored_weights: Weights) -> dict[str, Shape]:
    """The shapes of the tensors among the values."""
    return {
        tensor_key: shape_of(value)
        for tensor_key, value in stored_weights.items()
        if hasattr(value, "shape")
    }


def shape_of(value: object) -> Shape:
    return tuple(cast("Shape", getattr(value, "shape", ())))
