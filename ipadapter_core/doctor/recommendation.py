"""The first download to recommend where no installed adapter works yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from ..adapter.checkpoint import AdapterSpec
from ..adapter.families import LOOK_PURPOSE
from ..messages import Message
from .entries import Entry
from .face_pairs import Pairs, identity_space, published_recogniser
from .model_table import BASES, ENCODER, ModelFile


@dataclass(frozen=True)
class Recommendation:
    """The files to download first; `text` says what for, and where to put them."""

    text: Message
    published_files: tuple[ModelFile, ...]


@dataclass(frozen=True)
class Installed:
    """The usable files, and what fits what."""

    adapters: Sequence[Entry]
    encoders: Sequence[Entry]
    encoder_pairs: Pairs
    face_pairs: Pairs

    def works(self, adapter: Entry) -> bool:
        return not self._lacks_encoder(adapter) and not self._lacks_recogniser(adapter)

    def partners(self, adapter: Entry) -> tuple[str, ...]:
        """The first encoder and recogniser that fit, as far as a working adapter needs them."""
        pairs = self.encoder_pairs, self.face_pairs
        fitting_names = (each.get(adapter.file.name) for each in pairs)
        return tuple(names[0] for names in fitting_names if names)

    def missing(self, adapter: Entry, table: Sequence[ModelFile]) -> list[ModelFile]:
        """The published files that an adapter lacks; none if one of them is not published."""
        content = adapter.file.content
        published_files: list[ModelFile | None] = []
        if self._lacks_encoder(adapter) and isinstance(content, AdapterSpec):
            published_files.append(published_encoder(content.encoder, table))
        if self._lacks_recogniser(adapter):
            published_files.append(published_recogniser(identity_space(adapter), table))
        known_files = [file for file in published_files if file is not None]
        return known_files if len(known_files) == len(published_files) else []

    def _lacks_encoder(self, adapter: Entry) -> bool:
        content = adapter.file.content
        takes_features = isinstance(content, AdapterSpec) and content.clip_input is not None
        return takes_features and not self.encoder_pairs.get(adapter.file.name)

    def _lacks_recogniser(self, adapter: Entry) -> bool:
        return self.face_pairs.get(adapter.file.name) == ()


def recommend(installed: Installed, table: Sequence[ModelFile]) -> Recommendation | None:
    """None where an installed adapter works."""
    if any(map(installed.works, installed.adapters)):
        return None
    for adapter in installed.adapters:
        if published_files := installed.missing(adapter, table):
            text = Message(
                "Download first, for '<1>': <2>.", adapter.file.name, _places(published_files)
            )
            return Recommendation(text, tuple(published_files))
    return _first_files(installed.encoders, table)


def published_encoder(encoder_name: str, table: Sequence[ModelFile]) -> ModelFile | None:
    published_files = (
        file for file in table if (file.kind, file.encoder) == (ENCODER, encoder_name)
    )
    return next(published_files, None)


def _first_files(encoders: Sequence[Entry], table: Sequence[ModelFile]) -> Recommendation:
    """An adapter to begin with, for each base model, and its encoder where it is not installed."""
    installed_encoders = {entry.text for entry in encoders}
    adapters = [file for file in table if file.purpose == LOOK_PURPOSE and file.base in BASES]
    fitting = [file for file in adapters if file.encoder in installed_encoders]
    first, *others = _one_for_each_base(fitting or adapters)
    encoder = None if fitting else published_encoder(first.encoder, table)
    first_files = (first, encoder) if encoder else (first,)
    return Recommendation(_first_text(first_files, others), first_files)


def _first_text(first_files: Sequence[ModelFile], others: Sequence[ModelFile]) -> Message:
    """first_files: of the first base model; others: the adapters to take for other base models."""
    text = Message("Download first, for <1>: <2>.", first_files[0].base, _places(first_files))
    for file in others:
        place = _place(file)
        first_name = first_files[0].name
        text = Message("<1> For <2>, use <3> instead of <4>.", text, file.base, place, first_name)
    return text


def _one_for_each_base(adapters: Sequence[ModelFile]) -> list[ModelFile]:
    """The adapters to start with, else any, in the order of the base models."""
    by_choice = sorted(adapters, key=lambda file: not file.first)  # which keeps the table's order
    choices = (next((file for file in by_choice if file.base == base), None) for base in BASES)
    return [file for file in choices if file is not None]


def _places(files: Sequence[ModelFile]) -> Message:
    return reduce(lambda text, place: Message("<1> and <2>", text, place), map(_place, files))


def _place(file: ModelFile) -> Message:
    return Message("<1> (<2>, into models/<3>)", file.name, file.size_text, file.folder)
