"""The texts that a node shows of its last run: plain, and as templates for the page."""

from collections.abc import Mapping
from typing import Any

from ..ipadapter_core.messages import for_page

NOTE = "ipadapter_note"


def shown_texts(*texts: str) -> dict[str, tuple[Any, ...]]:
    """For a node's `ui`; the page translates those that are messages."""
    return {"text": tuple(map(str, texts)), NOTE: tuple(map(for_page, texts))}


def with_texts(display: Mapping[str, Any], *texts: str) -> dict[str, Any]:
    """A node's `ui` with further texts, if there are any, behind those that it has."""
    if not texts:
        return dict(display)
    added = shown_texts(*texts)
    return {**display, **{key: (*display.get(key, ()), *values) for key, values in added.items()}}
