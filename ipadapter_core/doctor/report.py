"""The report on installed files, their faults, and missing files.

Nothing is read here; `nodes/doctor/scan.py` looks at the files. Faults, notes and advice are
predicates ("is cut off ...") that want the file's name in front.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..adapter.checkpoint import AdapterSpec
from ..adapter.encoders import EncoderSpec
from ..adapter.families import FACE_PURPOSE, IDENTITY_PURPOSE, LOOK_PURPOSE
from ..faces.identity.recognisers import RecogniserSpec
from ..messages import Message
from .entries import ADAPTER, EMBEDS_FILE, FOLDERS, OTHER, Embeds, Entry, InstalledFile
from .face_pairs import face_pairs_of, mark_missing_recogniser
from .file_names import finished_name, is_unfinished
from .model_table import (
    BASES,
    ENCODER,
    PURPOSES,
    RECOGNISER,
    ModelFile,
    published,
    purpose_of,
    size_text,
)
from .recommendation import Installed, Recommendation, published_encoder, recommend


@dataclass(frozen=True)
class Need:
    """One thing to do: with which base model, to follow what.

    working_pairs: installed (adapter, one of each kind of file that it needs) that do it, the
    adapter to start with first.
    recommended: that adapter, where it is installed and others do it too.
    """

    base: str
    purpose: str
    working_pairs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    missing: tuple[ModelFile, ...] = ()
    recommended: str = ""


@dataclass(frozen=True)
class Report:
    facts: tuple[str, ...]  # versions, for a bug report
    entries: tuple[Entry, ...]
    pairs: tuple[tuple[str, tuple[str, ...]], ...]  # usable adapter -> the usable encoders that fit
    # usable adapter of face identities -> the recognisers that fit
    face_pairs: tuple[tuple[str, tuple[str, ...]], ...]
    needs: tuple[Need, ...]
    table: tuple[ModelFile, ...]
    recommendation: Recommendation | None = None  # where no installed adapter works

    def of(self, file_kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == file_kind]

    @property
    def problems(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.advice]

    def need(self, base_model: str, purpose: str) -> Need:
        return next(
            need for need in self.needs if (need.base, need.purpose) == (base_model, purpose)
        )


def examine(
    installed_files: Iterable[InstalledFile],
    model_table: Sequence[ModelFile],
    facts: Sequence[str] = (),
) -> Report:
    """The report on these files."""
    published_files = tuple(model_table)
    entries = sorted(
        (_entry(installed_file, published_files) for installed_file in installed_files),
        key=lambda entry: entry.file.display_path.lower(),
    )
    adapters, encoders = (_usable(entries, kind) for kind in (ADAPTER, ENCODER))
    pairs = {adapter.file.name: _encoders_of(adapter, encoders) for adapter in adapters}
    face_pairs = face_pairs_of(adapters, _usable(entries, RECOGNISER))
    installed = Installed(
        adapters=adapters, encoders=encoders, encoder_pairs=pairs, face_pairs=face_pairs
    )
    goals = [(base, purpose) for base in BASES for purpose in PURPOSES]
    marked_entries = (
        mark_missing_recogniser(entry, face_pairs, entries, published_files) for entry in entries
    )
    return Report(
        tuple(facts),
        tuple(marked_entries),
        pairs=tuple(pairs.items()),
        face_pairs=tuple(face_pairs.items()),
        needs=tuple(_need(goal, installed, published_files) for goal in goals),
        table=published_files,
        recommendation=recommend(installed, published_files),
    )


def _usable(entries: Sequence[Entry], file_kind: str) -> list[Entry]:
    return [entry for entry in entries if entry.usable and entry.kind == file_kind]


def _encoders_of(adapter_entry: Entry, encoders: Sequence[Entry]) -> tuple[str, ...]:
    """The names of the encoders that fit an adapter."""
    return tuple(encoder.file.name for encoder in encoders if _fits(encoder, adapter_entry))


def _fits(encoder_entry: Entry, adapter_entry: Entry) -> bool:
    return (
        isinstance(encoder_entry.file.content, EncoderSpec)
        and isinstance(adapter_entry.file.content, AdapterSpec)
        and encoder_entry.file.content.fits(adapter_entry.file.content)
    )


def _entry(installed_file: InstalledFile, model_table: tuple[ModelFile, ...]) -> Entry:
    content = installed_file.content
    if isinstance(content, Embeds):
        return Entry(
            file=installed_file,
            kind=EMBEDS_FILE,
            text=content.text,
            advice=_name_advice(installed_file),
            published_file=None,
        )
    if content is None:
        note = installed_file.note or Message("holds nothing that this pack uses")
        if installed_file.folder == FOLDERS[ENCODER]:
            note = Message("is not an image encoder that an adapter of this pack needs")
        text = installed_file.fault or note
        published_file = None if installed_file.fault else _foreign(installed_file, model_table)
        advice = _fault_advice(installed_file, model_table)
        return Entry(
            file=installed_file, kind=OTHER, text=text, advice=advice, published_file=published_file
        )
    kind, text = _kind_and_text(content)
    plain_name = finished_name(installed_file.name)
    published_file = published(model_table, plain_name, installed_file.size, content)
    advice = _place_advice(installed_file, kind) or _name_advice(installed_file)
    return Entry(
        file=installed_file, kind=kind, text=text, advice=advice, published_file=published_file
    )


def _kind_and_text(content: AdapterSpec | EncoderSpec | RecogniserSpec) -> tuple[str, str]:
    match content:
        case AdapterSpec():
            return ADAPTER, content.describe()
        case EncoderSpec():
            return ENCODER, content.name
        case RecogniserSpec():
            return RECOGNISER, content.describe()


def _foreign(installed_file: InstalledFile, model_table: tuple[ModelFile, ...]) -> ModelFile | None:
    """The published file that a file of unknown content is, by its name and size."""
    foreign_files = (
        file
        for file in model_table
        if not file.is_recognised and file.has_size(installed_file.size)
    )
    plain_name = finished_name(installed_file.name)
    return next((file for file in foreign_files if file.has_name(plain_name)), None)


def _fault_advice(installed_file: InstalledFile, model_table: tuple[ModelFile, ...]) -> str:
    if not installed_file.fault:
        return installed_file.note if installed_file.folder == FOLDERS[ADAPTER] else ""
    plain_name = finished_name(installed_file.name)
    published_file = next((file for file in model_table if file.has_name(plain_name)), None)

    def add_published_size(text: str) -> str:
        if published_file is None:
            return text
        return Message("<1> ('<2>' has <3>)", text, published_file.name, published_file.size_text)

    if is_unfinished(installed_file.name):
        is_own_download = installed_file.name.rsplit("/", 1)[-1].startswith(".")
        next_step = Message("finish the download")
        if is_own_download:
            next_step = Message("download it again, which continues where it stopped")
        size_so_far = add_published_size(size_text(installed_file.size))
        return Message(
            "is an unfinished download of <1>: <2>, or delete it", size_so_far, next_step
        )
    return add_published_size(installed_file.fault)


def _place_advice(installed_file: InstalledFile, kind: str) -> str:
    if kind == RECOGNISER or installed_file.folder == FOLDERS[kind]:
        return ""
    content = Message("an adapter") if kind == ADAPTER else Message("an image encoder")
    return Message("is <1> in the wrong folder: move it to models/<2>", content, FOLDERS[kind])


def _name_advice(installed_file: InstalledFile) -> str:
    base_name = installed_file.name.rsplit("/", 1)[-1]
    proper_name = finished_name(base_name)
    if not installed_file.is_listed and installed_file.folder:
        return Message(
            "is complete, but ComfyUI does not list it under this name: rename it to '<1>'",
            proper_name,
        )
    if proper_name != base_name:
        return Message(
            "has a stray space or copy mark in its name, so other people's graphs do not find it: "
            "rename it to '<1>'",
            proper_name,
        )
    return ""


def _need(goal: tuple[str, str], installed: Installed, model_table: tuple[ModelFile, ...]) -> Need:
    base, purpose = goal
    adapters = [adapter for adapter in installed.adapters if _follows(adapter, base, purpose)]
    adapters.sort(key=lambda adapter: not _is_first(adapter))
    working = [adapter for adapter in adapters if installed.works(adapter)]
    if working:
        pairs = tuple((adapter.file.name, installed.partners(adapter)) for adapter in working)
        return Need(base, purpose, working_pairs=pairs, recommended=_recommended(working))
    if adapters:
        return Need(base, purpose, missing=tuple(installed.missing(adapters[0], model_table)))
    first_adapter = _first_of_table(model_table, base, purpose)
    missing_encoders = _missing_encoders(first_adapter.encoder, installed.encoders, model_table)
    return Need(base, purpose, missing=(first_adapter, *missing_encoders))


def _first_of_table(model_table: tuple[ModelFile, ...], base_model: str, purpose: str) -> ModelFile:
    """The published adapter to start with."""
    first_files = (file for file in model_table if file.first)
    return next(file for file in first_files if (file.base, file.purpose) == (base_model, purpose))


def _recommended(working: Sequence[Entry]) -> str:
    """The first of several adapters, if it is the one to start with."""
    is_choice = len(working) > 1 and _is_first(working[0])
    return working[0].file.name if is_choice else ""


def _is_first(adapter: Entry) -> bool:
    """Whether it is the published adapter to start with."""
    return adapter.published_file is not None and adapter.published_file.first


def _follows(adapter: Entry, base_model: str, purpose: str) -> bool:
    """Whether an adapter does that; one of identities follows a face."""
    own_purpose = FACE_PURPOSE if _purpose(adapter) == IDENTITY_PURPOSE else _purpose(adapter)
    return _base(adapter) == base_model and purpose == own_purpose


def _missing_encoders(
    encoder_name: str, encoders: Sequence[Entry], model_table: Sequence[ModelFile]
) -> tuple[ModelFile, ...]:
    """The published file of an encoder, or none where one of its kind is installed."""
    if any(encoder.text == encoder_name for encoder in encoders):
        return ()
    published_file = published_encoder(encoder_name, model_table)
    return () if published_file is None else (published_file,)


def _base(entry: Entry) -> str:
    return entry.file.content.base_model if isinstance(entry.file.content, AdapterSpec) else ""


def _purpose(entry: Entry) -> str:
    content = entry.file.content
    return (
        purpose_of(content, entry.published_file)
        if isinstance(content, AdapterSpec)
        else LOOK_PURPOSE
    )
