"""Who may import whom: the core looks only upstream, and knows only torch."""

import ast
import sys
from pathlib import Path

import pytest

CORE = Path(__file__).parent.parent / "ipadapter_core"
UPSTREAM = {
    "adapter": {"checkpoint", "projectors"},
    "doctor": {"checkpoint", "encoders", "table"},
    "doctor_text": {"doctor", "table"},
    "embedfile": {"checkpoint", "embeds"},
    "encoders": {"checkpoint"},
    "faces": {"frame", "look", "yunet"},
    "follow": {"faces", "frame"},
    "frame": {"face"},
    "look": {"frame", "yunet"},
    "keys": {"adapter", "embeds"},
    "projectors": {"checkpoint", "resampler"},
    "resampler": {"checkpoint"},
    "table": {"checkpoint", "encoders"},
    "takes": {"blocks"},
    "weights": {"blocks", "curves", "takes"},
}


@pytest.mark.parametrize("path", sorted(CORE.glob("*.py")), ids=lambda path: path.stem)
def test_core_looks_only_upstream(path):
    imports = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    ours = {
        name
        for node in imports
        if isinstance(node, ast.ImportFrom) and node.level
        for name in ([node.module] if node.module else [alias.name for alias in node.names])
    }
    theirs = {
        name.split(".")[0]
        for node in imports
        if not getattr(node, "level", 0)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert ours <= UPSTREAM.get(path.stem, set())
    assert theirs <= {"torch"} | sys.stdlib_module_names


@pytest.mark.parametrize(
    "path", sorted(p for p in CORE.parent.rglob("*.py") if ".cache" not in p.parts), ids=str
)
def test_sources_are_ascii(path):
    path.read_text().encode("ascii")
