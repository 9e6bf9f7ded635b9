"""Face recognisers on disk: known by what they hold, whatever they are called."""

import hashlib
import mmap
import os
from collections.abc import Iterator
from typing import NamedTuple

import folder_paths

from ...ipadapter_core.faces.identity import recognisers
from ...ipadapter_core.faces.identity.iresnet import IResNet
from ...ipadapter_core.faces.identity.parts import RecogniserParts
from ...ipadapter_core.faces.identity.recognisers import AURAFACE, RecogniserSpec
from ...ipadapter_core.messages import Predicate
from ..files.folders import ADAPTERS, names_below
from ..files.open_files import read_shapes, read_weights

INSIGHTFACE = "insightface"
TORCH_ENDINGS = (".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".sft")


class RecogniserFile(NamedTuple):
    path: str
    spec: RecogniserSpec


def find_recognisers() -> list[RecogniserFile]:
    """All in models/insightface, models/ipadapter, their sub-folders, and the folders that
    extra_model_paths.yaml adds to them; files that are none, or damaged, are passed over."""
    files: list[RecogniserFile] = []
    for file_path in _model_files():
        try:
            files.append(RecogniserFile(file_path, read_recogniser_spec(file_path)))
        except (Predicate, OSError):
            continue
    return files


def read_recogniser_spec(file_path: str) -> RecogniserSpec:
    """What a file is, from its header. Raises Predicate if it is no recogniser of an adapter."""
    net = recognisers.net_name(_read_parts(file_path, has_weights=False))
    space = recognisers.published_space(os.path.getsize(file_path), lambda: _sha256(file_path))
    if space is None and AURAFACE.lower() in file_path.lower():  # another export of it
        space = AURAFACE
    return RecogniserSpec(net, space)


def open_recogniser(file_path: str) -> IResNet:
    """The net of a file, on the processor: a face takes it less than half a second. Raises
    Predicate."""
    return recognisers.build_recogniser(_read_parts(file_path, has_weights=True))


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


def _sha256(file_path: str) -> str:
    digest = hashlib.sha256()
    with open(file_path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
