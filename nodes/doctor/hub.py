"""The use of huggingface_hub for a download: cache, addresses, headers, and the request itself.

The library has the address (HF_ENDPOINT), the cache (HF_HOME), the tokens and the offline switch
(HF_HUB_OFFLINE). It is imported at the first download.
"""

import importlib
import re
from types import ModuleType
from typing import Any

from ...ipadapter_core.doctor.model_table import ModelFile
from ...ipadapter_core.messages import Message


def library(module: str) -> ModuleType:
    """A module of the library. Raises ValueError where it is not installed."""
    try:
        return importlib.import_module(f"huggingface_hub.{module}")
    except ImportError:
        raise ValueError(
            Message(
                "Downloading needs the package huggingface_hub, which comes with ComfyUI's own "
                "requirements: install those, or download the file from its link."
            )
        ) from None


def cached_path(published_file: ModelFile) -> str | None:
    """The file in Hugging Face's own cache, if another program had it."""
    find_cached = library("file_download").try_to_load_from_cache
    path = find_cached(
        published_file.repository, published_file.path, revision=published_file.revision
    )
    return path if isinstance(path, str) else None


def file_url(published_file: ModelFile) -> str:
    """Raises ValueError where the library is told to stay offline."""
    if library("constants").HF_HUB_OFFLINE:
        raise ValueError(
            Message(
                "'<1>' is not in the cache, and HF_HUB_OFFLINE is set: unset it and start "
                "ComfyUI again, or copy the file to models/<2>.",
                published_file.name,
                published_file.folder,
            )
        )
    return library("file_download").hf_hub_url(
        published_file.repository, published_file.path, revision=published_file.revision
    )


def file_facts(url: str) -> tuple[int | None, str]:
    """Size and SHA-256 of a file; "" where the server does not name the latter."""
    metadata = library("file_download").get_hf_file_metadata(url)
    digest = metadata.etag or ""
    return metadata.size, digest if re.fullmatch(r"[0-9a-f]{64}", digest) else ""


def receive(url: str, file: Any, start: int, size: int) -> None:
    """Append a file from the byte `start` on, which is known only without a compressed body."""
    headers = {**library("utils").build_hf_headers(), "Accept-Encoding": "identity"}
    library("file_download").http_get(
        url, file, resume_size=start, headers=headers, expected_size=size
    )
