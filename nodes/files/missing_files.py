"""Why no file is found: files in a wrong folder, unreadable files, files for other models."""

from collections.abc import Iterator

from ...ipadapter_core.adapter.checkpoint import AdapterSpec
from ...ipadapter_core.doctor.entries import ADAPTER, Entry
from ...ipadapter_core.doctor.model_table import ENCODER, load
from ...ipadapter_core.doctor.report import examine
from ...ipadapter_core.messages import printable
from .folders import ADAPTERS, ENCODERS
from .installed import model_files

KIND_BY_FOLDER = {ADAPTERS: ADAPTER, ENCODERS: ENCODER}
MOST_REASONS = 3  # that a sentence about a missing file names


def explain_missing(folder_kind: str, base_model: str = "") -> list[str]:
    """The faults of files in a kind of folder, then the usable files.

    base_model: of adapters, those for it are left out, as are misplaced ones for another.
    """
    kind = KIND_BY_FOLDER[folder_kind]
    entries = examine(model_files(set()), load()).entries
    kind_entries = [
        entry for entry in entries if kind == entry.kind or entry.file.folder == folder_kind
    ]
    texts = [
        *_problems(kind_entries, folder_kind, base_model),
        *_usable(kind_entries, kind, base_model),
    ]
    return texts[:MOST_REASONS]


def _problems(entries: list[Entry], folder_kind: str, base_model: str) -> Iterator[str]:
    for entry in entries:
        file, content = entry.file, entry.file.content
        is_other = isinstance(content, AdapterSpec) and content.base_model != base_model
        if entry.advice and not entry.usable and not is_other:
            is_there = file.folder == folder_kind
            subject = _listed_name(entry) if is_there else file.display_path
            yield f"{subject} {entry.advice}"


def _usable(entries: list[Entry], kind: str, base_model: str) -> Iterator[str]:
    for entry in entries:
        content = entry.file.content
        if not entry.usable or entry.kind != kind:
            continue
        if not isinstance(content, AdapterSpec):
            yield f"{_listed_name(entry)} is {entry.text}"
        elif content.base_model != base_model:
            yield f"{_listed_name(entry)} is for {content.base_model}"


def _listed_name(entry: Entry) -> str:
    return f"'{printable(entry.file.name)}'"
