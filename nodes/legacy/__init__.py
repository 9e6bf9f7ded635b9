"""The nodes of saved graphs: those of IPAdapter_plus, today's and before March 2024, and laksjdjf's. Nothing new belongs here."""

import logging
from collections.abc import Mapping
from typing import Any

from . import apply, encoded, images, load, prompts, regional, schedule, v1
from .base import OldNode
from .option import IPAdapterOldGraphs

__all__ = ["IPAdapterOldGraphs", "free", "listen", "taken"]

log = logging.getLogger("ipadapter")
NODES: list[type[OldNode]] = [
    node
    for module in (apply, encoded, images, load, regional, schedule, v1)
    for node in module.NODES
]
BY_ID = {node.NODE_ID: node for node in NODES}


def taken(registered: Mapping[str, Any]) -> list[str]:
    """The ids that another pack has."""
    root = __name__.rsplit(".", 2)[0]
    return [
        id
        for id in BY_ID
        if id in registered and not registered[id].__module__.startswith(root + ".")
    ]


def free(registered: Mapping[str, Any]) -> list[type[OldNode]]:
    """Those whose id nobody else has: another pack's node stays, whichever was loaded first."""
    owned = taken(registered)
    return [node for id, node in BY_ID.items() if id not in owned]


def listen(server: Any, registered: Mapping[str, Any]) -> None:
    """Prompts are read as old graphs mean them; when all packs are loaded, the log says which ids others have."""

    def understand(data: dict[str, Any]) -> dict[str, Any]:
        ours = {**BY_ID, **{id: kind for id, kind in registered.items() if _is_ours(kind)}}
        return {**data, "prompt": prompts.understood(data.get("prompt"), BY_ID, ours)}

    async def say(_: object) -> None:
        if owned := taken(registered):
            log.info(
                "Another pack has %s: its nodes are used for them, not ip-adapter-nodes's own.",
                ", ".join(owned),
            )

    server.add_on_prompt_handler(understand)
    server.app.on_startup.append(say)


def _is_ours(kind: Any) -> bool:
    return kind.__module__.startswith(__name__.rsplit(".", 2)[0] + ".")
