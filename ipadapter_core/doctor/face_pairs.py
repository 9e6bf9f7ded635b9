"""Adapters of face identities and the recognisers that they need."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..adapter.checkpoint import AdapterSpec
from ..faces.identity.recognisers import RecogniserSpec
from ..messages import Message
from .entries import ADAPTER, Entry


def face_pairs_of(
    adapters: Sequence[Entry], recognisers: Sequence[Entry]
) -> dict[str, tuple[str, ...]]:
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


def mark_missing_recogniser(entry: Entry, face_pairs: Mapping[str, tuple[str, ...]]) -> Entry:
    """The entry of an adapter, with the advice to get the recogniser that it lacks."""
    is_lacking = entry.usable and face_pairs.get(entry.file.name) == ()
    if not is_lacking or entry.kind != ADAPTER or entry.advice:
        return entry
    advice = Message(
        "needs the face recogniser <1>, which is not in models/insightface", identity_space(entry)
    )
    return replace(entry, advice=advice)


def identity_space(entry: Entry) -> str:
    """The recogniser that an adapter of face identities was trained with."""
    content = entry.file.content
    identity = content.identity_input if isinstance(content, AdapterSpec) else None
    return identity.encoder if identity else ""
