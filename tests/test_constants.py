"""One name, one meaning: a public name that two files bind at their top level has the same content
in both.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACK = Path(__file__).parent.parent
SOURCES = sorted(
    path for folder in ("ipadapter_core", "nodes") for path in (PACK / folder).rglob("*.py")
)
EXCUSED = {
    "NODE": "the name of a file's one node, in its messages",
    "PLANS": "the plans of a file's old nodes, which `plans/__init__.py` joins",
}


def bindings(path: Path) -> Iterator[tuple[str, str]]:
    """Public constants, aliases and classes of a file, each with its content as source."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[target], value=value):
                pairs = names_and_values(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                pairs = names_and_values(target, value)
            case ast.ClassDef(name=name):
                pairs = [(name, ast.unparse(statement))]
            case _:
                pairs = []
        yield from ((name, content) for name, content in pairs if not name.startswith("_"))


def names_and_values(target: ast.expr, value: ast.expr) -> list[tuple[str, str]]:
    match target, value:
        case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
            pairs = zip(targets, values, strict=True)
            return [pair for ends in pairs for pair in names_and_values(*ends)]
        case ast.Tuple(elts=targets), _:
            return [
                (name.id, f"{number} of {ast.unparse(value)}")
                for number, name in enumerate(targets)
                if isinstance(name, ast.Name)
            ]
        case ast.Name(id=name), _:
            return [(name, ast.unparse(value))]
    return []


def test_one_name_has_one_content():
    places: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in SOURCES:
        for name, content in bindings(path):
            places[name][content].append(path.relative_to(PACK).as_posix())
    assert len(places) > 500
    different = {
        name: list(contents.values()) for name, contents in places.items() if len(contents) > 1
    }
    assert not {name: files for name, files in different.items() if name not in EXCUSED}
    assert different.keys() == EXCUSED.keys()
