"""The published model files: address, size, hash and purpose of each.

The data is `model_table.json`. A file counts as a published one by its size and what it holds, and,
where several have both in common, by its name; nothing is read whole for that.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..adapter.checkpoint import AdapterSpec
from ..adapter.encoders import EncoderSpec
from ..adapter.families import (
    COMPOSITION_PURPOSE,
    FACE_PURPOSE,
    LOOK_PURPOSE,
    SD15,
    SDXL,
    Family,
    family_named,
)
from ..faces.identity.recognisers import RecogniserSpec
from ..messages import Message

ENCODER, FACEID_LORA, RECOGNISER = "encoder", "FaceID LoRA", "recogniser"
INSTANTID_CONTROLNET = "InstantID ControlNet"  # the host loads it, a node of ours guides it
TERMS = {  # by licence: what to agree to before a download
    "non-commercial research": Message(
        "FaceID adapters and InsightFace's face recogniser are for non-commercial research only."
    ),
    "FLUX.1 [dev] non-commercial": Message(
        "This adapter for FLUX.1 is under the FLUX.1 [dev] Non-Commercial License."
    ),
}
ROUNDING = 0.01  # how far a size that is known rounded may be off
PURPOSES = (LOOK_PURPOSE, FACE_PURPOSE, COMPOSITION_PURPOSE)
BASES = (SD15, SDXL)


@dataclass(frozen=True)
class ModelFile:
    """One row of the table. `first`: the one to start with for its purpose.

    first_published: where its makers have it, if the repository is not theirs.
    sha256: empty where none was published; a download is then checked by what the server says.
    """

    name: str
    folder: str
    repository: str
    path: str
    revision: str
    size: int
    size_is_exact: bool
    sha256: str
    licence: str
    base: str
    kind: str
    encoder: str
    purpose: str
    first: bool
    also: tuple[str, ...] = ()  # other names under which people have it
    first_published: str = ""
    space: str = ""  # of a recogniser's embeddings

    @property
    def link(self) -> str:
        return f"https://huggingface.co/{self.repository}/resolve/main/{self.path}"

    @property
    def origin(self) -> str:
        """Whose copy it is; "" for a file of its makers' own repository."""
        if not self.first_published:
            return ""
        owner = self.repository.split("/")[0]
        return Message("a copy by <1>; first published: <2>", owner, self.first_published)

    @property
    def runs(self) -> bool:
        """Whether this pack runs it; the others it fetches for other packs."""
        return self.is_recognised or self.kind in (FACEID_LORA, INSTANTID_CONTROLNET)

    @property
    def is_recognised(self) -> bool:
        """Whether its content identifies it; other files are known by name and size alone."""
        return self.kind in (ENCODER, RECOGNISER) or self.family is not None

    @property
    def family(self) -> Family | None:
        return family_named(self.kind, self.base)

    @property
    def terms(self) -> str:
        """The terms to agree to before the download; "" for files that are free to use."""
        return TERMS.get(self.licence, "")

    @property
    def size_text(self) -> str:
        return size_text(self.size)

    def has_size(self, file_size: int) -> bool:
        size_difference = abs(file_size - self.size)
        tolerance = 0 if self.size_is_exact else ROUNDING * self.size
        return size_difference <= tolerance

    def has_name(self, file_name: str) -> bool:
        published_names = (self.name, self.path.rsplit("/", 1)[-1], *self.also)
        return _plain(file_name) in map(_plain, published_names)

    def holds(self, content: object) -> bool:
        """Whether a file with that content can be this one."""
        if isinstance(content, AdapterSpec):
            adapter_facts = (content.base_model, content.encoder)
            is_of_kind = self.family in content.family.twins
            return is_of_kind and adapter_facts == (self.base, self.encoder)
        if isinstance(content, RecogniserSpec):
            return (self.kind, self.space) == (RECOGNISER, content.space)
        is_encoder = isinstance(content, EncoderSpec)
        return is_encoder and (self.kind, self.encoder) == (ENCODER, content.name)


def load() -> tuple[ModelFile, ...]:
    """The table that comes with the pack."""
    table_text = Path(__file__).with_name("model_table.json").read_text(encoding="utf-8")
    records: list[dict[str, Any]] = json.loads(table_text)
    return tuple(ModelFile(also=tuple(record.pop("also")), **record) for record in records)


def published(
    model_table: tuple[ModelFile, ...],
    file_name: str,
    file_size: int,
    content: AdapterSpec | EncoderSpec | RecogniserSpec | None,
) -> ModelFile | None:
    """The published file that a file most likely is, or None: same content and size, and a known
    name.
    """
    matching_files = [
        file
        for file in model_table
        if file.holds(content) and file.has_size(file_size) and file.has_name(file_name)
    ]
    return matching_files[0] if len(matching_files) == 1 else None


def purpose_of(adapter: AdapterSpec, published_file: ModelFile | None) -> str:
    """The purpose of an adapter; plus adapters have one shape, so only a published name tells them
    apart.
    """
    if published_file is not None:
        return published_file.purpose
    return adapter.family.purpose or LOOK_PURPOSE


def size_text(byte_count: int) -> str:
    if byte_count < 1e5:
        return Message("<1> bytes", byte_count)
    return f"{byte_count / 1e9:.2f} GB" if byte_count >= 1e9 else f"{byte_count / 1e6:.1f} MB"


def _plain(file_name: str) -> str:
    """A name without its folders, case and separators: `-`, `_`, `.` and spaces are often
    exchanged.
    """
    return re.sub(r"[-_. ]+", ".", file_name.replace("\\", "/").rsplit("/", 1)[-1].strip().lower())
