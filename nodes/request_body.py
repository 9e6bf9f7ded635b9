"""The JSON body of a request to the pack's own routes, bounded and parsed in a thread."""

import asyncio
import json
from typing import Any, cast

from aiohttp import web

LARGEST_GRAPH = 10_000_000  # bytes; the largest published graphs have 3 MB
DEEPEST = 100  # objects and lists inside of each other
BAD_REQUEST, TOO_LARGE = 400, 413


class UnreadableBody(Exception):
    """A body that is no JSON object of a bearable size; `status` is what HTTP says to that."""

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


async def read_object(request: web.Request, largest: int = LARGEST_GRAPH) -> dict[str, Any]:
    """The JSON object in a body. Raises UnreadableBody."""
    if (request.content_length or 0) > largest:
        raise UnreadableBody(TOO_LARGE)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > largest:  # it came without a length, or compressed
            raise UnreadableBody(TOO_LARGE)
    return await asyncio.to_thread(_parse, bytes(body))


def _parse(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableBody(BAD_REQUEST) from None
    if not isinstance(content, dict) or not _is_shallow(cast("object", content)):
        raise UnreadableBody(BAD_REQUEST)
    return cast("dict[str, Any]", content)


def _is_shallow(content: object) -> bool:
    level: list[object] = [content]
    for _ in range(DEEPEST):
        if not level:
            return True
        level = [child for parent in level for child in _children(parent)]
    return False


def _children(parent: object) -> list[object]:
    if isinstance(parent, dict):
        return list(cast("dict[str, object]", parent).values())
    return cast("list[object]", parent) if isinstance(parent, list) else []
