"""File names as they stand in graphs -> rows of the model table, so that a saved graph tells where
to get them.

A file counts as a published one by content and size, and its name as the table has it (see core
`published`): nothing is read but headers. A name that is not installed here counts by itself: it is
all there is.
"""

from collections.abc import Iterable
from typing import Any

from ...ipadapter_core.adapter.checkpoint import AdapterSpec
from ...ipadapter_core.doctor.model_table import ModelFile
from ...ipadapter_core.doctor.report import ADAPTER, ENCODER, Entry, Report
from ..project import project_field


def stamps(report: Report, nodes: Iterable[str]) -> dict[str, Any]:
    """The facts that the browser writes into saved graphs.

    pack: id and version; nodes: ids of ours; files: name in a list -> entry, or None for one that
    is no published file; auto: adapter -> the encoder it needs; encoders: SHA-256 of the installed
    published ones; has_adapter: whether any is installed.
    """
    usable_entries = [installed for installed in report.entries if installed.usable]
    files = {file.name: entry(file) for file in report.table}
    files |= {
        installed.file.name: entry(installed.published_file) if installed.published_file else None
        for installed in usable_entries
    }
    pack = {"cnr_id": project_field("name"), "ver": project_field("version")}
    return {
        "pack": pack,
        "nodes": sorted(nodes),
        "files": files,
        "auto": required_encoders(report),
        "encoders": _encoder_hashes(usable_entries),
        "has_adapter": any(installed.kind == ADAPTER for installed in usable_entries),
    }


def _encoder_hashes(entries: Iterable[Entry]) -> list[str]:
    published_files = (
        installed.published_file for installed in entries if installed.kind == ENCODER
    )
    return sorted(file.sha256 for file in published_files if file and file.sha256)


def required_encoders(report: Report) -> dict[str, dict[str, Any]]:
    """Adapter, as a list has it or as it was published -> {name, here} of its encoder.

    name: under which the encoder is published, None for one that is not; here: whether one that
    fits is installed, under whatever name.
    """
    encoder_files = {file.encoder: file.name for file in report.table if file.kind == ENCODER}
    installed_encoders = {entry.text for entry in report.of(ENCODER) if entry.usable}
    required = {
        file.name: {
            "name": encoder_files.get(file.encoder),
            "here": file.encoder in installed_encoders,
        }
        for file in report.table
        if file.encoder and file.kind != ENCODER
    }
    return required | _required_by_installed(report, encoder_files)


def _required_by_installed(
    report: Report, encoder_files: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """The same for the adapters that are installed, by what they hold."""
    fitting_encoders = dict(report.pairs)
    return {
        adapter.file.name: {
            "name": encoder_files.get(adapter.file.content.encoder),
            "here": bool(fitting_encoders[adapter.file.name]),
        }
        for adapter in report.of(ADAPTER)
        if adapter.usable
        and isinstance(adapter.file.content, AdapterSpec)
        and adapter.file.content.clip_input
    }


def entry(file: ModelFile) -> dict[str, str]:
    """A published file as a node's `models` has it for the frontend, but for its name there."""
    checksum = {"hash": file.sha256, "hash_type": "SHA256"} if file.sha256 else {}
    return {"url": file.link, **checksum, "directory": file.folder}
