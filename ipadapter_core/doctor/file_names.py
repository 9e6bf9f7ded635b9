"""Names of model files: what browsers and download tools add to them."""

import re

MODEL_ENDINGS = (".safetensors", ".sft", ".bin", ".pth", ".pt", ".ckpt")
# What browsers and download tools put behind a name: unfinished, or downloaded a second time.
_UNFINISHED = re.compile(
    r"(\.(crdownload|part|partial|download|incomplete|tmp|aria2|opdownload))+$", re.I
)
_ADDED = re.compile(r"(\.\d+|\.txt|\.html?|\.json|\.zip|\s+)$", re.I)


def finished_name(file_name: str) -> str:
    """The name without what browsers add to it and without stray spaces."""
    folder_path, slash, base_name = file_name.replace("\\", "/").rpartition("/")
    if is_unfinished(base_name):
        base_name = _UNFINISHED.sub("", base_name).lstrip(".")
    while _ADDED.search(base_name) and any(end in base_name.lower()[:-1] for end in MODEL_ENDINGS):
        base_name = _ADDED.sub("", base_name)
    stem, dot, ending = base_name.rpartition(".")
    if dot and f".{ending.strip().lower()}" in MODEL_ENDINGS:
        stem = re.sub(r"\s*\(\d+\)\s*$", "", stem)
        base_name = f"{stem.strip()}.{ending.strip()}"
    return folder_path + slash + re.sub(r"\s{2,}", " ", base_name).strip()


def is_unfinished(file_name: str) -> bool:
    return bool(_UNFINISHED.search(file_name))


def is_near_miss(file_name: str) -> bool:
    """Whether a file that the host does not list is worth a look: its name was a model file's
    once.
    """
    return finished_name(file_name).lower().endswith(MODEL_ENDINGS)
