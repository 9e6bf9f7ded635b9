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
from ...ipadapter_core.doctor.report import ADAPTER, ENCODER, Report
from ..project import project_field


def stamps(report: Report, nodes: Iterable[str]) -> dict[str, Any]:
    """What the browser writes into saved graphs.

    pack: id and version; nodes: ids of ours; files: name in a list -> entry, or None for one that
    is no published file; auto: adapter -> the encoder it needs; encoders: SHA-256 of the published
    ones that are here.
    """
    usable = [one for one in report.entries if one.usable]
    files = {row.name: entry(row) for row in report.table}
    files |= {one.file.name: entry(one.row) if one.row else None for one in usable}
    pack = {"cnr_id": project_field("name"), "ver": project_field("version")}
    here = [one.row.sha256 for one in usable if one.kind == ENCODER and one.row]
    made = {"pack": pack, "nodes": sorted(nodes), "files": files, "auto": auto(report)}
    return made | {"encoders": sorted(here)}


def auto(report: Report) -> dict[str, dict[str, Any]]:
    """Adapter, as a list has it or as it was published -> {name, here} of its encoder.

    name: under which the encoder is published, None for one that is not; here: whether one that
    fits is installed, under whatever name.
    """
    published = {row.encoder: row.name for row in report.table if row.kind == ENCODER}
    usable = [one for one in report.entries if one.usable]
    there = {one.text for one in usable if one.kind == ENCODER}
    found = {
        row.name: {"name": published.get(row.encoder), "here": row.encoder in there}
        for row in report.table
        if row.runs and row.kind != ENCODER
    }
    fits = dict(report.pairs)
    for one in usable:
        if one.kind == ADAPTER and isinstance(one.file.what, AdapterSpec):
            name = published.get(one.file.what.encoder)
            found[one.file.name] = {"name": name, "here": bool(fits[one.file.name])}
    return found


def entry(row: ModelFile) -> dict[str, str]:
    """A row as the frontend reads it in a node's `models`, but for the name it has there."""
    return {
        "url": row.link,
        "hash": row.sha256,
        "hash_type": "SHA256",
        "directory": row.folder,
    }
