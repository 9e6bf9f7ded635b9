"""The texts that a node shows of its last run: plain, and as templates for the page."""

from typing import Any

from ..ipadapter_core.messages import for_page

NOTE = "ipadapter_note"


def shown_texts(*texts: str) -> dict[str, tuple[Any, ...]]:
    """For a node's `ui`; the page translates those that are messages."""
    return {"text": tuple(map(str, texts)), NOTE: tuple(map(for_page, texts))}
