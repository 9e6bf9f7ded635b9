"""The kinds of files by keys, shapes and SHA-256, read once for each state of a file."""

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import folder_paths

from ...ipadapter_core.messages import Predicate
from .open_files import read_shapes

T = TypeVar("T")
CHUNK_BYTES = 1 << 22  # that are hashed at once


class FileStamp(NamedTuple):
    """A file in one state: changes when the file does."""

    path: str
    size: int
    modified: int


def file_stamp(path: str) -> FileStamp:
    """Raises OSError for what is not there."""
    status = os.stat(path)
    return FileStamp(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def file_digest(stamp: FileStamp) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(stamp.path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def installed_spec(folder: str, name: str, read: Callable[[Mapping[str, Any]], T]) -> T | None:
    """The kind of a file in one of the host's folders; None if it is missing or cannot be read."""
    path = folder_paths.get_full_path(folder, name)
    return None if path is None else cached_spec(path, read)


def cached_spec(path: str, read: Callable[[Mapping[str, Any]], T]) -> T | None:
    """The kind of a file, read again only when it has changed; None if it cannot be read."""
    return _read_once(file_stamp(path), read)


@functools.lru_cache(maxsize=512)
def _read_once(stamp: FileStamp, read: Callable[[Mapping[str, Any]], T]) -> T | None:
    try:
        return read(read_shapes(stamp.path))
    except Predicate:
        return None
