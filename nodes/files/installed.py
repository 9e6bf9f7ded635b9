"""The files in the host's model folders, by content; only their headers are read."""

import functools
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import folder_paths

from ...ipadapter_core.adapter.checkpoint import AdapterSpec, read_spec
from ...ipadapter_core.adapter.encoders import EncoderSpec, read_encoder
from ...ipadapter_core.adapter.layout import Weights
from ...ipadapter_core.doctor.file_names import MODEL_ENDINGS, is_near_miss
from ...ipadapter_core.doctor.model_table import load
from ...ipadapter_core.doctor.report import InstalledFile
from ...ipadapter_core.messages import Message, Predicate, printable
from . import folders
from .folders import ADAPTERS, ENCODERS
from .open_files import read_shapes
from .twins import likely_twin

NO_MODELS = ("custom_nodes", "configs", "datasets", "diffusers")
MARKS = (b"image_proj", b"ip_adapter", b"adapter_modules", b"vision_model.", b"visual.")
LARGEST_START = 20_000_000  # of a header or pickle that is searched for these
MOST_FILES = 20_000  # in all folders that are not for adapters or encoders
THE_FILE = "the file"  # in place of its path in what a library says


def model_files(visited: set[str]) -> list[InstalledFile]:
    """Adapters, encoders and what lies beside them; elsewhere only what belongs here.

    visited: real paths to leave out, which grows.
    """
    kinds = (ADAPTERS, ENCODERS)
    in_their_folders = [file for kind in kinds for file in _files_of_kind(kind, visited)]
    return in_their_folders + list(_elsewhere(visited))


def _files_of_kind(kind: str, visited: set[str]) -> Iterator[InstalledFile]:
    listed_names = _listed_names(kind)
    for root in folder_paths.get_folder_paths(kind):
        for path, file_name in files_below(root, visited):
            model_file = _describe_file(kind, path, file_name, file_name in listed_names)
            if isinstance(model_file.content, EncoderSpec) and kind == ADAPTERS:
                model_file = _as_file_of(ENCODERS, path, model_file)
            if model_file.is_listed or is_near_miss(file_name):
                yield model_file


def _listed_names(kind: str) -> set[str]:
    return {name.replace("\\", "/") for name in folders.names(kind)}


def _as_file_of(kind: str, path: str, model_file: InstalledFile) -> InstalledFile:
    """The same file in a folder of that kind, where one folder is known to the host as both."""
    for root in folder_paths.get_folder_paths(kind):
        file_name = os.path.relpath(path, root).replace(os.sep, "/")
        if file_name in _listed_names(kind):
            display_path = display(path, kind, file_name)
            return replace(model_file, folder=kind, name=file_name, display_path=display_path)
    return model_file


def _elsewhere(visited: set[str]) -> Iterator[InstalledFile]:
    """Files of folders that are not for adapters or encoders, as far as they belong here."""
    foreign_files = [file for file in load() if not file.is_recognised]
    foreign_names = {name for file in foreign_files for name in (file.name, *file.also)}
    for kind, path, file_name in islice(_files_elsewhere(visited), MOST_FILES):
        if not file_name.lower().endswith(MODEL_ENDINGS) or _in_a_pipeline(path):
            continue
        model_file = _describe_file(kind, path, file_name, True)
        if model_file.content is not None or os.path.basename(file_name) in foreign_names:
            yield model_file


def _files_elsewhere(visited: set[str]) -> Iterator[tuple[str, str, str]]:
    """(kind of folder, path, name) of every file in the host's other model folders."""
    for kind in folder_paths.folder_names_and_paths:
        if kind not in (*NO_MODELS, ADAPTERS, ENCODERS):
            for root in folder_paths.get_folder_paths(kind):
                for path, file_name in files_below(root, visited):
                    yield kind, path, file_name
    for path, file_name in files_below(folder_paths.models_dir, visited):
        yield "models", path, file_name


def _in_a_pipeline(path: str) -> bool:
    """Whether the file is a part of a repository in diffusers' or transformers' form, where it must
    stay.
    """
    return os.path.exists(os.path.join(os.path.dirname(path), "config.json"))


def files_below(root: str, visited: set[str]) -> Iterator[tuple[str, str]]:
    """(path, name below the root) of files not visited yet."""
    for folder, files in folders.walk(root, lambda name: name.startswith(".")):
        for file in files:
            path = os.path.join(folder, file)
            if os.path.realpath(path) not in visited:
                visited.add(os.path.realpath(path))
                yield path, os.path.relpath(path, root).replace(os.sep, "/")


def display(path: str, kind: str = "", name: str = "") -> str:
    """The path below the host's models folder, or the kind of folder where it lies outside of
    that.
    """
    return folders.path_below_models(path) or Message(
        "<1>/<2> (outside the models folder)", kind, printable(name)
    )


def _describe_file(kind: str, path: str, file_name: str, is_listed: bool) -> InstalledFile:
    display_path = display(path, kind, file_name)
    try:
        status = os.stat(path)
    except OSError:
        return InstalledFile(
            folder=kind,
            name=file_name,
            display_path=display_path,
            size=0,
            is_listed=is_listed,
            fault=Message("is a link to a missing file"),
        )
    is_in_its_folder = kind in (ADAPTERS, ENCODERS)
    state = status.st_size, status.st_mtime_ns
    spec, fault, note = content(path, file_name, *state, is_in_its_folder)
    return InstalledFile(
        folder=kind,
        name=file_name,
        display_path=display_path,
        size=status.st_size,
        is_listed=is_listed,
        content=spec,
        fault=fault,
        note=note,
    )


@functools.lru_cache(maxsize=4096)
def content(
    path: str, file_name: str, size: int, modified: int, is_in_its_folder: bool
) -> tuple[AdapterSpec | EncoderSpec | None, str, str]:
    """(what it holds, why it cannot be read, what else it is). size, modified: so that a new file
    is read again.
    """
    try:
        if not is_in_its_folder and not _may_hold(path):
            return None, "", ""
        shapes = read_shapes(path)
    except Predicate as error:
        return None, without_path(error, path), ""
    except OSError as error:
        return None, Message("cannot be read (<1>)", error.strerror), ""
    encoder = read_encoder(shapes)
    if encoder is not None:  # a whole CLIP elsewhere is there for its text side
        has_text_side = any(key.startswith(("text_model.", "transformer.")) for key in shapes)
        return None if has_text_side and not is_in_its_folder else encoder, "", ""
    try:
        return _adapter_spec(shapes, file_name), "", ""
    except Predicate as error:
        return None, "", error.message


def _adapter_spec(shapes: Weights, file_name: str) -> AdapterSpec:
    """The kind of an adapter; its name decides between kinds of equal shapes."""
    spec = read_spec(shapes)
    twin = likely_twin(spec, file_name, shapes)
    return read_spec(shapes, twin.kind) if twin else spec


def _may_hold(path: str) -> bool:
    """Whether the names in a file's header or pickle can be those of an adapter or encoder."""
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    tensor_names = _pickled_names(path) if is_zip else _header_names(path)
    return any(mark in tensor_names for mark in MARKS)


def _header_names(path: str) -> bytes:
    """The header of a safetensors file; empty for anything else."""
    with open(path, "rb") as file:
        start = file.read(9)
        length = int.from_bytes(start[:8], "little")
        is_header = start[8:] == b"{" and length <= LARGEST_START
        return file.read(length) if is_header else b""


def _pickled_names(path: str) -> bytes:
    """The pickle of a torch file, unopened; empty for anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > LARGEST_START:
                return b""
            if pickles[0].compress_type != zipfile.ZIP_STORED:  # which torch never writes
                return b""
            return archive.read(pickles[0])
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError):
        return b""


def without_path(error: Predicate, path: str) -> str:
    """The fault of a file, without its path on this machine, which libraries may quote."""
    return error.message.with_values(lambda text: text.replace(path, THE_FILE))
