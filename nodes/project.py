"""The pack's own name and version, and which classes are its own."""

from pathlib import Path

PROJECT_FILE = Path(__file__).parent.parent / "pyproject.toml"
PACK_MODULE = __name__.rsplit(".nodes.", 1)[0]  # as the host names it


def project_field(field: str) -> str:
    """A text field, like name or version; read without a parser, since Python 3.10 has none."""
    lines = PROJECT_FILE.read_text(encoding="utf-8").splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith(f"{field} ="))


def is_ours(node_class: type) -> bool:
    """Whether a class of the host's registry is this pack's."""
    return node_class.__module__.startswith(PACK_MODULE + ".")
