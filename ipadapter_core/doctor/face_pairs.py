"""Adapters of face identities and the recognisers that they need."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..adapter.checkpoint import AdapterSpec
from ..faces.identity.recognisers import RecogniserSpec
from ..messages import Message, joined
from .entries import ADAPTER, Entry
from .model_table import RECOGNISER, ModelFile

Pairs = Mapping[str, tuple[str, ...]]  # adapter -> what fits it
RECOGNISER_FOLDER = "insightface"


def face_pairs_of(adapters: Sequence[Entry], recognisers: Sequence[Entry]) -> Pairs:
    """Adapters of face identities and the recognisers that fit."""
    pairs: dict[str, tuple[str, ...]] = {}
    for adapter in adapters:
        if space := identity_space(adapter):
            pairs[adapter.file.name] = tuple(
                recogniser.file.name
                for recogniser in recognisers
                if isinstance(recogniser.file.content, RecogniserSpec)
                and recogniser.file.content.fits(space)
            )
    return pairs


def published_recogniser(space: str, model_table: Sequence[ModelFile]) -> ModelFile | None:
    """The published recogniser of a space."""
    published_files = (
        file for file in model_table if (file.kind, file.space) == (RECOGNISER, space)
    )
    return next(published_files, None)


def mark_missing_recogniser(
    entry: Entry,
    face_pairs: Pairs,
    entries: Sequence[Entry],
    model_table: Sequence[ModelFile],
) -> Entry:
    """The entry of an adapter, with the advice to get the recogniser that it lacks."""
    is_lacking = entry.usable and face_pairs.get(entry.file.name) == ()
    published_file = published_recogniser(identity_space(entry), model_table)
    if not is_lacking or published_file is None or entry.kind != ADAPTER or entry.advice:
        return entry
    advice = Message(
        "needs the face recogniser <1>, but <2>: download '<3>' (<4>, licence: <5>) into "
        "models/<6>",
        identity_space(entry),
        joined(", ", _other_recognisers(entries)) or Message("none is installed"),
        published_file.name,
        published_file.size_text,
        published_file.licence,
        published_file.folder,
    )
    return replace(entry, advice=advice)


def _other_recognisers(entries: Sequence[Entry]) -> list[Message]:
    """The installed files in place of a recogniser that fits."""
    others = [
        Message("'<1>' is <2>", entry.file.name, entry.text)
        for entry in entries
        if entry.kind == RECOGNISER
    ]
    unusable_names = [
        entry.file.name
        for entry in entries
        if entry.file.fault and entry.file.folder == RECOGNISER_FOLDER
    ]
    return others + [Message("'<1>' cannot be used (delete it)", name) for name in unusable_names]


def identity_space(entry: Entry) -> str:
    """The recogniser that an adapter of face identities was trained with."""
    content = entry.file.content
    identity = content.identity_input if isinstance(content, AdapterSpec) else None
    return identity.encoder if identity else ""
