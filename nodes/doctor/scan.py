"""Look at the host's model folders, and at the embeds in its input and output folder."""

import functools
import os
import platform
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

import folder_paths

from ...ipadapter_core.adapter.checkpoint import read_spec
from ...ipadapter_core.adapter.encoders import EncoderSpec, read_encoder
from ...ipadapter_core.doctor.model_table import load
from ...ipadapter_core.doctor.report import (
    MODEL_ENDINGS,
    Embeds,
    Found,
    Report,
    examine,
    is_near_miss,
)
from ...ipadapter_core.messages import Message, Predicate, printable
from ...ipadapter_core.references.embeds_file import FORMAT, from_ipadpt
from ..files.folders import ADAPTERS, ENCODERS
from ..files.open_files import read_embeds, read_metadata, read_shapes
from ..project import project_field

NO_MODELS = ("custom_nodes", "configs", "datasets", "diffusers")
MARKS = (b"image_proj", b"ip_adapter", b"adapter_modules", b"vision_model.", b"visual.")
LARGEST_START = 20_000_000  # of a header or pickle that is searched for these
MOST_FILES = 20_000  # in all folders that are not for adapters or encoders
MOST_EMBEDS = 500
THE_FILE = "the file"  # in place of its path in what a library says


def report() -> Report:
    """What is there now; nothing is read but the headers of files."""
    return examine([*models(), *embeds()], load(), facts())


def facts() -> list[str]:
    """Versions, for a bug report; nothing about the person or the machine."""
    try:
        from comfyui_version import __version__ as host
    except ImportError:
        host = "of unknown version"
    return [
        f"{project_field('name')} {project_field('version')}, ComfyUI {host}",
        f"Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}",
    ]


def models() -> list[Found]:
    """Adapters, encoders and what lies beside them; elsewhere only what belongs here."""
    seen: set[str] = set()
    own = [one for kind in (ADAPTERS, ENCODERS) for one in _own(kind, seen)]
    return own + list(_elsewhere(seen))


def _own(kind: str, seen: set[str]) -> Iterator[Found]:
    for root in folder_paths.get_folder_paths(kind):
        for path, name in _files(root, seen):
            found = _found(kind, path, name, name in _listed(kind))
            if isinstance(found.what, EncoderSpec) and kind == ADAPTERS:
                found = _also_of(ENCODERS, path, found)
            if found.listed or is_near_miss(name):
                yield found


def _listed(kind: str) -> set[str]:
    return {name.replace("\\", "/") for name in folder_paths.get_filename_list(kind)}


def _also_of(kind: str, path: str, found: Found) -> Found:
    """The same file in a folder of that kind, where one folder is known to the host as both."""
    for root in folder_paths.get_folder_paths(kind):
        name = os.path.relpath(path, root).replace(os.sep, "/")
        if name in _listed(kind):
            return replace(found, folder=kind, name=name, shown=display(path, kind, name))
    return found


def _elsewhere(seen: set[str]) -> Iterator[Found]:
    roots = [
        (kind, root)
        for kind in folder_paths.folder_names_and_paths
        if kind not in (*NO_MODELS, ADAPTERS, ENCODERS)
        for root in folder_paths.get_folder_paths(kind)
    ]
    known = {row.name for row in load() if not row.runs}
    count = 0
    for kind, root in [*roots, ("", folder_paths.models_dir)]:
        for path, name in _files(root, seen):
            count += 1
            if count > MOST_FILES:
                return
            if not name.lower().endswith(MODEL_ENDINGS) or _in_a_pipeline(path):
                continue
            found = _found(kind or "models", path, name, True)
            if found.what is not None or os.path.basename(name) in known:
                yield found


def _in_a_pipeline(path: str) -> bool:
    """Whether the file is a part of a repository in diffusers' or transformers' form, where it must
    stay.
    """
    return os.path.exists(os.path.join(os.path.dirname(path), "config.json"))


def _files(root: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    """(path, name below the root) of files not seen yet; a folder that links back is entered
    once.
    """
    entered: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        if os.path.realpath(folder) in entered:
            folders.clear()
            continue
        entered.add(os.path.realpath(folder))
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for file in sorted(files):
            path = os.path.join(folder, file)
            if os.path.realpath(path) not in seen:
                seen.add(os.path.realpath(path))
                yield path, os.path.relpath(path, root).replace(os.sep, "/")


def display(path: str, kind: str = "", name: str = "") -> str:
    """The path below the host's models folder, or the kind of folder where it lies outside of
    that.
    """
    inside = os.path.relpath(path, folder_paths.models_dir).replace(os.sep, "/")
    away = inside.startswith("../") or os.path.isabs(inside)
    if away:
        return Message("<1>/<2> (outside the models folder)", kind, printable(name))
    return printable(f"models/{inside}")


def _found(kind: str, path: str, name: str, listed: bool) -> Found:
    shown, own = display(path, kind, name), kind in (ADAPTERS, ENCODERS)
    try:
        status = os.stat(path)
    except OSError:
        return Found(
            kind, name, shown, 0, listed, fault=Message("is a link to a file that is not there")
        )
    what, fault, note = content(path, status.st_size, status.st_mtime_ns, own)
    return Found(kind, name, shown, status.st_size, listed, what, fault, note)


@functools.lru_cache(maxsize=4096)
def content(path: str, size: int, changed: int, own: bool) -> tuple[Any, str, str]:
    """(what it holds, why it cannot be read, what else it is). size, changed: so that a new file is
    read again.
    """
    try:
        if not own and not _may_hold(path):
            return None, "", ""
        shapes = read_shapes(path)
    except Predicate as error:
        return None, _without_path(error, path), ""
    except OSError as error:
        return None, Message("cannot be read (<1>)", error.strerror), ""
    encoder = read_encoder(shapes)
    if encoder is not None:  # a whole CLIP elsewhere is there for its text side
        whole = any(key.startswith(("text_model.", "transformer.")) for key in shapes)
        return None if whole and not own else encoder, "", ""
    try:
        return read_spec(shapes), "", ""
    except Predicate as error:
        return None, "", error.message


def _may_hold(path: str) -> bool:
    """Whether the names in a file's header or pickle can be those of an adapter or encoder."""
    with open(path, "rb") as file:
        start = file.read(9)
        if start[:2] != b"PK":
            length = int.from_bytes(start[:8], "little")
            if start[8:] != b"{" or length > LARGEST_START:
                return False
            header = file.read(length)
            return any(mark in header for mark in MARKS)
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [one for one in archive.infolist() if one.filename.endswith("/data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > LARGEST_START:
                return False
            names = archive.read(pickles[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return False
    return any(mark in names for mark in MARKS)


def _embeds_of(metadata: dict[str, str]) -> str:
    encoder, feature = (printable(str(metadata.get(key))) for key in ("encoder", "feature"))
    return Message("embeds of <1>, <2>", encoder, feature)


def _without_path(error: Predicate, path: str) -> str:
    """What is wrong with a file, without its path on this machine, which libraries may quote."""
    return error.message.with_values(lambda text: text.replace(path, THE_FILE))


def embeds() -> Iterator[Found]:
    """Embeds files in the input and the output folder."""
    count = 0
    for place in ("input", "output"):
        for path, name in _files(folder_paths.get_directory_by_type(place) or "", set()):
            if not name.lower().endswith((".safetensors", ".ipadpt")):
                continue
            count += 1
            if count > MOST_EMBEDS:
                return
            found = _embeds(place, path, name)
            if found is not None:
                yield found


def _embeds(place: str, path: str, name: str) -> Found | None:
    shown, size = printable(f"{place}/{name}"), 0
    try:
        size = os.path.getsize(path)
        if name.lower().endswith(".ipadpt"):
            seen, _ = from_ipadpt(read_embeds(path)[0])
            width = seen.single_feature.shape[-1]
            text = Message("embeds of <1> pictures, <2> wide", seen.count, width)
        else:
            notes = read_metadata(path)
            if notes.get("format") != FORMAT:
                return None
            text = _embeds_of(notes)
    except Predicate as error:
        return Found(place, name, shown, size, True, fault=_without_path(error, path))
    except OSError as error:
        return Found(
            place, name, shown, size, True, fault=Message("cannot be read (<1>)", error.strerror)
        )
    return Found(place, name, shown, size, True, Embeds(text))
