"""The ComfyUI in which somebody installed the pack, and its Python."""

import os
import subprocess
import sys
from pathlib import Path

AGAIN = "IPADAPTER_HOSTS_PYTHON"  # set where a script goes on in the host's Python


def find_tree(script: str) -> Path:
    """The ComfyUI that COMFYUI_PATH names, or in which the script lies; a link to the pack counts
    by where it is.
    """
    named_tree = os.environ.get("COMFYUI_PATH")
    script_path = Path(os.path.abspath(script))
    candidates = [*script_path.parents, *script_path.resolve().parents]
    for tree in [Path(named_tree).expanduser()] if named_tree else candidates:
        if (tree / "folder_paths.py").is_file():
            return tree.resolve()
    sys.exit(
        f"There is no ComfyUI at {named_tree}."
        if named_tree
        else "Set COMFYUI_PATH to your ComfyUI folder."
    )


def with_the_hosts_python(tree: Path, script: str) -> None:
    """Go on in ComfyUI's own Python if this one lacks what ComfyUI needs."""
    try:
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ImportError:
        python = own_python(tree)
        if python == Path(sys.executable) or AGAIN in os.environ:
            sys.exit(
                "This Python has no torch: use the Python that runs ComfyUI, or set COMFYUI_PYTHON."
            )
        environment = {**os.environ, "COMFYUI_PATH": str(tree), AGAIN: "1"}
        command = [str(python), os.path.abspath(script), *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=environment).returncode)


def venv_python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def own_python(tree: Path) -> Path:
    """The Python of a user's own installation."""
    named_python = os.environ.get("COMFYUI_PYTHON")
    if named_python:
        return Path(named_python)
    for candidate in (tree / "venv", tree / ".venv"):
        if venv_python(candidate).exists():
            return venv_python(candidate)
    portable_python = tree.parent / "python_embeded" / "python.exe"
    return portable_python if portable_python.exists() else Path(sys.executable)
