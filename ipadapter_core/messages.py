"""Messages as a template and its values, so that a page can show them in its own language, and
errors.

A `Message` is an ordinary English string that remembers how it was put together. A `Predicate` says
what is wrong with a subject and still needs that subject in front; a plain `ValueError` is a whole
sentence.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

_MARK = re.compile(r"<(\d+)>")


class Message(str):
    """English text with the template and the values it came from: `Message("has no block <1>", 7)`.

    Marks count from 1. A value may be a Message of its own.
    """

    template: str
    values: tuple[object, ...]

    def __new__(cls, template: str, *values: object) -> "Message":
        text = _MARK.sub(lambda mark: str(values[int(mark[1]) - 1]), template)
        message = super().__new__(cls, text)
        message.template, message.values = template, values
        return message

    def __reduce__(self) -> tuple[Any, ...]:  # for copies and pickles
        return Message, (self.template, *self.values)

    def with_values(self, change: Callable[[str], str]) -> "Message":
        """The same sentence, with the change made to each text in it."""
        return Message(self.template, *(_changed(value, change) for value in self.values))


def _changed(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, Message):
        return value.with_values(change)
    return change(value) if isinstance(value, str) else value


def printable(text: str) -> str:
    """A text from outside as it may stand in a sentence: short, without control characters."""
    text = "".join(character if character.isprintable() else "?" for character in text[:161])
    return text if len(text) <= 160 else text[:157] + "..."


def message_of(error: BaseException) -> str:
    """The text of an error, with its template if it has one: `str(error)` would lose that."""
    if isinstance(error, Predicate):
        return error.message
    text = error.args[0] if len(error.args) == 1 else None
    return text if isinstance(text, Message) else str(error)


def joined(separator: str, texts: Iterable[str]) -> Message:
    """Several texts as one message, so that a page translates each of them."""
    parts = tuple(texts)
    marks = (f"<{number}>" for number in range(1, len(parts) + 1))
    return Message(separator.join(marks), *parts)


def for_page(content: Any) -> Any:
    """Content for JSON in which every message is what a page translates: {"text": template,
    "values": [...]}.

    Plain strings, numbers and the like stay as they are; lists and dictionaries are gone through.
    """
    if isinstance(content, Message):
        values = (value if isinstance(value, str) else str(value) for value in content.values)
        return {"text": content.template, "values": [for_page(value) for value in values]}
    if isinstance(content, Mapping):
        items = cast("Mapping[Any, Any]", content).items()
        return {key: for_page(value) for key, value in items}
    if isinstance(content, list | tuple):
        return [for_page(value) for value in cast("Sequence[Any]", content)]
    return content


P = TypeVar("P", bound="Predicate")


class Predicate(ValueError):
    """A fault, without its subject: "is cut off: its header alone needs 90
    bytes".
    """

    def __init__(self, template: str, *values: object):
        super().__init__(template, *values)
        self.message = Message(template, *values)

    @classmethod
    def of(cls: type[P], message: Message) -> P:
        """The error of a message that stands in a table."""
        return cls(message.template, *message.values)

    def __str__(self) -> str:
        return self.message

    def about(self, subject: str) -> ValueError:
        """The whole sentence, as an error that a user can read."""
        return ValueError(Message("<1> <2>.", subject, self.message))
