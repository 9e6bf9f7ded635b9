"""One file of the model table -> the host's folder: through huggingface_hub, resumed, checked, put
in place at once.

What is not finished lies as '.NAME.part' beside its place, where the host does not list it and the
last step is one rename. Every ValueError is a sentence for the user.
"""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import folder_paths

from ...ipadapter_core.doctor.model_table import ModelFile, size_text
from ...ipadapter_core.messages import Message
from ..files.installed import display
from . import hub

BLOCK_BYTES = 4 << 20
SPARE = 64 << 20  # bytes that stay free on the disk
ATTEMPTS = 2  # without a byte in between; the library itself tries several times in each
PAUSE = 1.0  # seconds between them
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


class Cancelled(Exception):
    """The user wants no more of it."""


Progress = Callable[[str, int, int], None]  # what is done, bytes, of how many; may raise Cancelled


def fetch(published_file: ModelFile, progress: Progress) -> str:
    """Put the file into the host's folder and return its path there.

    Raises ValueError with what is wrong, Cancelled; after either there is no file under the name
    that was not there before. Only what a broken connection left stays as '.NAME.part', for the
    next time.
    """
    target = Path(_folder(published_file.folder)) / published_file.name
    if target.exists():
        return _accept_existing(published_file, target, progress)
    part, digest = target.with_name(f".{published_file.name}.part"), published_file.sha256
    try:
        if cached_path := hub.cached_path(published_file):
            _require_room(published_file, part, published_file.size)
            _copy(cached_path, part, published_file, progress)
        else:
            digest = _download(published_file, part, progress)
        _check(published_file, digest, part, progress)
        os.replace(part, target)
    except Cancelled:
        part.unlink(missing_ok=True)
        raise
    except OSError as error:
        raise ValueError(_trouble(published_file, part, error)) from None
    return str(target)


def forget(published_file: ModelFile) -> None:
    """Delete what a download of it left unfinished."""
    for folder in _folders(published_file.folder):
        Path(folder, f".{published_file.name}.part").unlink(missing_ok=True)


def _folders(kind: str) -> list[str]:
    """The host's folders of a kind, or a sub-folder in each (loras/ipadapter)."""
    name, *below = kind.split("/")
    if name not in folder_paths.folder_names_and_paths:  # as packs beside this one have it
        return [os.path.join(folder_paths.models_dir, name, *below)]
    return [os.path.join(folder, *below) for folder in folder_paths.get_folder_paths(name)]


def _folder(kind: str) -> str:
    """The first of the host's folders of that kind that can be written."""
    for folder in _folders(kind):
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise ValueError(
        Message(
            "No folder for '<1>' is writable: make one of them writable, or put the file there "
            "yourself.",
            kind,
        )
    )


def _accept_existing(published_file: ModelFile, target: Path, progress: Progress) -> str:
    is_published = published_file.has_size(target.stat().st_size)
    if published_file.sha256:
        is_published = _digest(target, "checking", progress) == published_file.sha256
    if is_published:
        return str(target)
    raise ValueError(
        Message(
            "'<1>' exists, but it is not the published file (its SHA-256 differs): rename or "
            "delete it, then try again.",
            display(str(target), published_file.folder, published_file.name),
        )
    )


def _copy(source: str, part: Path, published_file: ModelFile, progress: Progress) -> None:
    copied = 0
    with open(source, "rb") as file, part.open("wb") as copy:
        while block := file.read(BLOCK_BYTES):
            progress("copying", copied, published_file.size)
            copy.write(block)
            copied += len(block)


def _download(published_file: ModelFile, part: Path, progress: Progress) -> str:
    """The SHA-256 that the whole file must have: the table's, else the server's, "" for none."""
    url = hub.file_url(published_file)
    progress("connecting", 0, published_file.size)
    size, digest = _facts(published_file, url)
    failed_attempts, previous_size = 0, -1
    while (downloaded := _downloaded_size(part, size)) < size:
        _require_room(published_file, part, size - downloaded)
        failed_attempts = failed_attempts + 1 if downloaded == previous_size else 0
        previous_size = downloaded
        progress("downloading", downloaded, size)
        try:
            _receive(url, part, size, progress)
        except (Cancelled, ValueError):
            raise
        except Exception as error:  # the two libraries' own, which differ by version
            progress("connecting", part.stat().st_size, size)
            if failed_attempts >= ATTEMPTS or _is_final(error):
                raise ValueError(_trouble(published_file, part, error)) from None
            time.sleep(PAUSE)
    return published_file.sha256 or digest


def _downloaded_size(part: Path, size: int) -> int:
    """How much there is to go on from; what is longer than the file is deleted."""
    downloaded = part.stat().st_size if part.exists() else 0
    if downloaded > size:
        part.unlink()
        return 0
    return downloaded


def _receive(url: str, part: Path, size: int, progress: Progress) -> None:
    """The rest of the file, behind what is there."""
    with part.open("ab") as file:
        hub.receive(url, _ReportingFile(file, size, progress), file.tell(), size)


def _facts(published_file: ModelFile, url: str) -> tuple[int, str]:
    """Size and SHA-256 of the file, as the server has them."""
    try:
        size, digest = hub.file_facts(url)
    except Exception as error:
        raise ValueError(_trouble(published_file, None, error)) from None
    if size is None or not published_file.has_size(size):
        raise ValueError(
            Message(
                "The server offers <1> bytes for '<2>', the published file has <3>: nothing was "
                "downloaded.",
                size,
                published_file.name,
                published_file.size_text,
            )
        )
    return size, digest


class _ReportingFile:
    """A file that tells how far it is with every block, and ends when the user wants it to."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress):
        self.file, self.size, self.progress = file, size, progress

    def write(self, block: bytes) -> int:
        self.progress("downloading", self.file.tell(), self.size)
        return self.file.write(block)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _require_room(published_file: ModelFile, part: Path, required_bytes: int) -> None:
    free_bytes = shutil.disk_usage(part.parent).free
    if free_bytes < required_bytes + SPARE:
        raise ValueError(
            Message(
                "'<1>' needs <2> more, but the disk of models/<3> has <4> free: make room and "
                "try again.",
                published_file.name,
                size_text(required_bytes),
                published_file.folder,
                size_text(free_bytes),
            )
        )


def _check(published_file: ModelFile, expected_digest: str, part: Path, progress: Progress) -> None:
    digest = _digest(part, "checking", progress)
    if expected_digest and digest != expected_digest:
        part.unlink()
        raise ValueError(
            Message(
                "What was downloaded as '<1>' is not the published file (SHA-256 <2>..., expected "
                "<3>...): it was deleted; try again, or without a mirror.",
                published_file.name,
                digest[:12],
                expected_digest[:12],
            )
        )


def _digest(path: Path, activity: str, progress: Progress) -> str:
    digest, bytes_read, size = hashlib.sha256(), 0, path.stat().st_size
    for block in _blocks(path):
        progress(activity, bytes_read, size)
        digest.update(block)
        bytes_read += len(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _is_final(error: Exception) -> bool:
    """Whether trying again is of no use: the disk refuses, or the server does."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return _is_disk_error(error) or 400 <= status < 500


def _is_disk_error(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in DISK


def _trouble(published_file: ModelFile, part: Path | None, error: Exception) -> str:
    """The cause of an error, without addresses and paths of this machine."""
    if _is_disk_error(error):
        if part is not None:
            part.unlink(missing_ok=True)
        reason = os.strerror(getattr(error, "errno", 0))
        return Message(
            "'<1>' could not be written to models/<2>: <3>.",
            published_file.name,
            published_file.folder,
            reason,
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = Message("it answered with the status <1>", status) if status else type(error).__name__
    kept_bytes = part.stat().st_size if part is not None and part.exists() else 0
    if part is not None and not kept_bytes:
        part.unlink(missing_ok=True)
    advice = Message("Check the connection and HF_ENDPOINT, or download it from its link.")
    if kept_bytes:
        return Message(
            "The server did not send '<1>' (<2>); <3> are kept, and a new try continues from "
            "there. <4>",
            published_file.name,
            reason,
            size_text(kept_bytes),
            advice,
        )
    return Message("The server did not send '<1>' (<2>). <3>", published_file.name, reason, advice)
