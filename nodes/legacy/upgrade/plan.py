"""The replacement of one old node, as data: new nodes, and the sources of its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ....ipadapter_core.messages import Message
from .facts.adapters import KnownAdapter
from .facts.graph import Graph, Inputs
from .links import NegativeStack, NewLink, OldLink, OldSource, parse_link

REPLACEMENT = "replacement"  # among the new nodes of a plan, the one that keeps the old node's id


@dataclass(frozen=True)
class NodeContext:
    """An old node, and what its graph says of it without running it."""

    id: str
    kind: str
    inputs: Inputs
    graph: Graph
    adapter: KnownAdapter = field(default_factory=KnownAdapter)
    used_outputs: frozenset[int] = frozenset()
    by_frame: bool = False
    follows_paper: bool = False  # IPAdapter Old Graphs before it asks for the paper's behaviour


@dataclass(frozen=True)
class NewOutput:
    """An output of a new node of the same plan."""

    node: str = REPLACEMENT
    slot: int = 0


@dataclass(frozen=True)
class OldInput:
    """The old node's own input: the link or typed value there is passed on."""

    name: str


@dataclass(frozen=True)
class StackedNegative:
    """The negative side that is stacked behind the positive one on an input of the old node."""

    input: str


@dataclass(frozen=True)
class NewNode:
    """A node to add.

    Its inputs are NewOutput, OldInput, StackedNegative, links of the old graph, or typed values.
    """

    kind: str
    inputs: Inputs


@dataclass(frozen=True)
class Fragment:
    """Inputs of a new node, with the helper nodes that give them and notes on what differs."""

    inputs: Inputs = field(default_factory=dict[str, object])
    helpers: Mapping[str, NewNode] = field(default_factory=dict[str, NewNode])
    notes: tuple[Message, ...] = ()

    def __or__(self, other: "Fragment") -> "Fragment":
        return Fragment(
            {**self.inputs, **other.inputs},
            {**self.helpers, **other.helpers},
            self.notes + other.notes,
        )


@dataclass(frozen=True)
class Plan:
    """The nodes in place of an old one; without a replacement it is removed.

    outputs: slot of the old node -> what gives it now.
    needs_new_readers: outputs that only new nodes can read.
    needs_new_sources: inputs that only new nodes can give.
    """

    replacement: NewNode | None = None
    helpers: Mapping[str, NewNode] = field(default_factory=dict[str, NewNode])
    outputs: Mapping[int, NewOutput | OldInput] = field(
        default_factory=dict[int, NewOutput | OldInput]
    )
    stacked_negative: NewOutput | None = None
    notes: tuple[Message, ...] = ()
    needs_new_readers: frozenset[int] = frozenset()
    needs_new_sources: tuple[str, ...] = ()

    @property
    def new_nodes(self) -> dict[str, NewNode]:
        """In the order in which they are added, the replacement last."""
        if self.replacement is None:
            return dict(self.helpers)
        return {**self.helpers, REPLACEMENT: self.replacement}

    def moves(
        self, node_id: str, old_inputs: Inputs, new_ids: Mapping[str, str]
    ) -> dict[OldSource, object]:
        """Each output of the old node -> the link or typed value in its place."""
        sources: dict[OldSource, NewOutput | OldInput] = {
            OldLink(node_id, slot): source for slot, source in self.outputs.items()
        }
        if self.stacked_negative is not None:
            sources[NegativeStack(node_id)] = self.stacked_negative
        return {output: resolve(source, old_inputs, new_ids) for output, source in sources.items()}


def resolve(value: object, old_inputs: Inputs, new_ids: Mapping[str, str]) -> object:
    """An input of a new node as a link, a typed value, or None where there is nothing."""
    if isinstance(value, NewOutput):
        return NewLink(new_ids[value.node], value.slot)
    if isinstance(value, OldInput):
        value = old_inputs.get(value.name)
    if isinstance(value, StackedNegative):
        link = parse_link(old_inputs.get(value.input))
        return None if link is None else NegativeStack(link.node_id)
    return parse_link(value) or value
