"""Records of the pack, and objects with a constructor, are built by the names of their fields once
there are more than three.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PACK = Path(__file__).parent.parent
CODE = ("ipadapter_core", "nodes", "scripts", "benchmarks", "demo", "tests")
SHORT = 3
EXCUSED = {
    "Box": "left, top, right, bottom, as in Pillow",
    "TurnedSquare": "a point, a side and an angle",
}


def trees(folders: tuple[str, ...]) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((PACK / folder).rglob("*.py")):
            name = path.relative_to(PACK).as_posix()
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def large_classes(tree: ast.Module) -> Iterator[str]:
    """Classes that are made from more than three values."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and len(fields(node)) > SHORT:
            yield node.name


def fields(node: ast.ClassDef) -> list[str]:
    """The fields of a dataclass or named tuple, or the arguments of a constructor."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return [argument.arg for argument in method.args.args[1:] + method.args.kwonlyargs]
    marks = map(ast.unparse, (*node.decorator_list, *node.bases))
    if not any(mark.startswith(("dataclass", "NamedTuple")) for mark in marks):
        return []
    return [ast.unparse(field.target) for field in node.body if isinstance(field, ast.AnnAssign)]


def constructions(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Calls by a name that could be a class, `cls` under the name of its class."""
    own_calls = {
        id(call): node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "cls"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield own_calls.get(id(node), ast.unparse(node.func).rpartition(".")[2]), node


def by_position(call: ast.Call) -> int:
    """Arguments without a name; an unpacked sequence counts as many."""
    return sum(SHORT + 1 if isinstance(argument, ast.Starred) else 1 for argument in call.args)


def test_no_more_than_three_fields_are_given_by_position():
    names = {name for _, tree in trees(("ipadapter_core", "nodes")) for name in large_classes(tree)}
    assert len(names) > 60
    assert set(EXCUSED) <= names
    places = [
        f"{path}:{call.lineno} {name}"
        for path, tree in trees(CODE)
        for name, call in constructions(tree)
        if name in names - set(EXCUSED) and by_position(call) > SHORT
    ]
    assert not places
