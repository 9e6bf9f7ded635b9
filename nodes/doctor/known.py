"""File names as they stand in graphs -> rows of the model table, so that a saved graph tells where to get them.

A file counts as a published one by content and size, and its name as the table has it (see core `published`):
nothing is read but headers. A name that is not installed here counts by itself: it is all there is.
"""

from collections.abc import Iterable
from typing import Any

from ...ipadapter_core.doctor import Report
from ...ipadapter_core.table import ModelFile
from ..project import project


def stamps(report: Report, nodes: Iterable[str]) -> dict[str, Any]:
    """What the browser writes into saved graphs.

    pack: id and version; nodes: ids of ours; files: name in a list -> entry, or None for one that is no published
    file; auto: adapter -> its encoder's name.
    """
    usable = [one for one in report.entries if one.usable]
    files = {row.name: entry(row) for row in report.table}
    files |= {one.file.name: entry(one.row) if one.row else None for one in usable}
    auto = {name: fits[0] for name, fits in report.pairs if fits}
    pack = {"cnr_id": project("name"), "ver": project("version")}
    return {"pack": pack, "nodes": sorted(nodes), "files": files, "auto": auto}


def entry(row: ModelFile) -> dict[str, str]:
    """A row as the frontend reads it in a node's `models`, but for the name it has there."""
    return {
        "url": row.link,
        "hash": row.sha256,
        "hash_type": "SHA256",
        "directory": row.folder,
    }
