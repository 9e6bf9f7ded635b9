"""Look at the host's model folders, and at the embeds in its input and output folder."""

import os
import platform
from collections.abc import Iterator
from functools import partial
from itertools import islice

import torch

import folder_paths

from ...ipadapter_core.doctor.model_table import load
from ...ipadapter_core.doctor.report import (
    Embeds,
    InstalledFile,
    Report,
    examine,
)
from ...ipadapter_core.messages import Message, Predicate, printable
from ...ipadapter_core.references.embeds_file import ENDING, FORMAT, OLD_ENDING, from_ipadpt
from ..face import recogniser_files
from ..files.installed import display, files_below, model_files, without_path
from ..files.open_files import read_embeds, read_metadata
from ..project import project_field

MOST_EMBEDS = 500


def report() -> Report:
    """The report on the files installed now; only their headers are read."""
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


def models() -> list[InstalledFile]:
    """Adapters, encoders and what lies beside them; elsewhere only what belongs here."""
    visited: set[str] = set()
    recognisers = list(_recognisers(visited))
    return recognisers + model_files(visited)


def _recognisers(visited: set[str]) -> Iterator[InstalledFile]:
    """Face recognisers, and files with the name of one that hold something else."""
    files = [(file.path, file.spec, "") for file in recogniser_files.find_recognisers()]
    files += [(file.path, None, file.fault) for file in recogniser_files.find_damaged_recognisers()]
    for path, spec, fault in files:
        visited.add(os.path.realpath(path))
        name, kind = os.path.basename(path), recogniser_files.INSIGHTFACE
        display_path, size = display(path, kind, name), os.path.getsize(path)
        yield InstalledFile(
            folder=kind,
            name=name,
            display_path=display_path,
            size=size,
            is_listed=True,
            content=spec,
            fault=fault,
        )


def _embeds_text(metadata: dict[str, str]) -> str:
    encoder, feature = (printable(str(metadata.get(key))) for key in ("encoder", "feature"))
    return Message("embeds of <1>, <2>", encoder, feature)


def embeds() -> Iterator[InstalledFile]:
    """Embeds files in the input and the output folder."""
    roots = ((name, folder_paths.get_directory_by_type(name)) for name in ("input", "output"))
    candidates = (
        (directory, path, file_name)
        for directory, root in roots
        for path, file_name in files_below(root or "", set())
        if file_name.lower().endswith((ENDING, OLD_ENDING))
    )
    for directory, path, file_name in islice(candidates, MOST_EMBEDS):
        embeds_file = _describe_embeds(directory, path, file_name)
        if embeds_file is not None:
            yield embeds_file


def _describe_embeds(directory: str, path: str, file_name: str) -> InstalledFile | None:
    describe = partial(
        InstalledFile,
        folder=directory,
        name=file_name,
        display_path=printable(f"{directory}/{file_name}"),
        is_listed=True,
    )
    size = 0
    try:
        size = os.path.getsize(path)
        if file_name.lower().endswith(OLD_ENDING):
            positive_references, _ = from_ipadpt(read_embeds(path)[0])
            width = positive_references.single_feature.shape[-1]
            count = positive_references.count
            text = Message("embeds of <1> images, width <2>", count, width)
        else:
            metadata = read_metadata(path)
            if metadata.get("format") != FORMAT:
                return None
            text = _embeds_text(metadata)
    except (Predicate, OSError) as error:
        fault = (
            without_path(error, path)
            if isinstance(error, Predicate)
            else Message("cannot be read (<1>)", error.strerror)
        )
        return describe(size=size, fault=fault)
    return describe(size=size, content=Embeds(text))
