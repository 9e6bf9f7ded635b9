"""Writes the corpus: graphs as browsers saved them, below `tests/workflows/saved`.

PYTHONPATH=tests python -m support.workflows.make_workflows
"""

import json
from pathlib import Path

from support.workflows import graphs_flux, graphs_more, graphs_nested, graphs_v1, graphs_v2
from support.workflows.litegraph import Graph

FOLDER = Path(__file__).parents[2] / "workflows"
SAVED, PROMPTS = FOLDER / "saved", FOLDER / "prompts"
SENT = FOLDER / "api"  # prompts of programs, with the names of other machines and releases
GRAPHS = {
    **graphs_v2.GRAPHS,
    **graphs_more.GRAPHS,
    **graphs_v1.GRAPHS,
    **graphs_nested.GRAPHS,
    **graphs_flux.GRAPHS,
}


def graphs() -> dict[str, Graph]:
    return {name: make() for name, make in GRAPHS.items()}


def text(graph: dict) -> str:
    """JSON with one node or link a line."""
    parts = []
    for key, value in graph.items():
        if key in ("nodes", "links") and value:
            rows = ",\n".join(json.dumps(each) for each in value)
            parts.append(f"{json.dumps(key)}: [\n{rows}\n]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{" + ",\n".join(parts) + "}\n"


def prompt(name: str) -> dict[str, dict]:
    """A graph as the browser saved it."""
    return json.loads((PROMPTS / f"{name}.json").read_text())


def sent(name: str) -> dict[str, dict]:
    """A graph as a program sends it."""
    return json.loads((SENT / f"{name}.json").read_text())


def write_prompts(prompts: dict[str, dict[str, dict]]) -> None:
    PROMPTS.mkdir(exist_ok=True)
    for path in PROMPTS.glob("*.json"):
        path.unlink()
    for name, nodes in prompts.items():
        rows = (f"{json.dumps(key)}: {json.dumps(node)}" for key, node in nodes.items())
        (PROMPTS / f"{name}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


def main() -> None:
    SAVED.mkdir(exist_ok=True)
    for path in SAVED.glob("*.json"):
        path.unlink()
    for name, graph in graphs().items():
        (SAVED / f"{name}.json").write_text(text(graph.saved()))


if __name__ == "__main__":
    main()
