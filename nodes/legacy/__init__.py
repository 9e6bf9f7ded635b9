"""The nodes of saved graphs: those of IPAdapter_plus since 2023, laksjdjf's, and two packs' for
FLUX.1. Nothing new belongs here.

ids/ the nodes; reading/ prompts and saved graphs as they were meant; upgrade/ old nodes become new
nodes.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ...ipadapter_core.messages import Message, for_page
from ..input_checks import CHECKS, check_old_node
from ..project import is_ours
from ..request_body import BAD_REQUEST, UnreadableBody, read_object
from .ids.link_checks import LINK_CHECKS
from .ids.node_table import BY_ID, OLD_NODES
from .ids.old_graphs_switch import IPAdapterOldGraphs
from .ids.old_node import OldNode
from .reading import open_graph, prompts
from .upgrade.workflow import upgraded_workflow

__all__ = ["BY_ID", "OLD_NODES", "IPAdapterOldGraphs", "claimed_ids", "free_nodes", "listen"]

Registry = Mapping[str, Any]  # the host's: node id -> class
UNREADABLE = (
    UnreadableBody,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
)
log = logging.getLogger("ipadapter")
CHECKS.update(LINK_CHECKS)
for node in OLD_NODES:
    check_old_node(node)


def claimed_ids(registry: Registry) -> list[str]:
    """The ids that another pack has."""
    return [id for id in BY_ID if id in registry and not is_ours(registry[id])]


def free_nodes(registry: Registry) -> list[type[OldNode]]:
    """Those whose id nobody else has: another pack's node stays, whichever was loaded first."""
    claimed = claimed_ids(registry)
    return [node for id, node in BY_ID.items() if id not in claimed]


def listen(server: Any, registry: Registry) -> None:
    """Prompts are read as old graphs mean them, and saved graphs upgraded on request."""
    requests = OldGraphRequests(registry)
    server.routes.post("/ipadapternodes/upgrade")(requests.upgrade)
    server.routes.post("/ipadapternodes/opened")(requests.open_graph)
    server.add_on_prompt_handler(requests.read_prompt)
    server.app.on_startup.append(requests.log_claimed_ids)


class OldGraphRequests:
    """Requests of the page and prompts, for the nodes that are registered when they come."""

    def __init__(self, registry: Registry):
        self._registry = registry

    def read_prompt(self, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "prompt": prompts.read_prompt(data.get("prompt"), *self._known_nodes())}

    async def open_graph(self, request: web.Request) -> web.Response:
        """{workflow}: -> the nodes of it and of its subgraphs as read here, and what was
        replaced.
        """
        try:
            workflow = (await read_object(request))["workflow"]
            known_nodes = self._known_nodes()
            nodes, report = await asyncio.to_thread(open_graph.open_graph, workflow, *known_nodes)
        except UNREADABLE as error:
            return _refuse(error)
        return web.json_response({"nodes": nodes, "report": for_page(report)})

    async def upgrade(self, request: web.Request) -> web.Response:
        """{workflow, only}: -> the workflow with new nodes, the changes, and a line for each."""
        try:
            body = await read_object(request)
            only = None if body.get("only") is None else set(map(str, body["only"]))
            if not isinstance(body["workflow"]["nodes"], list):
                raise TypeError("its nodes are no list")
            workflow, changes = await asyncio.to_thread(
                upgraded_workflow, body["workflow"], BY_ID, self._registry, only
            )
        except UNREADABLE as error:
            return _refuse(error)
        report = {
            "report": [change.describe() for change in changes],
            "changes": [change.as_data() for change in changes],
        }
        return web.json_response({"workflow": workflow, **for_page(report)})

    async def log_claimed_ids(self, _: object) -> None:
        if claimed := claimed_ids(self._registry):
            log.info(
                "Another pack provides %s: its nodes are used, not those of ip-adapter-nodes.",
                ", ".join(claimed),
            )

    def _known_nodes(self) -> tuple[dict[str, type[OldNode]], Registry, Registry]:
        """Our old nodes that are in use, all our nodes, and another pack's that have an old id."""
        claimed = claimed_ids(self._registry)
        old = {id: node for id, node in BY_ID.items() if id not in claimed}
        own_nodes = {id: node for id, node in self._registry.items() if is_ours(node)}
        return old, {**old, **own_nodes}, {id: self._registry[id] for id in claimed}


def _refuse(error: Exception) -> web.Response:
    log.warning("A graph could not be read: %s", error)
    text = Message("This graph cannot be read.")
    status = error.status if isinstance(error, UnreadableBody) else BAD_REQUEST
    return web.json_response({"error": for_page(text)}, status=status)
