"""Whether tensors out of a file can be computed with: checked once, before anything else is done
with them.
"""

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor

from ..messages import Predicate, printable

EXACT_TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
WEIGHT_TYPES = (*EXACT_TYPES, torch.float8_e4m3fn, torch.float8_e5m2)  # cast before they are used


def check_stored_tensors(file_content: object, is_shapes_only: bool = False) -> None:
    """Raise Predicate for a tensor that no adapter, encoder or embeds file has.

    file_content: tensors, nested as they were saved. A tensor may claim more numbers than the file
    has for it, by strides of 0: whoever computes with it then asks for all of them.
    is_shapes_only: it was read without data on purpose.
    """
    for tensor in _tensors(file_content):
        is_plain = tensor.layout is torch.strided and not tensor.is_nested
        if not is_plain or tensor.is_quantized:
            raise Predicate(
                "holds a tensor that is sparse, nested or quantized: no adapter, encoder or embeds "
                "file has one"
            )
        if tensor.device.type == "meta" and not is_shapes_only:
            raise Predicate("holds a tensor without data: save it again with the model loaded")
        stored_count = tensor.untyped_storage().nbytes() // tensor.element_size()
        if tensor.numel() > stored_count:
            raise Predicate(
                "is damaged: one of its tensors claims <1> numbers, but the file has <2> for it",
                tensor.numel(),
                stored_count,
            )


def check_stored_bytes(file_content: object, stored_bytes: int) -> None:
    """Raise Predicate where the tensors of a file claim more bytes than it has for all of them.

    file_content: checked by `check_stored_tensors`. Tensors that share their numbers count once.
    """
    storages = [tensor.untyped_storage() for tensor in _tensors(file_content)]
    own_bytes = {
        storage._cdata: storage.nbytes()  # pyright: ignore[reportPrivateUsage]
        for storage in storages
    }
    claimed_bytes = sum(own_bytes.values())
    if claimed_bytes > stored_bytes:
        raise Predicate(
            "is damaged: its tensors claim <1> bytes, but the file has <2> for them",
            claimed_bytes,
            stored_bytes,
        )


def check_number_type(tensor: Tensor, allowed_types: tuple[torch.dtype, ...]) -> None:
    """Raise Predicate for floating-point numbers of a type that is not computed with."""
    if tensor.is_floating_point() and tensor.dtype not in allowed_types:
        raise unknown_number_type(str(tensor.dtype).removeprefix("torch."))


def unknown_number_type(type_name: str) -> Predicate:
    return Predicate(
        "holds numbers of the type <1>, which this pack cannot compute with: convert it to float16",
        type_name,
    )


def _tensors(file_content: object) -> Iterator[Tensor]:
    """Every tensor below mappings and lists, each of which is entered once."""
    pending_values, entered_ids = [file_content], set[int]()
    while pending_values:
        value = pending_values.pop()
        if isinstance(value, Tensor):
            yield value
        elif id(value) in entered_ids:
            continue
        elif isinstance(value, Mapping):
            entered_ids.add(id(cast("object", value)))
            pending_values.extend(cast("Mapping[object, object]", value).values())
        elif isinstance(value, list | tuple):
            entered_ids.add(id(cast("object", value)))
            pending_values.extend(cast("list[object]", value))


def check_weight(tensor_key: str, tensor: Tensor) -> None:
    """Raise Predicate for a weight that is no number to compute with."""
    if not tensor.is_floating_point():
        raise Predicate(
            "is damaged: '<1>' holds <2>, not floating-point numbers",
            printable(tensor_key),
            tensor.dtype,
        )
    check_number_type(tensor, WEIGHT_TYPES)
