"""Model folders: where files lie, what lies there, and how to say that one does not."""

import difflib
import os

import folder_paths

ADAPTERS, ENCODERS = "ipadapter", "clip_vision"


def register() -> None:
    """Make `models/ipadapter` known to the host, beside what extra_model_paths.yaml or another pack added."""
    folder_paths.add_model_folder_path(ADAPTERS, os.path.join(folder_paths.models_dir, ADAPTERS))
    paths, extensions = folder_paths.folder_names_and_paths[ADAPTERS]
    # Without any extension the host would list every file of the folder.
    model_files = folder_paths.supported_pt_extensions | extensions
    folder_paths.folder_names_and_paths[ADAPTERS] = (paths, model_files)


def names(folder: str) -> list[str]:
    """Model files in all folders of a kind, as the user sees them in the list."""
    return folder_paths.get_filename_list(folder)


def path_of(folder: str, name: str) -> str:
    """Where the file of that name lies; a name saved on another system may have other slashes.

    Raises ValueError that names the folders searched, what lies there, and the nearest match.
    """
    for candidate in (name, name.replace("\\", os.sep).replace("/", os.sep)):
        path = folder_paths.get_full_path(folder, candidate)
        if path is not None:
            return path
    raise ValueError(missing(folder, name))


def searched(folder: str, word: str = "and") -> str:
    """The paths of a kind of folder, for a sentence."""
    return f" {word} ".join(f"'{path}'" for path in folder_paths.get_folder_paths(folder))


def missing(folder: str, name: str) -> str:
    """The sentence for a file that is not there."""
    there = names(folder)
    close = difflib.get_close_matches(_stem(name), [_stem(other) for other in there], 1, 0.4)
    nearest = [f"the nearest match is '{other}'" for other in there if [_stem(other)] == close][:1]
    listed = ", ".join(f"'{other}'" for other in there[:12]) + (", ..." if len(there) > 12 else "")
    found = f"there are {listed}" if there else "no model file is there"
    return f"No file '{name}' in {searched(folder)}: {'; '.join([found, *nearest])}; choose another file, or put this one there and press R."


def stamp(folder: str, names: list[str]) -> str:
    """Changes when one of the files does: the host must not reuse what it loaded from the old one."""
    parts = []
    for name in names:
        path = folder_paths.get_full_path(folder, name)
        status = os.stat(path) if path else None
        parts.append(f"{name} {status.st_size} {status.st_mtime_ns}" if status else name)
    return "\n".join(parts)


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name.replace("\\", "/")))[0].lower()
