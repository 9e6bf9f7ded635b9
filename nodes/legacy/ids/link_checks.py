"""Checks of what only old nodes hand each other: bare embeds, regions, settings of weights."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from ...input_checks import InputSpec, check_input, check_inputs, wrong_link

REGION_TYPES = {
    "image": InputSpec("IMAGE", {}, may_be_none=True),
    "attn_mask": InputSpec("MASK", {}, may_be_none=True),
    "weight": InputSpec("FLOAT", {}, may_be_list=True),
    "weight_type": InputSpec("STRING", {}),
    **dict.fromkeys(("start_at", "end_at"), InputSpec("FLOAT", {})),
}
STRATEGY_COUNTS = "frames start_frame end_frame add_starting_frames add_ending_frames frame_count"
STRATEGY_TYPES = {
    **dict.fromkeys(("weights", "timing", "method"), InputSpec("STRING", {})),
    **dict.fromkeys(STRATEGY_COUNTS.split(), InputSpec("INT", {"min": 0, "max": 99_999})),
}


def _check_old_embeds(value: object, spec: InputSpec, node: str, name: str) -> object:
    """A bare tensor of features, with or without another side stacked behind it."""
    link = value
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise wrong_link(link, node, name, "EMBEDS")
    if not 1 < value.ndim < 5 or not value.numel():
        raise wrong_link(link, node, name, "EMBEDS")
    if not bool(torch.isfinite(value).all()):
        raise ValueError(
            f"{node}'s '{name}' has numbers that are NaN or infinite: encode the image again."
        )
    return value


def _check_regions(value: object, spec: InputSpec, node: str, name: str) -> object:
    """The settings of old regions: for each field a list with one entry for each region."""
    lists: dict[str, list[object]] = {}
    for field, entries in _fields(value, REGION_TYPES, node, name, spec.type).items():
        if not isinstance(entries, list):
            raise wrong_link(value, node, name, spec.type)
        lists[field] = cast("list[object]", entries)
    if len({len(entries) for entries in lists.values()}) != 1:
        raise wrong_link(value, node, name, spec.type)
    return {
        field: [check_input(entry, REGION_TYPES[field], node, field) for entry in entries]
        for field, entries in lists.items()
    }


def _check_strategy(value: object, spec: InputSpec, node: str, name: str) -> object:
    fields = _fields(value, STRATEGY_TYPES, node, name, spec.type)
    return check_inputs(fields, STRATEGY_TYPES, node)


def _fields(
    value: object, types: Mapping[str, InputSpec], node: str, name: str, socket: str
) -> dict[str, object]:
    link = value
    content = cast("Mapping[str, object]", value) if isinstance(value, Mapping) else None
    if content is None or not set(types) <= set(content):
        raise wrong_link(link, node, name, socket)
    return {field: content[field] for field in types}


LINK_CHECKS = {
    "EMBEDS": _check_old_embeds,
    "IPADAPTER_PARAMS": _check_regions,
    "WEIGHTS_STRATEGY": _check_strategy,
}
