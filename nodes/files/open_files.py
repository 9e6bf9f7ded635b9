"""Opening model files: by what they hold, never by their name; mapped, not read; nothing runs."""

import os
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any, cast

import safetensors
import torch
from torch import Tensor

from comfy.utils import load_torch_file  # pyright: ignore[reportUnknownVariableType]

from ...ipadapter_core.adapter.layout import Weights
from ...ipadapter_core.adapter.stored_tensors import (
    check_stored_bytes,
    check_stored_tensors,
    unknown_number_type,
)
from ...ipadapter_core.messages import Predicate, printable

LONGEST_HEADER = 100_000_000  # what safetensors itself allows
FLOAT32 = {"F32": torch.float32}
SAFETENSORS_ENDINGS = (".safetensors", ".sft")
# of safetensors; torch has no plain numbers for them
UNREADABLE_TYPES = ("F4", "F6_E2M3", "F6_E3M2")


def read_shapes(path: str) -> Weights:
    """Keys, and values with a `.shape` and whether they are float32, from the header alone."""
    if _container(path) == "torch":
        return _named_tensors(path, "meta")
    with _safe_open(path) as file:
        tensor_keys: list[str] = file.keys()
        parts = {key: file.get_slice(key) for key in tensor_keys}
        dtypes = {key: FLOAT32.get(part.get_dtype(), torch.float16) for key, part in parts.items()}
        return {
            key: torch.empty(part.get_shape(), dtype=dtypes[key], device="meta")
            for key, part in parts.items()
        }


def read_weights(path: str) -> Weights:
    """The tensors, mapped where the container allows it; a `.bin` comes nested as it was saved."""
    if _container(path) == "torch":
        return _named_tensors(path, "cpu")
    with _safe_open(path) as file:  # checks the whole header before the host maps it
        if not path.lower().endswith(SAFETENSORS_ENDINGS):
            return _safetensors(file)
    return cast("Weights", load_torch_file(path, safe_load=True))


def read_embeds(path: str) -> tuple[Any, dict[str, str] | None]:
    """The tensors and metadata of a safetensors file; of a torch file its content, and None."""
    if _container(path) == "torch":
        return _torch_content(path, "cpu"), None
    with _safe_open(path) as file:
        return _safetensors(file), dict(file.metadata() or {})


def read_metadata(path: str) -> dict[str, str]:
    """The metadata of a safetensors file, from the header alone; empty for a torch file."""
    if _container(path) == "torch":
        return {}
    with _safe_open(path) as file:
        return dict(file.metadata() or {})


def _container(path: str) -> str:
    """`torch` or `safetensors`, from the first bytes."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(64)
    if not start:
        raise Predicate("is empty (0 bytes): download it again")
    length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and length <= LONGEST_HEADER:  # first: a length can begin with any bytes
        if length + 8 > size:
            raise Predicate(
                "is cut off: its header alone needs <1> bytes, it has <2>; download it again",
                length + 8,
                size,
            )
        return "safetensors"
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return "torch"
    if start.startswith(b"version https://git-lfs"):
        raise Predicate(
            "is a Git LFS pointer, not the model itself: download the file it points to"
        )
    if start.lstrip()[:1] == b"<":
        raise Predicate("is a web page, not a model: download the file itself")
    raise Predicate(
        "is neither a safetensors nor a torch file: its first bytes belong to something else"
    )


def _safe_open(path: str) -> Any:
    """An open safetensors file, all of whose numbers torch can read."""
    try:
        file: Any = safetensors.safe_open(path, framework="pt")
        types = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118 - no mapping
    except Exception as error:
        raise Predicate(
            "is damaged or cut off (as safetensors: <1>); download it again", _reason(error)
        ) from None
    for name in sorted(types.intersection(UNREADABLE_TYPES)):
        raise unknown_number_type(name)
    return file


def _safetensors(file: Any) -> dict[str, Tensor]:
    tensor_keys: list[str] = file.keys()
    return {key: file.get_tensor(key) for key in tensor_keys}


def _named_tensors(path: str, device: str) -> Weights:
    saved_content = _torch_content(path, device)
    if not isinstance(saved_content, Mapping):
        raise Predicate("is not a model file: it holds no named tensors")
    weights = cast("Mapping[object, object]", saved_content)
    nested = weights.get("state_dict")
    if isinstance(nested, Mapping):
        weights = cast("Mapping[object, object]", nested)
    return {key: value for key, value in weights.items() if isinstance(key, str)}


def _torch_content(path: str, device: str) -> Any:
    is_mappable = _is_plain_zip(path) and not path.lower().endswith(SAFETENSORS_ENDINGS)
    try:
        if is_mappable:
            saved_content = torch.load(path, map_location=device, weights_only=True, mmap=True)
        else:  # older than torch 1.6, or named so that torch would take it for something else
            with open(path, "rb") as file:
                saved_content = torch.load(file, map_location=device, weights_only=True)
    except Exception as error:
        raise Predicate(
            "is damaged, cut off, or holds more than tensors, which is never run (as a torch "
            "file: <1>); download it again from its author",
            _reason(error),
        ) from None
    check_stored_tensors(saved_content, is_shapes_only=device == "meta")
    if is_mappable:  # where torch takes the bytes behind an entry that is too short
        check_stored_bytes(saved_content, _stored_bytes(path))
    return saved_content


def _stored_bytes(path: str) -> int:
    """How many bytes of tensors a torch archive has."""
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist() if "data/" in entry.filename)


def _reason(error: BaseException) -> str:
    """A library's error in short; of torch's, without its advice to run the file."""
    if isinstance(error, pickle.UnpicklingError) and error.__context__ is not None:
        error = error.__context__
    line = (str(error).strip().splitlines() or [""])[0].strip(" .")
    return printable(line) if line else type(error).__name__


def _is_plain_zip(path: str) -> bool:
    """Whether torch can map the file; compressed entries, which torch never writes, could be
    bombs.
    """
    with open(path, "rb") as file:
        if file.read(2) != b"PK":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        raise Predicate(
            "is damaged or cut off (as a torch file: no end of archive); download it again"
        ) from None
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise Predicate("is not a model file: it is a compressed archive, which torch never writes")
    # torch swaps the bytes of every tensor then, also of those without memory: the process would
    # die
    if _byte_order(path) != b"little":
        raise Predicate(
            "was saved on a machine with another byte order, or is damaged:"
            " convert it to safetensors"
        )
    return True


def _byte_order(path: str) -> bytes:
    """The archive's record, found by torch's own reader: it takes `ByteOrder` for the same name,
    and need not see the entries that Python sees.
    """
    try:
        reader: Any = torch._C.PyTorchFileReader(path)  # pyright: ignore[reportPrivateUsage]
        return reader.get_record("byteorder") if reader.has_record("byteorder") else b"little"
    except RuntimeError as error:
        raise Predicate(
            "is damaged, cut off, or holds more than tensors, which is never run (as a torch "
            "file: <1>); download it again from its author",
            _reason(error),
        ) from None
