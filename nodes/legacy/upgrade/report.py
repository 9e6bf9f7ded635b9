"""The report on each old node: a line on its replacement, or the reason why it stays."""

from dataclasses import dataclass, field
from typing import Any

from ....ipadapter_core.messages import Message, Predicate, joined


class CannotUpgrade(Predicate):
    """The node stays as it is; the message reads after "<node> stays: "."""


@dataclass(frozen=True)
class Change:
    """One old node in the report; without new kinds it stays, or is removed."""

    node_id: str
    name: str
    new_kinds: list[str] = field(default_factory=list[str])
    notes: list[Message] = field(default_factory=list[Message])
    is_removed: bool = False

    @property
    def is_kept(self) -> bool:
        return not self.new_kinds and not self.is_removed

    def describe(self) -> Message:
        subject = Message("<1> (node <2>)", self.name, self.node_id)
        notes = joined("; ", dict.fromkeys(self.notes))
        if self.is_removed:
            return Message("<1> is removed: <2>.", subject, notes)
        if self.is_kept:
            return Message("<1> is not converted: <2>.", subject, notes)
        new_kinds = ", ".join(self.new_kinds)
        if notes:
            return Message("<1> becomes <2>: <3>.", subject, new_kinds, notes)
        return Message("<1> becomes <2>.", subject, new_kinds)

    def as_data(self) -> dict[str, Any]:
        """The summary for the page."""
        return {
            "name": self.name,
            "new_kinds": self.new_kinds,
            "stays": self.is_kept,
            "notes": list(dict.fromkeys(self.notes)),
        }
