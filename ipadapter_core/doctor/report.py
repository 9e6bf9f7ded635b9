"""What is installed, what is wrong with it, and what is missing: files and what each holds become a
report.

Nothing is read here; `nodes/doctor/scan.py` looks at the files. Faults, notes and advice are
predicates ("is cut off ...") that want the file's name in front.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..adapter.checkpoint import AdapterSpec
from ..adapter.encoders import EncoderSpec
from ..messages import Message
from .model_table import BASES, ENCODER, PURPOSES, ModelFile, published, size_text

ADAPTER, EMBEDS, OTHER = "adapter", "embeds", "other"
FOLDERS = {ADAPTER: "ipadapter", ENCODER: "clip_vision"}
MODEL_ENDINGS = (".safetensors", ".sft", ".bin", ".pth", ".pt", ".ckpt")
# What browsers and download tools put behind a name: unfinished, or downloaded a second time.
_UNFINISHED = re.compile(
    r"(\.(crdownload|part|partial|download|incomplete|tmp|aria2|opdownload))+$", re.I
)
_ADDED = re.compile(r"(\.\d+|\.txt|\.html?|\.json|\.zip|\s+)$", re.I)


@dataclass(frozen=True)
class Embeds:
    """What an embeds file says of itself."""

    text: str


@dataclass(frozen=True)
class Found:
    """A file. `shown` is its path as it may be shown; `listed`: the host offers it under `name` in
    `folder`.
    """

    folder: str
    name: str
    shown: str
    size: int
    listed: bool
    what: AdapterSpec | EncoderSpec | Embeds | None = None
    fault: str = ""  # why it cannot be read
    note: str = ""  # what else it is


@dataclass(frozen=True)
class Entry:
    """A file with the verdict. Empty advice: nothing is to be done."""

    file: Found
    kind: str
    text: str
    advice: str
    row: ModelFile | None  # the published file it most likely is

    @property
    def usable(self) -> bool:
        return self.kind in FOLDERS and self.file.folder == FOLDERS[self.kind] and self.file.listed


@dataclass(frozen=True)
class Need:
    """One thing to do: with which base model, to follow what. `there`: (adapter, encoders) that do
    it.
    """

    base: str
    purpose: str
    there: tuple[tuple[str, tuple[str, ...]], ...]
    missing: tuple[ModelFile, ...]


@dataclass(frozen=True)
class Report:
    facts: tuple[str, ...]  # versions, for a bug report
    entries: tuple[Entry, ...]
    pairs: tuple[tuple[str, tuple[str, ...]], ...]  # usable adapter -> the usable encoders that fit
    needs: tuple[Need, ...]
    table: tuple[ModelFile, ...]

    def of(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == kind]

    @property
    def problems(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.advice]

    def need(self, base: str, purpose: str) -> Need:
        return next(need for need in self.needs if (need.base, need.purpose) == (base, purpose))


def examine(
    files: Iterable[Found], table: Sequence[ModelFile], facts: Sequence[str] = ()
) -> Report:
    """The report on these files."""
    rows = tuple(table)
    entries = sorted(
        (_entry(file, rows) for file in files), key=lambda entry: entry.file.shown.lower()
    )
    adapters, encoders = (_usable(entries, kind) for kind in (ADAPTER, ENCODER))
    pairs = {adapter.file.name: _encoders_of(adapter, encoders) for adapter in adapters}
    needs = tuple(
        _need((base, purpose), adapters, encoders, pairs, rows)
        for base in BASES
        for purpose in PURPOSES
    )
    return Report(tuple(facts), tuple(entries), tuple(pairs.items()), needs, rows)


def _usable(entries: Sequence[Entry], kind: str) -> list[Entry]:
    return [entry for entry in entries if entry.usable and entry.kind == kind]


def _encoders_of(adapter: Entry, encoders: Sequence[Entry]) -> tuple[str, ...]:
    """The names of the encoders that fit an adapter."""
    return tuple(encoder.file.name for encoder in encoders if _fits(encoder, adapter))


def _fits(encoder: Entry, adapter: Entry) -> bool:
    return (
        isinstance(encoder.file.what, EncoderSpec)
        and isinstance(adapter.file.what, AdapterSpec)
        and encoder.file.what.fits(adapter.file.what)
    )


def _entry(file: Found, table: tuple[ModelFile, ...]) -> Entry:
    what = file.what
    if isinstance(what, Embeds):
        return Entry(file, EMBEDS, what.text, _name_advice(file), None)
    if what is None:
        note = file.note or Message("holds nothing that this pack uses")
        if file.folder == FOLDERS[ENCODER]:
            note = Message("is no image encoder that an adapter of this pack needs")
        text = file.fault or note
        row = None if file.fault else _foreign(file, table)
        return Entry(file, OTHER, text, _fault_advice(file, table), row)
    kind = ADAPTER if isinstance(what, AdapterSpec) else ENCODER
    text = what.describe() if isinstance(what, AdapterSpec) else what.name
    row = published(table, finished_name(file.name), file.size, what)
    return Entry(file, kind, text, _place_advice(file, kind) or _name_advice(file), row)


def _foreign(file: Found, table: tuple[ModelFile, ...]) -> ModelFile | None:
    """The row of a file that this pack fetches and does not run, by name and size."""
    rows = (row for row in table if not row.runs and row.has_size(file.size))
    return next((row for row in rows if row.has_name(finished_name(file.name))), None)


def _fault_advice(file: Found, table: tuple[ModelFile, ...]) -> str:
    if not file.fault:
        return file.note if file.folder == FOLDERS[ADAPTER] else ""
    row = next((row for row in table if row.has_name(finished_name(file.name))), None)

    def whole(text: str) -> str:
        return Message("<1> ('<2>' has <3>)", text, row.name, row.size_text) if row else text

    if is_unfinished(file.name):
        ours = file.name.rsplit("/", 1)[-1].startswith(".")
        go_on = (
            Message("download it again, which goes on from there") if ours else Message("finish it")
        )
        size = whole(size_text(file.size))
        return Message("is an unfinished download of <1>: <2>, or delete it", size, go_on)
    return whole(file.fault)


def _place_advice(file: Found, kind: str) -> str:
    if file.folder == FOLDERS[kind]:
        return ""
    content = Message("an adapter") if kind == ADAPTER else Message("an image encoder")
    return Message("is <1> in the wrong folder: move it to models/<2>", content, FOLDERS[kind])


def _name_advice(file: Found) -> str:
    base = file.name.rsplit("/", 1)[-1]
    good = finished_name(base)
    if not file.listed and file.folder:
        return Message(
            "is whole, but ComfyUI does not list it under this name: rename it to '<1>'", good
        )
    if good != base:
        return Message(
            "has a stray space or copy mark in its name, so graphs of others do not find it: "
            "rename it to '<1>'",
            good,
        )
    return ""


def finished_name(name: str) -> str:
    """The name without what browsers add to it and without stray spaces."""
    folders, slash, base = name.replace("\\", "/").rpartition("/")
    if is_unfinished(base):
        base = _UNFINISHED.sub("", base).lstrip(".")
    while _ADDED.search(base) and any(end in base.lower()[:-1] for end in MODEL_ENDINGS):
        base = _ADDED.sub("", base)
    stem, dot, ending = base.rpartition(".")
    if dot and f".{ending.strip().lower()}" in MODEL_ENDINGS:
        stem = re.sub(r"\s*\(\d+\)\s*$", "", stem)
        base = f"{stem.strip()}.{ending.strip()}"
    return folders + slash + re.sub(r"\s{2,}", " ", base).strip()


def is_unfinished(name: str) -> bool:
    return bool(_UNFINISHED.search(name))


def is_near_miss(name: str) -> bool:
    """Whether a file that the host does not list is worth a look: its name was a model file's
    once.
    """
    return finished_name(name).lower().endswith(MODEL_ENDINGS)


def _need(
    goal: tuple[str, str],
    adapters: list[Entry],
    encoders: list[Entry],
    pairs: dict[str, tuple[str, ...]],
    table: tuple[ModelFile, ...],
) -> Need:
    base, purpose = goal
    able_adapters = [adapter for adapter in adapters if _follows(adapter, base, purpose)]
    names = [adapter.file.name for adapter in able_adapters]
    ready = tuple((name, pairs[name]) for name in names if pairs[name])
    if ready:
        return Need(base, purpose, ready, ())
    if able_adapters:
        return Need(
            base, purpose, (), _missing_encoders(_encoder(able_adapters[0]), encoders, table)
        )
    first = next(row for row in table if (row.base, row.purpose, row.first) == (*goal, True))
    missing = _missing_encoders(first.encoder, encoders, table)
    return Need(base, purpose, (), (first, *missing))


def _follows(adapter: Entry, base: str, purpose: str) -> bool:
    return _base(adapter) == base and purpose in _purposes(adapter)


def _missing_encoders(
    name: str, encoders: Sequence[Entry], table: Sequence[ModelFile]
) -> tuple[ModelFile, ...]:
    """The published files of an encoder, or none where one of its kind is installed."""
    if any(encoder.text == name for encoder in encoders):
        return ()
    return tuple(row for row in table if (row.kind, row.encoder) == (ENCODER, name))


def _base(entry: Entry) -> str:
    return entry.file.what.base_model if isinstance(entry.file.what, AdapterSpec) else ""


def _encoder(entry: Entry) -> str:
    return entry.file.what.encoder if isinstance(entry.file.what, AdapterSpec) else ""


def _purposes(entry: Entry) -> tuple[str, ...]:
    """What an adapter is for; plus adapters have one shape, so only a published name tells them
    apart.
    """
    if entry.row is not None:
        return (entry.row.purpose,)
    if isinstance(entry.file.what, AdapterSpec) and entry.file.what.family.purpose:
        return (entry.file.what.family.purpose,)
    return ("look",)
