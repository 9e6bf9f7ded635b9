"""A report as text for people and bug reports, and as plain data for the browser."""

from collections.abc import Mapping
from typing import Any

from .model_table import ModelFile, size_text
from .report import ADAPTER, EMBEDS, ENCODER, OTHER, Entry, Need, Report

TITLES = {ADAPTER: "Adapters", ENCODER: "Image encoders", EMBEDS: "Embeds files"}
GOALS = {
    "look": "the look of a picture",
    "face": "a face",
    "composition": "the composition of a picture",
}


def as_text(report: Report, needs: tuple[Need, ...] | None = None) -> str:
    """The whole report; needs: those to speak of, or all."""
    lines = ["IPAdapter Doctor", *report.facts]
    for kind in TITLES:
        lines += ["", *_kind_lines(report, kind)]
    other_files = [entry for entry in report.of(OTHER) if not entry.advice]
    if other_files:
        lines += ["", "Other files", *(f"  {entry_line(entry)}" for entry in other_files)]
    problems = [f"  {entry.file.shown} {entry.advice}." for entry in report.problems]
    lines += ["", "Problems" + ("" if problems else ": none"), *problems]
    for need in report.needs if needs is None else needs:
        lines += ["", *_need_lines(need)]
    return "\n".join(lines)


def _kind_lines(report: Report, kind: str) -> list[str]:
    """A title, and the files of a kind; below each adapter the encoders that fit."""
    pairs = dict(report.pairs)
    entries = [entry for entry in report.of(kind) if kind == EMBEDS or entry.usable]
    lines = [TITLES[kind] + ("" if entries else ": none")]
    for entry in entries:
        lines.append("  " + entry_line(entry))
        if kind == ADAPTER:
            encoders = ", ".join(pairs[entry.file.name])
            lines.append(
                f"      works with {encoders}" if encoders else "      no encoder here fits"
            )
    return lines


def _need_lines(need: Need) -> list[str]:
    title = f"For {need.base}, to follow {GOALS[need.purpose]}"
    if need.there:
        return [f"{title}: ready", *(f"  {name} with {fits[0]}" for name, fits in need.there)]
    return [f"{title}: missing", *(line for row in need.missing for line in row_lines(row))]


def row_lines(row: ModelFile) -> list[str]:
    about = " ".join(filter(None, (row.base, row.kind)))
    about += "" if row.runs else ", for other packs: this one does not run it"
    return [
        f"  {row.name} ({about}, {row.size_text}, {row.licence}) into models/{row.folder}",
        f"      {row.link}",
        f"      SHA-256 {row.sha256}",
    ]


def entry_line(entry: Entry) -> str:
    """A file and what it is, in one line."""
    published = f"; as published: {entry.row.name}" if entry.row else ""
    return f"{entry.file.shown}: {entry.text} ({size_text(entry.file.size)}{published})"


def as_data(report: Report) -> dict[str, Any]:
    """What the panel shows; everything is a string, number, list or dictionary."""
    pairs = dict(report.pairs)
    installed = [entry.row for entry in report.entries if _is_in_place(entry)]
    return {
        "facts": list(report.facts),
        "text": as_text(report),
        "files": [_file_data(entry, pairs) for entry in report.entries],
        "needs": [_need_data(need) for need in report.needs],
        "table": [row_data(row, row in installed) for row in report.table],
    }


def _is_in_place(entry: Entry) -> bool:
    """Whether an entry is a published file where it belongs, as far as this pack knows that."""
    return entry.row is not None and (entry.usable or not entry.row.runs)


def _file_data(entry: Entry, pairs: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    encoders = pairs.get(entry.file.name, ()) if entry.kind == ADAPTER else ()
    return {
        "kind": entry.kind,
        "path": entry.file.shown,
        "name": entry.file.name,
        "folder": entry.file.folder,
        "text": entry.text,
        "size": size_text(entry.file.size),
        "advice": entry.advice,
        "usable": entry.usable,
        "published": entry.row.name if entry.row else "",
        "works_with": list(encoders),
    }


def _need_data(need: Need) -> dict[str, Any]:
    return {
        "base": need.base,
        "purpose": need.purpose,
        "there": [{"adapter": name, "encoders": list(fits)} for name, fits in need.there],
        "missing": [row.name for row in need.missing],
    }


def row_data(row: ModelFile, is_installed: bool) -> dict[str, Any]:
    return {
        "name": row.name,
        "folder": row.folder,
        "base": row.base,
        "kind": row.kind,
        "purpose": row.purpose,
        "encoder": row.encoder,
        "size": row.size_text,
        "licence": row.licence,
        "runs": row.runs,
        "link": row.link,
        "sha256": row.sha256,
        "there": is_installed,
    }
