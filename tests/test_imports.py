"""Which folder may import which: data flows one way, and only the legacy nodes look at
everything. A folder's docstring names what is in it.
"""

import ast
import fnmatch
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACK = Path(__file__).parent.parent
CORE = {
    "messages": set(),
    "operations": set(),
    "adapter": {"messages", "operations"},
    "references": {"messages", "adapter"},
    "weights": {"messages"},
    "attention": {"messages", "adapter", "references"},
    "faces": {"messages", "operations", "adapter"},
    "doctor": {"messages", "adapter", "faces"},
}
GROUND = {
    "sockets",
    "recall",
    "pictures",
    "drawing",
    "input_checks",
    "notes",
    "project",
    "request_body",
}
NODES = {
    "sockets": set(),
    "recall": set(),
    "pictures": set(),
    "drawing": set(),
    "input_checks": {"pictures", "sockets"},
    "notes": set(),
    "project": set(),
    "request_body": set(),
    "files": GROUND,
    "face": GROUND | {"files"},
    "references": GROUND | {"files", "face"},
    "sampling": GROUND,
    "apply": GROUND | {"files", "references", "sampling"},
    "inspect": GROUND | {"files", "references", "sampling", "apply"},
    "doctor": GROUND | {"files", "references", "face"},
    "legacy/ids": GROUND | {"files", "face", "references", "sampling", "apply"},
    "legacy/reading": GROUND | {"files", "legacy/ids"},
    "legacy/upgrade": GROUND | {"files", "references", "apply", "legacy/ids", "legacy/reading"},
    "legacy": GROUND | {"files", "legacy/ids", "legacy/reading", "legacy/upgrade"},
}
SUPPORT = ("tests/support", "tests/support/workflows")
SOURCES = sorted(
    path for folder in ("ipadapter_core", "nodes") for path in (PACK / folder).rglob("*.py")
)


def imports(path: Path) -> tuple[set[Path], set[str]]:
    """The files or folders of the pack that a file imports, and the names of other packages."""
    inside, outside = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            outside.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            inside |= {base / alias.name if base.is_dir() else base for alias in node.names}
    return inside, outside


def folder_of(path: Path, root: Path) -> str:
    """The row of a table that a file or folder below root belongs to; empty for root itself."""
    parts = path.relative_to(root).with_suffix("").parts
    return (
        "/".join(parts[:2]) if parts[:1] == ("legacy",) and len(parts) > 2 else "".join(parts[:1])
    )


def test_there_are_sources():
    assert len(SOURCES) > 100


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACK).as_posix())
def test_folders_import_only_what_the_table_allows(path):
    root = PACK / path.relative_to(PACK).parts[0]
    table = CORE if root.name == "ipadapter_core" else NODES
    folder = folder_of(path, root)
    inside, outside = imports(path)
    if folder == "__init__":
        return  # the list of all nodes
    allowed = table[folder] | {folder}
    for target in inside:
        if root in target.parents:
            assert folder_of(target / "_", root) in allowed, target
        elif root.name == "ipadapter_core":
            raise AssertionError(f"the core imports {target}")
    if root.name == "ipadapter_core":
        assert outside <= {"torch"} | sys.stdlib_module_names


def imported_file(target: Path) -> Path:
    """The file behind what `imports` tells: a module, or the folder that a name comes from."""
    module, folder = target.with_suffix(".py"), target if target.is_dir() else target.parent
    return module if module.exists() else folder / "__init__.py"


def test_files_do_not_import_each_other_in_a_circle():
    graph = {path: {imported_file(target) for target in imports(path)[0]} for path in SOURCES}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert set(SOURCES) <= set(order)


@pytest.mark.parametrize(
    "folder",
    sorted({*(PACK / name for name in SUPPORT), *(path.parent for path in SOURCES)}),
    ids=lambda folder: folder.relative_to(PACK).as_posix(),
)
def test_docstring_of_a_folder_names_its_files(folder):
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    patterns = set(re.findall(r"[\w*]+\.py", docstring))
    names = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
    matches = [fnmatch.filter(names, pattern) for pattern in patterns]
    assert names == {name for match in matches for name in match}
    assert all(matches), patterns


@pytest.mark.parametrize(
    "path", sorted(p for p in PACK.rglob("*.py") if ".cache" not in p.parts), ids=str
)
def test_sources_are_ascii(path):
    path.read_text().encode("ascii")
