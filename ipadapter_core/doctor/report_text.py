"""A report as text for people and bug reports, and as plain data for the browser."""

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
    pairs = dict(report.pairs)
    lines = ["IPAdapter Doctor", *report.facts]
    for kind, title in TITLES.items():
        entries = [one for one in report.of(kind) if one.kind == EMBEDS or one.usable]
        lines += ["", title + ("" if entries else ": none")]
        for one in entries:
            lines.append("  " + entry_line(one))
            if kind == ADAPTER:
                fits = ", ".join(pairs[one.file.name])
                lines.append(f"      works with {fits}" if fits else "      no encoder here fits")
    others = [one for one in report.of(OTHER) if not one.advice]
    if others:
        lines += ["", "Other files", *(f"  {entry_line(one)}" for one in others)]
    problems = [f"  {one.file.shown} {one.advice}." for one in report.problems]
    lines += ["", "Problems" + ("" if problems else ": none"), *problems]
    for need in report.needs if needs is None else needs:
        lines += ["", *_need_lines(need)]
    return "\n".join(lines)


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
    known = f"; as published: {entry.row.name}" if entry.row else ""
    return f"{entry.file.shown}: {entry.text} ({size_text(entry.file.size)}{known})"


def as_data(report: Report) -> dict[str, Any]:
    """What the panel shows; everything is a string, number, list or dictionary."""
    pairs = dict(report.pairs)
    return {
        "facts": list(report.facts),
        "text": as_text(report),
        "files": [
            {
                "kind": one.kind,
                "path": one.file.shown,
                "name": one.file.name,
                "folder": one.file.folder,
                "text": one.text,
                "size": size_text(one.file.size),
                "advice": one.advice,
                "usable": one.usable,
                "published": one.row.name if one.row else "",
                "works_with": list(pairs.get(one.file.name, ())) if one.kind == ADAPTER else [],
            }
            for one in report.entries
        ],
        "needs": [
            {
                "base": one.base,
                "purpose": one.purpose,
                "there": [{"adapter": name, "encoders": list(fits)} for name, fits in one.there],
                "missing": [row.name for row in one.missing],
            }
            for one in report.needs
        ],
        "table": [
            row_data(row, any(e.row is row and (e.usable or not row.runs) for e in report.entries))
            for row in report.table
        ],
    }


def row_data(row: ModelFile, there: bool) -> dict[str, Any]:
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
        "there": there,
    }
