"""Face recognisers on disk: known by what they hold, whatever they are called."""

import functools
import mmap
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import folder_paths

from ...ipadapter_core.adapter.features import GLINT_R100, WEBFACE_R50
from ...ipadapter_core.faces.identity import recognisers
from ...ipadapter_core.faces.identity.iresnet import IResNet
from ...ipadapter_core.faces.identity.parts import RecogniserParts
from ...ipadapter_core.faces.identity.recognisers import AURAFACE, RecogniserSpec
from ...ipadapter_core.messages import Message, Predicate, printable
from ..files.file_specs import FileStamp, file_digest, file_stamp
from ..files.folders import ADAPTERS, names_below, path_below_models
from ..files.open_files import read_shapes, read_weights

INSIGHTFACE = "insightface"
TORCH_ENDINGS = (".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".sft")
# what to put into models/insightface, by space
WANTED_FILES = {
    WEBFACE_R50: "w600k_r50.onnx (IPAdapter Doctor can download it)",
    GLINT_R100: "glintr100.onnx of InsightFace's antelopev2 (IPAdapter Doctor can download it)",
}


class RecogniserFile(NamedTuple):
    path: str
    spec: RecogniserSpec


class UnreadableFile(NamedTuple):
    """A file that is no recogniser, or a damaged one."""

    path: str
    fault: Message


def find_recognisers() -> list[RecogniserFile]:
    """All in models/insightface, models/ipadapter, their sub-folders, and the folders that
    extra_model_paths.yaml adds to them; files that are none, or damaged, are passed over."""
    return [file for file in _examined_files() if isinstance(file, RecogniserFile)]


def find_damaged_recognisers() -> list[UnreadableFile]:
    """Files that have the name of a published recogniser, but do not hold one."""
    return [
        file
        for file in _examined_files()
        if isinstance(file, UnreadableFile) and _has_published_name(file.path)
    ]


def require_recogniser(space: str, subject: str) -> RecogniserFile:
    """The installed recogniser of a space: a published file before one that fits by its net alone.
    Raises ValueError with a sentence about the subject, who needs it."""
    files = find_recognisers()
    fitting_files = [file for file in files if file.spec.fits(space)]
    if fitting_files:
        return min(fitting_files, key=lambda file: file.spec.space is None)
    raise ValueError(
        f"{subject} needs the face recogniser {space}, but {_describe_others(files)}: put "
        f"{WANTED_FILES.get(space, space)} into models/{INSIGHTFACE}."
    )


def read_recogniser_spec(file_path: str) -> RecogniserSpec:
    """The recogniser in a file, from its header. Raises Predicate if it is none of an adapter."""
    net = recognisers.net_name(_read_parts(file_path, has_weights=False))
    stamp = file_stamp(file_path)
    space = recognisers.published_space(stamp.size, lambda: file_digest(stamp))
    if space is None and AURAFACE.lower() in file_path.lower():  # another export of it
        space = AURAFACE
    return RecogniserSpec(net, space)


def open_recogniser(file_path: str) -> IResNet:
    """The net of a file, on the processor: a face takes it less than half a second. Raises
    ValueError with a sentence about the file."""
    try:
        return recognisers.build_recogniser(_read_parts(file_path, has_weights=True))
    except Predicate as error:
        subject = Message("The face recogniser '<1>'", display_name(file_path))
        raise error.about(subject) from None


def display_name(file_path: str) -> str:
    """The file's path below the models folder, or its name alone."""
    return path_below_models(file_path) or printable(os.path.basename(file_path))


def _describe_others(files: Sequence[RecogniserFile]) -> str:
    """The installed files in place of the required one."""
    descriptions = [f"'{display_name(file.path)}' is {file.spec.describe()}" for file in files]
    descriptions += [
        f"'{display_name(file.path)}' {file.fault}" for file in find_damaged_recognisers()
    ]
    return ", and ".join(descriptions) or "none is installed"


def _examined_files() -> Iterator[RecogniserFile | UnreadableFile]:
    for file_path in _model_files():
        try:
            content = _examine(file_stamp(file_path))
        except OSError:  # gone, or a link to nothing
            continue
        if isinstance(content, RecogniserSpec):
            yield RecogniserFile(file_path, content)
        else:
            yield UnreadableFile(file_path, content)


@functools.lru_cache(maxsize=4096)
def _examine(stamp: FileStamp) -> RecogniserSpec | Message:
    """The kind of a file, or its fault; by its stamp, so that a new file is read again."""
    try:
        return read_recogniser_spec(stamp.path)
    except Predicate as error:
        return error.message


def _has_published_name(file_path: str) -> bool:
    name = os.path.basename(file_path).lower()
    return name.startswith((WEBFACE_R50, GLINT_R100))


def _read_parts(file_path: str, has_weights: bool) -> RecogniserParts:
    if file_path.lower().endswith(TORCH_ENDINGS):
        return recognisers.read_torch_recogniser(
            read_weights(file_path) if has_weights else read_shapes(file_path)
        )
    with open(file_path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise Predicate("is empty (0 bytes): download it again")
        mapped_file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return recognisers.read_onnx_recogniser(memoryview(mapped_file))


def _model_files() -> Iterator[str]:
    """Every file that may be a recogniser, once."""
    real_paths: set[str] = set()
    for folder in _folders():
        for name in sorted(names_below(folder)):
            file_path = os.path.join(folder, name)
            is_model = file_path.lower().endswith((".onnx", *TORCH_ENDINGS))
            if is_model and os.path.realpath(file_path) not in real_paths:
                real_paths.add(os.path.realpath(file_path))
                yield file_path


def _folders() -> list[str]:
    """The host does not know `insightface` unless extra_model_paths.yaml or another pack adds
    it."""
    folders = [os.path.join(folder_paths.models_dir, INSIGHTFACE)]
    for folder_kind in (INSIGHTFACE, ADAPTERS):
        if folder_kind in folder_paths.folder_names_and_paths:
            folders += folder_paths.get_folder_paths(folder_kind)
    return folders
