"""What the pack's own pyproject.toml says of it."""

from pathlib import Path

FILE = Path(__file__).parent.parent / "pyproject.toml"


def project(field: str) -> str:
    """A field of text, like name or version; read without a parser, which Python 3.10 has not."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith(f"{field} ="))
