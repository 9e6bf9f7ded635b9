"""What files are, by their keys and shapes, read once for each state of a file."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import folder_paths

from ...ipadapter_core.messages import Predicate
from .open_files import read_shapes

T = TypeVar("T")


def installed_spec(folder: str, name: str, read: Callable[[Mapping[str, Any]], T]) -> T | None:
    """What a file in one of the host's folders is; None for what is not there or cannot be read."""
    path = folder_paths.get_full_path(folder, name)
    return None if path is None else cached_spec(path, read)


def cached_spec(path: str, read: Callable[[Mapping[str, Any]], T]) -> T | None:
    """What a file is, read again only when it has changed; None for what cannot be read."""
    status = os.stat(path)
    return _read_once(path, status.st_size, status.st_mtime_ns, read)


@functools.lru_cache(maxsize=512)
def _read_once(
    path: str, size: int, changed: int, read: Callable[[Mapping[str, Any]], T]
) -> T | None:
    try:
        return read(read_shapes(path))
    except Predicate:
        return None
