"""Saved graphs and prompts with mistakes in them, made from a seed."""

import copy
import random
from typing import Any

ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 3, 0.5, 10**12, 1e300, "", "4", "x", "linear"),
    *([], {}, [1], ["4", 0], [["4", 0], 0], {"a": 1}, [4, "0"], ["4", 10**6], "\x00" * 40),
]


def mutated(graph: dict[str, Any], source: random.Random) -> dict[str, Any]:
    """A copy in which a few entries, anywhere, are changed, removed, doubled or exchanged."""
    graph = copy.deepcopy(graph)
    for _ in range(source.randint(1, 6)):
        container = source.choice(_containers(graph))
        _change(container, source)
    return graph


def _containers(graph: Any) -> list[Any]:
    """All lists and dictionaries in a graph that are not empty."""
    if not isinstance(graph, dict | list) or not graph:
        return []
    entries = graph.values() if isinstance(graph, dict) else graph
    return [graph, *(inner for entry in entries for inner in _containers(entry))]


def _change(container: Any, source: random.Random) -> None:
    keys = list(container) if isinstance(container, dict) else range(len(container))
    first, second = source.choice(keys), source.choice(keys)
    way = source.choice(("replace", "remove", "double", "exchange"))
    if way == "replace":
        container[first] = copy.deepcopy(source.choice(ODD_VALUES))
    elif way == "remove":
        del container[first]
    elif way == "double" and isinstance(container, list):
        container.append(copy.deepcopy(container[first]))
    else:
        container[first], container[second] = container[second], container[first]
