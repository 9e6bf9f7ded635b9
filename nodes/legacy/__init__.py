"""The nodes of saved graphs: those of IPAdapter_plus, today's and before March 2024, and laksjdjf's. Nothing new belongs here."""

import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ...ipadapter_core.messages import Message, for_page
from ..project import is_ours
from .ids import (
    apply_nodes,
    before_march_2024,
    embeds_nodes,
    first,
    image_nodes,
    laksjdjf,
    loader_nodes,
    region_nodes,
    variants,
    weight_lists,
)
from .ids.old_graphs_switch import IPAdapterOldGraphs
from .ids.old_node import OldNode
from .reading import open_graph, prompts
from .upgrade import canvas

__all__ = ["IPAdapterOldGraphs", "free", "listen", "taken"]

log = logging.getLogger("ipadapter")
MODULES = (
    apply_nodes,
    variants,
    embeds_nodes,
    image_nodes,
    loader_nodes,
    region_nodes,
    weight_lists,
    before_march_2024,
    laksjdjf,
    first,
)
NODES: list[type[OldNode]] = [node for module in MODULES for node in module.NODES]
UNREADABLE = KeyError, TypeError, ValueError, AttributeError
BY_ID = {node.NODE_ID: node for node in NODES}


def taken(registered: Mapping[str, Any]) -> list[str]:
    """The ids that another pack has."""
    return [id for id in BY_ID if id in registered and not is_ours(registered[id])]


def free(registered: Mapping[str, Any]) -> list[type[OldNode]]:
    """Those whose id nobody else has: another pack's node stays, whichever was loaded first."""
    owned = taken(registered)
    return [node for id, node in BY_ID.items() if id not in owned]


def listen(server: Any, registered: Mapping[str, Any]) -> None:
    """Prompts are read as old graphs mean them, and saved graphs upgraded on request; the log says which ids others have."""

    def owners() -> tuple[dict[str, type[OldNode]], dict[str, Any], dict[str, Any]]:
        """Our old nodes that are in use, all nodes of ours, and another pack's that have an old node's id."""
        owned = taken(registered)
        mine = {id: kind for id, kind in BY_ID.items() if id not in owned}
        ours = {**mine, **{id: kind for id, kind in registered.items() if is_ours(kind)}}
        return mine, ours, {id: registered[id] for id in owned}

    def understand(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "prompt": prompts.read_prompt(data.get("prompt"), *owners())}

    async def open_(request: web.Request) -> web.Response:
        """{workflow}: -> the nodes of it and of its subgraphs as they are understood here, and what was replaced."""
        try:
            made, said = open_graph.open_graph((await request.json())["workflow"], *owners())
        except UNREADABLE as error:
            return unreadable(error)
        return web.json_response({"nodes": made, "report": for_page(said)})

    async def say(_: object) -> None:
        if owned := taken(registered):
            log.info(
                "Another pack has %s: its nodes are used for them, not ip-adapter-nodes's own.",
                ", ".join(owned),
            )

    async def upgrade(request: web.Request) -> web.Response:
        """{workflow, only}: -> the workflow with new nodes, and a line for each change."""
        try:
            given = await request.json()
            only = None if given.get("only") is None else set(map(str, given["only"]))
            made, report = canvas.upgraded_workflow(given["workflow"], BY_ID, inputs_of, only)
        except UNREADABLE as error:
            return unreadable(error)
        lines = [change.describe() for change in report]
        return web.json_response({"workflow": made, "report": for_page(lines)})

    def inputs_of(kind: str) -> dict[str, Any]:
        return registered[kind].INPUT_TYPES()

    def unreadable(error: Exception) -> web.Response:
        log.warning("A graph could not be read: %s", error)
        text = Message("This graph cannot be read.")
        return web.json_response({"error": for_page(text)}, status=400)

    server.routes.post("/ipadapternodes/upgrade")(upgrade)
    server.routes.post("/ipadapternodes/opened")(open_)
    server.add_on_prompt_handler(understand)
    server.app.on_startup.append(say)
