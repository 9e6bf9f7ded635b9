"""What the pack says of itself, and what is its own."""

from pathlib import Path
from typing import Any

FILE = Path(__file__).parent.parent / "pyproject.toml"
ROOT = __name__.rsplit(".nodes.", 1)[0]  # the pack's module, as the host names it


def project(field: str) -> str:
    """A field of text, like name or version; read without a parser, which Python 3.10 has not."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith(f"{field} ="))


def is_ours(kind: Any) -> bool:
    """Whether a class of the host's registry is this pack's."""
    return kind.__module__.startswith(ROOT + ".")
