"""Model folders: where files lie, what lies there, and how to say that one does not."""

import difflib
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator

import folder_paths

from ...ipadapter_core.adapter.checkpoint import read_spec
from ...ipadapter_core.adapter.encoders import read_encoder
from ...ipadapter_core.messages import Predicate
from .open_files import read_shapes

ADAPTERS, ENCODERS = "ipadapter", "clip_vision"
LISTED = 12  # names in a message
MOST_WAYS = 4  # over links, by which one folder is listed
SIMILARITY = 0.4  # of two names, from which one is offered for the other
# Words that tell families, sizes and base models apart: a nearest match has the same ones.
KIND_WORDS = re.compile(
    r"faceid|portrait|instantid|kolors|flux|sd3|sd1?5|sd2|xl|plus|full|light|composition|face"
    r"|vit[-_ .]?h|vit[-_ .]?(?:big)?g|vit[-_ .]?l|large"
)


def register() -> None:
    """Make `models/ipadapter` known to the host, beside what users and other packs added."""
    folder_paths.add_model_folder_path(ADAPTERS, os.path.join(folder_paths.models_dir, ADAPTERS))
    paths, extensions = folder_paths.folder_names_and_paths[ADAPTERS]
    # Without any extension the host would list every file of the folder.
    model_files = folder_paths.supported_pt_extensions | extensions
    folder_paths.folder_names_and_paths[ADAPTERS] = (paths, model_files)


def names(folder: str) -> list[str]:
    """Model files in all folders of a kind, as the user sees them in the list.

    Not the host's own list: that has no end where two folders link to each other.
    """
    _, endings = folder_paths.folder_names_and_paths[folder]
    files = {name for root in folder_paths.get_folder_paths(folder) for name in names_below(root)}
    return sorted(
        name for name in files if not endings or os.path.splitext(name)[-1].lower() in endings
    )


def names_below(root: str) -> Iterator[str]:
    """The files of a folder and those below, as paths from there; nothing of `.git`."""
    for folder, files in walk(root, lambda name: name == ".git"):
        for file in files:
            yield os.path.relpath(os.path.join(folder, file), root)


def walk(root: str, is_excluded: Callable[[str], bool]) -> Iterator[tuple[str, list[str]]]:
    """Every folder from a root down and the names of its files, the nearest folders first.

    Links are followed, but never back to a folder on the way, and to one folder MOST_WAYS times
    at most: some links that lead to each other would make more ways than can be counted.
    """
    ways: Counter[str] = Counter()
    waiting: deque[tuple[str, tuple[str, ...]]] = deque([(root, (os.path.realpath(root),))])
    while waiting:
        folder, places = waiting.popleft()
        ways[places[-1]] += 1
        if ways[places[-1]] > MOST_WAYS:
            continue
        _, subfolders, files = next(os.walk(folder), ("", list[str](), list[str]()))
        yield folder, sorted(files)
        for name in sorted(name for name in subfolders if not is_excluded(name)):
            path = os.path.join(folder, name)
            place = os.path.realpath(path)
            if place not in places:
                waiting.append((path, (*places, place)))


def path_of(folder: str, name: str) -> str:
    """The path of a file by its name; one saved on another system may have other slashes.

    Raises ValueError that names the folders searched, their files, and the nearest match.
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
    if is_dangling(folder, name):
        return (
            f"No file '{name}' in {searched(folder)}: it is a link to a file that is not there; "
            "choose another file, or put this one there and press R."
        )
    installed = names(folder)
    files = ", ".join(f"'{file}'" for file in installed[:LISTED])
    files += ", ..." if len(installed) > LISTED else ""
    listing = f"there are {files}" if installed else "no model file is there"
    nearest = nearest_match(folder, name, installed)
    hint = f"; the nearest match is '{nearest}'" if nearest else ""
    return (
        f"No file '{name}' in {searched(folder)}: {listing}{hint}; choose another file, or put "
        "this one there and press R."
    )


def is_dangling(folder: str, name: str) -> bool:
    """Whether there is a link of that name, and nothing at its other end."""
    if name not in names(folder):
        return False
    paths = (os.path.join(root, name) for root in folder_paths.get_folder_paths(folder))
    return any(os.path.islink(path) and not os.path.exists(path) for path in paths)


def nearest_match(folder: str, name: str, installed: list[str]) -> str | None:
    """The installed file of the wanted kind whose name is most like a missing one's."""
    similar = [file for file in installed if kind_words(file) == kind_words(name)]
    stems = difflib.get_close_matches(
        _stem(name), [_stem(file) for file in similar], len(similar) or 1, SIMILARITY
    )
    by_similarity = sorted(
        (file for file in similar if _stem(file) in stems),
        key=lambda file: stems.index(_stem(file)),
    )
    return next((file for file in by_similarity if _is_of_folder(folder, file)), None)


def kind_words(name: str) -> set[str]:
    """The words of a file's name that say of what kind it is."""
    return {re.sub(r"[-_ .]|big", "", word) for word in KIND_WORDS.findall(_stem(name))}


def _is_of_folder(folder: str, name: str) -> bool:
    """Whether a file holds what belongs into its folder, as far as the pack knows what does."""
    path = folder_paths.get_full_path(folder, name)
    readers = {ADAPTERS: read_spec, ENCODERS: read_encoder}
    if path is None or folder not in readers:
        return path is not None
    try:
        return readers[folder](read_shapes(path)) is not None
    except (Predicate, OSError):
        return False


def stamp(folder: str, files: list[str]) -> str:
    """Changes when one of the files does: the host must not reuse what it loaded from the old
    one.
    """
    parts: list[str] = []
    for name in files:
        path = folder_paths.get_full_path(folder, name)
        status = os.stat(path) if path else None
        parts.append(f"{name} {status.st_size} {status.st_mtime_ns}" if status else name)
    return "\n".join(parts)


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name.replace("\\", "/")))[0].lower()
