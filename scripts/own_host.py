"""The Python of a ComfyUI that somebody installed."""

import os
import sys
from pathlib import Path


def venv_python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def own_python(tree: Path) -> Path:
    """The Python of a user's own installation."""
    named = os.environ.get("COMFYUI_PYTHON")
    if named:
        return Path(named)
    for candidate in (tree / "venv", tree / ".venv"):
        if venv_python(candidate).exists():
            return venv_python(candidate)
    portable = tree.parent / "python_embeded" / "python.exe"
    return portable if portable.exists() else Path(sys.executable)
