"""Model folders: where files lie, what lies there, and how to say that one does not."""

import difflib
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator

import folder_paths

from ...ipadapter_core.adapter.checkpoint import read_spec
from ...ipadapter_core.adapter.encoders import read_encoder
from ...ipadapter_core.messages import printable
from .file_specs import file_stamp, installed_spec

ADAPTERS, ENCODERS = "ipadapter", "clip_vision"
OTHER_ADAPTER_FOLDERS = os.path.join("xlabs", "ipadapters"), "ipadapter-flux"  # where there are
LISTED = 12  # names in a message
MOST_WAYS = 4  # over links, by which one folder is listed
SIMILARITY = 0.4  # of two names, from which one is offered for the other
# Words that tell families, sizes and base models apart: a nearest match has the same ones.
KIND_WORDS = re.compile(
    r"faceid|portrait|instantid|kolors|flux|sd3|sd1?5|sd2|xl|plus|full|light|composition|face|general"
    r"|vit[-_ .]?h|vit[-_ .]?(?:big)?g|vit[-_ .]?l|large"
)


def register() -> None:
    """Make `models/ipadapter` known to the host, beside what users and other packs added, and the
    folders where packs for FLUX.1 kept adapters.
    """
    folder_paths.add_model_folder_path(ADAPTERS, os.path.join(folder_paths.models_dir, ADAPTERS))
    for name in OTHER_ADAPTER_FOLDERS:
        folder = os.path.join(folder_paths.models_dir, name)
        if os.path.isdir(folder):
            folder_paths.add_model_folder_path(ADAPTERS, folder)
    paths, extensions = folder_paths.folder_names_and_paths[ADAPTERS]
    # Without any extension the host would list every file of the folder.
    model_files = folder_paths.supported_pt_extensions | extensions
    folder_paths.folder_names_and_paths[ADAPTERS] = (paths, model_files)


def names(folder_kind: str) -> list[str]:
    """Model files in all folders of a kind, as the user sees them in the list.

    Not the host's own list: that has no end where two folders link to each other.
    """
    _, endings = folder_paths.folder_names_and_paths[folder_kind]
    file_names = {
        name for root in folder_paths.get_folder_paths(folder_kind) for name in names_below(root)
    }
    return sorted(
        name for name in file_names if not endings or os.path.splitext(name)[-1].lower() in endings
    )


def path_below_models(path: str) -> str | None:
    """`models/...`, or None for a file that lies outside of the host's models folder."""
    relative_path = os.path.relpath(path, folder_paths.models_dir).replace(os.sep, "/")
    is_outside = relative_path.startswith("../") or os.path.isabs(relative_path)
    return None if is_outside else printable(f"models/{relative_path}")


def names_below(root: str) -> Iterator[str]:
    """The files of a folder and those below, as paths from there; nothing of `.git`."""
    for folder, file_names in walk(root, lambda name: name == ".git"):
        for file_name in file_names:
            yield os.path.relpath(os.path.join(folder, file_name), root)


def walk(root: str, is_excluded: Callable[[str], bool]) -> Iterator[tuple[str, list[str]]]:
    """Every folder from a root down and the names of its files, the nearest folders first.

    Links are followed, but never back to a folder on the way, and to one folder MOST_WAYS times
    at most: some links that lead to each other would make more ways than can be counted.
    """
    ways: Counter[str] = Counter()
    waiting: deque[tuple[str, tuple[str, ...]]] = deque([(root, (os.path.realpath(root),))])
    while waiting:
        folder, real_paths = waiting.popleft()
        ways[real_paths[-1]] += 1
        if ways[real_paths[-1]] > MOST_WAYS:
            continue
        _, subfolders, files = next(os.walk(folder), ("", list[str](), list[str]()))
        yield folder, sorted(files)
        for name in sorted(name for name in subfolders if not is_excluded(name)):
            folder_path = os.path.join(folder, name)
            real_path = os.path.realpath(folder_path)
            if real_path not in real_paths:
                waiting.append((folder_path, (*real_paths, real_path)))


NO_NAME = "A file is chosen by its name: choose one from the list."


def path_of(folder_kind: str, file_name: str) -> str:
    """The path of a file by its name; one saved on another system may have other slashes.

    Raises ValueError that names the folders searched, their files, and the nearest match.
    """
    for candidate_name in (file_name, file_name.replace("\\", os.sep).replace("/", os.sep)):
        file_path = folder_paths.get_full_path(folder_kind, candidate_name)
        if file_path is not None:
            return file_path
    raise ValueError(missing(folder_kind, file_name))


def searched(folder_kind: str, word: str = "and") -> str:
    """The paths of a kind of folder, for a sentence."""
    return f" {word} ".join(f"'{path}'" for path in folder_paths.get_folder_paths(folder_kind))


def missing(folder_kind: str, file_name: str) -> str:
    """The sentence for a file that is not there."""
    place = f"No file '{printable(file_name)}' in {searched(folder_kind)}"
    if is_dangling(folder_kind, file_name):
        return (
            f"{place}: it is a link to a missing file; choose another file, or put this one there "
            "and press R."
        )
    installed_names = names(folder_kind)
    listed_names = ", ".join(f"'{name}'" for name in installed_names[:LISTED])
    listed_names += ", ..." if len(installed_names) > LISTED else ""
    listing = f"there are {listed_names}" if installed_names else "no model file is there"
    nearest_name = nearest_match(folder_kind, file_name, installed_names)
    hint = f"; the nearest match is '{nearest_name}'" if nearest_name else ""
    other_folder = _other_folder_with(folder_kind, file_name)
    if other_folder:
        return (
            f"{place}, but a file of that name is in '{other_folder}': move it here, and press R."
        )
    return f"{place}: {listing}{hint}; choose another file, or put this one there and press R."


def _other_folder_with(folder_kind: str, file_name: str) -> str | None:
    """The folder of models of another kind that has a file of that name."""
    other_kinds = folder_paths.folder_names_and_paths.keys() - {folder_kind, "custom_nodes"}
    roots = [root for kind in sorted(other_kinds) for root in folder_paths.get_folder_paths(kind)]
    roots.append(folder_paths.models_dir)
    own_roots = folder_paths.get_folder_paths(folder_kind)
    base_name = os.path.basename(file_name.replace("\\", "/"))
    holding = (root for root in roots if os.path.isfile(os.path.join(root, base_name)))
    return next((root for root in holding if root not in own_roots), None)


def is_dangling(folder_kind: str, file_name: str) -> bool:
    """Whether there is a link of that name, and nothing at its other end."""
    if file_name not in names(folder_kind):
        return False
    link_paths = (
        os.path.join(root, file_name) for root in folder_paths.get_folder_paths(folder_kind)
    )
    return any(os.path.islink(path) and not os.path.exists(path) for path in link_paths)


def nearest_match(folder_kind: str, missing_name: str, installed_names: list[str]) -> str | None:
    """The installed file of the wanted kind whose name is most like a missing one's."""
    similar_names = [
        name for name in installed_names if kind_words(name) == kind_words(missing_name)
    ]
    nearest_stems = difflib.get_close_matches(
        _stem(missing_name),
        [_stem(name) for name in similar_names],
        len(similar_names) or 1,
        SIMILARITY,
    )
    by_similarity = sorted(
        (name for name in similar_names if _stem(name) in nearest_stems),
        key=lambda name: nearest_stems.index(_stem(name)),
    )
    return next((name for name in by_similarity if _is_of_folder(folder_kind, name)), None)


def kind_words(file_name: str) -> set[str]:
    """The words of a file's name that say of what kind it is."""
    return {re.sub(r"[-_ .]|big", "", word) for word in KIND_WORDS.findall(_stem(file_name))}


def _is_of_folder(folder_kind: str, file_name: str) -> bool:
    """Whether a file holds what belongs into its folder, as far as the pack knows what does."""
    readers = {ADAPTERS: read_spec, ENCODERS: read_encoder}
    if folder_kind not in readers:
        return folder_paths.get_full_path(folder_kind, file_name) is not None
    try:
        return installed_spec(folder_kind, file_name, readers[folder_kind]) is not None
    except OSError:
        return False


def stamp(folder_kind: str, file_names: list[str]) -> str:
    """Changes when one of the files does: the host must not reuse what it loaded from the old
    one.
    """
    file_states: list[str] = []
    for file_name in file_names:
        file_path = folder_paths.get_full_path(folder_kind, file_name)
        state = file_stamp(file_path) if file_path else None
        file_states.append(f"{file_name} {state.size} {state.modified}" if state else file_name)
    return "\n".join(file_states)


def stamp_all(*folder_kinds: str) -> str:
    """Changes when a file of one of these folders comes, goes or is another."""
    return "\n".join(stamp(folder_kind, names(folder_kind)) for folder_kind in folder_kinds)


def _stem(file_name: str) -> str:
    return os.path.splitext(os.path.basename(file_name.replace("\\", "/")))[0].lower()
