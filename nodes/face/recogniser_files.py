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
from ..files.folders import ADAPTERS
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
    for path in _model_files():
        try:
            files.append(RecogniserFile(path, read_recogniser_spec(path)))
        except (Predicate, OSError):
            continue
    return files


def read_recogniser_spec(path: str) -> RecogniserSpec:
    """What a file is, from its header. Raises Predicate if it is no recogniser of an adapter."""
    net = recognisers.net_name(_read_parts(path, has_weights=False))
    space = recognisers.published_space(os.path.getsize(path), lambda: _sha256(path))
    if space is None and AURAFACE.lower() in path.lower():  # another export of it
        space = AURAFACE
    return RecogniserSpec(net, space)


def open_recogniser(path: str) -> IResNet:
    """The net of a file, on the processor: a face takes it less than half a second. Raises
    Predicate."""
    return recognisers.build_recogniser(_read_parts(path, has_weights=True))


def _read_parts(path: str, has_weights: bool) -> RecogniserParts:
    if path.lower().endswith(TORCH_ENDINGS):
        return recognisers.read_torch_recogniser(
            read_weights(path) if has_weights else read_shapes(path)
        )
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise Predicate("is empty (0 bytes): download it again")
        mapped_file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return recognisers.read_onnx_recogniser(memoryview(mapped_file))


def _model_files() -> Iterator[str]:
    """Every file that may be a recogniser, once."""
    real_paths: set[str] = set()
    for folder in _folders():
        names, _ = folder_paths.recursive_search(folder, excluded_dir_names=[".git"])
        for name in sorted(names):
            path = os.path.join(folder, name)
            is_model = path.lower().endswith((".onnx", *TORCH_ENDINGS))
            if is_model and os.path.realpath(path) not in real_paths:
                real_paths.add(os.path.realpath(path))
                yield path


def _folders() -> list[str]:
    """The host does not know `insightface` unless extra_model_paths.yaml or another pack adds it."""
    folders = [os.path.join(folder_paths.models_dir, INSIGHTFACE)]
    for folder_kind in (INSIGHTFACE, ADAPTERS):
        if folder_kind in folder_paths.folder_names_and_paths:
            folders += folder_paths.get_folder_paths(folder_kind)
    return folders


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
