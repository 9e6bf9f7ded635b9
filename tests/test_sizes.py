"""Files, functions, complexity and arguments stay small, with a short list of places that have a
reason.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PACK = Path(__file__).parent.parent
FOLDERS = ("ipadapter_core", "nodes", "scripts", "benchmarks", "demo", "tests")
FILE_LINES, FUNCTION_LINES, COMPLEXITY, ARGUMENTS = 300, 40, 10, 7
BRANCHES = (
    ast.If,
    ast.For,
    ast.While,
    ast.ExceptHandler,
    ast.IfExp,
    ast.comprehension,
    ast.match_case,
)
SCHEMAS = {"define_schema", "INPUT_TYPES"}  # tables, as long as a node has inputs
# the host calls these by the names of a node's inputs
NODE_METHODS = {"execute", "validate_inputs", "compute"}
Function = ast.FunctionDef | ast.AsyncFunctionDef

ROW_OF_A_TABLE = "its arguments are fixtures and the columns of its table"
EXCUSED = {  # place -> why
    "nodes/apply/apply.py _advanced_inputs": "a table of inputs, as in a schema",
    "tests/host/test_old_faceid.py test_presets_find_adapter_and_lora_by_content": ROW_OF_A_TABLE,
}


def sources() -> Iterator[Path]:
    """Every Python file of the tree, commands without an ending included."""
    yield PACK / "__init__.py"
    for folder in FOLDERS:
        for path in sorted((PACK / folder).rglob("*")):
            if path.suffix == ".py" or (path.parent.name == "scripts" and is_command(path)):
                yield path


def is_command(path: Path) -> bool:
    return path.is_file() and not path.suffix and path.read_text().startswith("#!")


def page_sources() -> list[Path]:
    """The files of the web extension; of these only the lines are counted."""
    return sorted((PACK / "web").glob("*.js"))


def complexity(function: ast.AST) -> int:
    """One more than the branches of a function, conditions and comprehensions counted."""
    total = 1
    for node in ast.walk(function):
        total += isinstance(node, BRANCHES)
        total += len(node.ifs) if isinstance(node, ast.comprehension) else 0
        total += len(node.values) - 1 if isinstance(node, ast.BoolOp) else 0
    return total


def argument_count(function: Function) -> int:
    arguments = function.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def function_sizes(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Every function below a node, with the names of classes and functions that it stands in."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield prefix + node.name, node
        by_name = isinstance(node, Function | ast.ClassDef)
        yield from function_sizes(node, f"{prefix}{node.name}." if by_name else prefix)


def surplus_lines(path: Path) -> str:
    """How long a file is that is too long, or ''."""
    lines = path.read_text("utf-8").count("\n")
    return f"{lines} lines" if lines > FILE_LINES else ""


def too_large(path: Path) -> Iterator[tuple[str, str]]:
    """(place, what is too large there) for each such place of a file."""
    name = path.relative_to(PACK).as_posix()
    if lines := surplus_lines(path):
        yield name, lines
    for function_name, function in function_sizes(ast.parse(path.read_text())):
        place = f"{name} {function_name}"
        length = (function.end_lineno or 0) - function.lineno + 1
        if length > FUNCTION_LINES and function.name not in SCHEMAS:
            yield place, f"{length} lines"
        if (score := complexity(function)) > COMPLEXITY:
            yield place, f"complexity {score}"
        count = argument_count(function)
        if count > ARGUMENTS and function.name not in NODE_METHODS:
            yield place, f"{count} arguments"


def test_files_of_the_page_are_small():
    sizes = {path.name: surplus_lines(path) for path in page_sources()}
    assert len(sizes) > 10, "nothing was measured"
    assert {name: lines for name, lines in sizes.items() if lines} == {}


def test_what_is_large_has_a_reason():
    places = [place for path in sources() for place in too_large(path)]
    assert places, "nothing was measured"
    faults = [f"{place}: {size}" for place, size in places if place not in EXCUSED]
    assert not faults, "\n".join(faults)
    assert not set(EXCUSED) - {place for place, _ in places}, "these need no excuse any more"
