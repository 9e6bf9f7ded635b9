"""Links while a graph is upgraded: to nodes of the old graph, and to those in their place."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TypeGuard


@dataclass(frozen=True)
class OldLink:
    """An output of the old graph, which `follow` leads on where its node is replaced."""

    node_id: str
    slot: int


@dataclass(frozen=True)
class NegativeStack:
    """The negative side behind a first output: one EMBEDS link carried both until March 2024."""

    node_id: str


@dataclass(frozen=True)
class NewLink:
    """An output of a node that the upgrade added."""

    node_id: str
    slot: int


OldSource = OldLink | NegativeStack
# output of a replaced node -> the link or typed value in its place
Moves = Mapping[OldSource, object]


def is_link(value: object) -> TypeGuard[list[object]]:
    """Whether an input of a prompt is a link: [node id, slot]."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str | int)
        and isinstance(value[1], int)
        and value[1] >= 0
    )


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def parse_link(value: object) -> OldLink | None:
    """The link that an input of a prompt holds, None for a typed value."""
    if not is_link(value):
        return None
    node_id, slot = value
    return OldLink(str(node_id), slot) if isinstance(slot, int) else None


def follow(value: object, moves: Moves) -> object:
    """The link or value in place of a link once nodes are replaced, through any number of them."""
    visited: set[OldSource] = set()
    while isinstance(value, OldSource) and value in moves:
        if value in visited:
            return None  # a circle, from which nothing comes
        visited.add(value)
        value = moves[value]
    return value
