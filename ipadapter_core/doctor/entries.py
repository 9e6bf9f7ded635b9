"""Files in the host's folders, and the verdict on each."""

from dataclasses import dataclass

from ..adapter.checkpoint import AdapterSpec
from ..adapter.encoders import EncoderSpec
from ..faces.identity.recognisers import RecogniserSpec
from .model_table import ENCODER, RECOGNISER, ModelFile

ADAPTER, EMBEDS_FILE, OTHER = "adapter", "embeds", "other"
FOLDERS = {ADAPTER: "ipadapter", ENCODER: "clip_vision"}


@dataclass(frozen=True)
class Embeds:
    """The description that an embeds file holds."""

    text: str


@dataclass(frozen=True)
class InstalledFile:
    """A file in the host's folders.

    display_path: its path as it may be shown; is_listed: the host offers it under `name` in
    `folder`.
    """

    folder: str
    name: str
    display_path: str
    size: int
    is_listed: bool
    content: AdapterSpec | EncoderSpec | RecogniserSpec | Embeds | None = None
    fault: str = ""  # why it cannot be read
    note: str = ""  # what else it is


@dataclass(frozen=True)
class Entry:
    """A file with the verdict. Empty advice: nothing is to be done."""

    file: InstalledFile
    kind: str
    text: str
    advice: str
    published_file: ModelFile | None  # the published file it most likely is

    @property
    def usable(self) -> bool:
        if self.kind == RECOGNISER:  # found in every folder where one is looked for
            return True
        return (
            self.kind in FOLDERS and self.file.folder == FOLDERS[self.kind] and self.file.is_listed
        )
