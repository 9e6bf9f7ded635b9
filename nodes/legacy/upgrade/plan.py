"""What an old node becomes, as data: new nodes with their inputs, and how links come to them."""

from dataclasses import dataclass, field

from ....ipadapter_core.adapter.features import Unconditional
from .graph import BEHIND, Graph, Inputs, Kept, is_link

__all__ = ["BEHIND", "Behind", "Here", "Inputs", "Kept", "Known", "Plan", "Same", "is_link"]


@dataclass(frozen=True)
class Here:
    """A link to another node of the same plan."""

    key: str
    slot: int = 0


@dataclass(frozen=True)
class Same:
    """The old node's own input, linked or typed: what came in there goes on."""

    name: str


@dataclass(frozen=True)
class Behind:
    """What was stacked behind an input, as nodes before March 2024 had the negative side."""

    name: str


@dataclass
class Plan:
    """New nodes by key -> class and inputs, the last one in the old one's place; old output -> what gives it now.

    No node at all: the old one goes. handed: outputs that only new nodes can read; taken: inputs that only a new
    node can give. A link to a node of the old graph stands as it is in a prompt.
    """

    nodes: dict[str, tuple[str, Inputs]] = field(default_factory=dict)
    outputs: dict[int, Here | Same] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    handed: frozenset[int] = frozenset()
    taken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """What the graph says of a node: the adapter on it, which of its outputs are used, and where it stands."""

    unconditional: Unconditional | None = None  # None: the adapter's file is not here
    file: str | None = None
    base: str | None = None  # SD1.5, SDXL
    used: frozenset[int] = frozenset()
    paper: bool = False  # whether IPAdapter Old Graphs before it asks for the paper's behaviour
    key: str = ""
    graph: Graph = field(default_factory=lambda: Graph({}))
