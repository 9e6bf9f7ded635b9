"""A report as text for people and bug reports, and as plain data for the browser."""

from typing import Any

from ..adapter.checkpoint import AdapterSpec
from ..adapter.families import COMPOSITION_PURPOSE, FACE_PURPOSE, LOOK_PURPOSE
from .model_table import RECOGNISER, ModelFile, size_text
from .report import ADAPTER, EMBEDS_FILE, ENCODER, OTHER, Entry, Need, Report

TITLES = {
    ADAPTER: "Adapters",
    ENCODER: "Image encoders",
    RECOGNISER: "Face recognisers",
    EMBEDS_FILE: "Embeds files",
}
MISSING = {ENCODER: "no installed encoder fits", RECOGNISER: "no installed face recogniser fits"}
GOALS = {
    LOOK_PURPOSE: "the look of an image",
    FACE_PURPOSE: "a face",
    COMPOSITION_PURPOSE: "the composition of an image",
}


def as_text(report: Report, chosen_needs: tuple[Need, ...] | None = None) -> str:
    """The whole report; chosen_needs: those to speak of, or all."""
    report_lines = ["IPAdapter Doctor", *report.facts, *_start_lines(report)]
    for kind in TITLES:
        report_lines += ["", *_kind_lines(report, kind)]
    other_files = [entry for entry in report.of(OTHER) if not entry.advice]
    if other_files:
        report_lines += ["", "Other files", *(f"  {entry_line(entry)}" for entry in other_files)]
    problem_lines = [f"  {entry.file.display_path} {entry.advice}." for entry in report.problems]
    report_lines += ["", "Problems" + ("" if problem_lines else ": none"), *problem_lines]
    for need in report.needs if chosen_needs is None else chosen_needs:
        report_lines += ["", *_need_lines(need)]
    return "\n".join(report_lines)


def _start_lines(report: Report) -> list[str]:
    return ["", report.recommendation.text] if report.recommendation else []


def _kind_lines(report: Report, kind: str) -> list[str]:
    """A title, and the files of a kind; below each adapter the encoders that fit."""
    shown_entries = [entry for entry in report.of(kind) if kind == EMBEDS_FILE or entry.usable]
    kind_lines = [TITLES[kind] + ("" if shown_entries else ": none")]
    for entry in shown_entries:
        kind_lines.append("  " + entry_line(entry))
        if kind == ADAPTER:
            partners, missing = partners_of(report, entry)
            pair_line = MISSING.get(missing, f"works with {', '.join(partners)}")
            kind_lines.append(f"      {pair_line}")
    return kind_lines


def partners_of(report: Report, adapter: Entry) -> tuple[list[str], str]:
    """The encoders and recognisers that fit an adapter, or the kind of which none is there."""
    encoders = dict(report.pairs).get(adapter.file.name, ())
    recognisers = dict(report.face_pairs).get(adapter.file.name)
    content = adapter.file.content
    if isinstance(content, AdapterSpec) and content.clip_input is not None and not encoders:
        return [], ENCODER
    if recognisers == ():
        return [], RECOGNISER
    return [*encoders, *(recognisers or ())], ""


def _need_lines(need: Need) -> list[str]:
    title = f"For {need.base}, to follow {GOALS[need.purpose]}"
    if need.working_pairs:
        marks = {need.recommended: " (recommended)"}
        pair_lines = [
            f"  {adapter} with {' and '.join(partners)}{marks.get(adapter, '')}"
            for adapter, partners in need.working_pairs
        ]
        return [f"{title}: ready", *pair_lines]
    return [
        f"{title}: missing",
        *(line for file in need.missing for line in published_lines(file)),
    ]


def published_lines(file: ModelFile) -> list[str]:
    kind_notes = " ".join(filter(None, (file.base, file.kind)))
    kind_notes += "" if file.runs else ", for other packs, not supported by this one"
    checksum = [f"      SHA-256 {file.sha256}"] if file.sha256 else []
    return [
        f"  {file.name} ({kind_notes}, {file.size_text}, {file.licence}) into models/{file.folder}",
        f"      {file.link}",
        *([f"      {file.origin}"] if file.origin else []),
        *checksum,
    ]


def entry_line(entry: Entry) -> str:
    """A file and what it is, in one line."""
    published_note = f"; as published: {entry.published_file.name}" if entry.published_file else ""
    return f"{entry.file.display_path}: {entry.text} ({size_text(entry.file.size)}{published_note})"


def as_data(report: Report) -> dict[str, Any]:
    """The report for the panel, of strings, numbers, lists and dictionaries."""
    published_in_place = [entry.published_file for entry in report.entries if _is_in_place(entry)]
    recommendation = report.recommendation
    return {
        "facts": list(report.facts),
        "text": as_text(report),
        "start": recommendation
        and {
            "text": recommendation.text,
            "files": [file.name for file in recommendation.published_files],
        },
        "files": [_file_data(entry, report) for entry in report.entries],
        "needs": [_need_data(need) for need in report.needs],
        "table": [published_data(file, file in published_in_place) for file in report.table],
    }


def _is_in_place(entry: Entry) -> bool:
    """Whether an entry is a published file where it belongs, as far as this pack knows that."""
    return entry.published_file is not None and (
        entry.usable or not entry.published_file.is_recognised
    )


def _file_data(entry: Entry, report: Report) -> dict[str, Any]:
    is_usable_adapter = entry.kind == ADAPTER and entry.usable
    partners, missing = partners_of(report, entry) if is_usable_adapter else ([], "")
    return {
        "kind": entry.kind,
        "path": entry.file.display_path,
        "name": entry.file.name,
        "folder": entry.file.folder,
        "text": entry.text,
        "size": size_text(entry.file.size),
        "advice": entry.advice,
        "usable": entry.usable,
        "published": entry.published_file.name if entry.published_file else "",
        "works_with": partners,
        "missing": missing,
    }


def _need_data(need: Need) -> dict[str, Any]:
    return {
        "base": need.base,
        "purpose": need.purpose,
        "there": [
            {
                "adapter": adapter_name,
                "partners": list(partners),
                "recommended": adapter_name == need.recommended,
            }
            for adapter_name, partners in need.working_pairs
        ],
        "missing": [file.name for file in need.missing],
    }


def published_data(file: ModelFile, is_installed: bool) -> dict[str, Any]:
    return {
        "name": file.name,
        "folder": file.folder,
        "base": file.base,
        "kind": file.kind,
        "purpose": file.purpose,
        "encoder": file.encoder,
        "size": file.size_text,
        "licence": file.licence,
        "terms": file.terms,
        "runs": file.runs,
        "link": file.link,
        "origin": file.origin,
        "sha256": file.sha256,
        "there": is_installed,
    }
