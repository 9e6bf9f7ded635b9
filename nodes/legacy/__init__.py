"""The nodes of saved graphs: those of IPAdapter_plus, today's and before March 2024, and laksjdjf's. Nothing new belongs here."""

import logging
from collections.abc import Mapping
from typing import Any

from . import apply, encoded, images, load, regional, schedule, v1
from .base import OldNode
from .option import IPAdapterOldGraphs

__all__ = ["IPAdapterOldGraphs", "free"]

log = logging.getLogger("ipadapter")
NODES: list[type[OldNode]] = [
    node
    for module in (apply, encoded, images, load, regional, schedule, v1)
    for node in module.NODES
]


def free(registered: Mapping[str, Any]) -> list[type[OldNode]]:
    """Those whose id nobody else has; the others step aside, and the log says so."""
    root = __name__.rsplit(".", 2)[0]
    owned = [
        node.NODE_ID
        for node in NODES
        if (other := registered.get(node.NODE_ID)) is not None
        and not other.__module__.startswith(root)
    ]
    if owned:
        log.info("ip-adapter-nodes leaves %s to the pack that has them already.", ", ".join(owned))
    return [node for node in NODES if node.NODE_ID not in owned]
