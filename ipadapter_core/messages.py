"""Messages as a template and its values, so that a page can show them in its own language, and errors by what they are.

A `Message` is an ordinary English string that remembers how it was put together. A `Predicate` says what is wrong with
a subject and still needs that subject in front; a plain `ValueError` is a whole sentence.
"""

import re
from typing import Any

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


def for_page(text: str) -> Any:
    """What a page needs to translate a text: {"text": template, "values": [...]}; plain strings stay as they are."""
    if not isinstance(text, Message):
        return text
    values = [for_page(value) if isinstance(value, str) else str(value) for value in text.values]
    return {"text": text.template, "values": values}


class Predicate(ValueError):
    """What is wrong with something, without its subject: "is cut off: its header alone needs 90 bytes"."""

    def __init__(self, template: str, *values: object):
        super().__init__(template, *values)
        self.message = Message(template, *values)

    def __str__(self) -> str:
        return self.message

    def about(self, subject: str) -> ValueError:
        """The whole sentence, as an error that a user can read."""
        return ValueError(Message("<1> <2>.", subject, self.message))
