"""The doctor for the browser. Names of the model table come in, never an address or a path.

GET  /ipadapternodes/doctor      the report
GET  /ipadapternodes/stamps      what saved graphs should say of their files
GET  /ipadapternodes/download    where the download is, or null
POST /ipadapternodes/download    {"name": ...} begins one; {"terms": true} agrees to its terms
POST /ipadapternodes/cancel      ends it
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ...ipadapter_core.doctor.model_table import load
from ...ipadapter_core.doctor.report import Report
from ...ipadapter_core.doctor.report_text import as_data
from ...ipadapter_core.messages import Message, for_page, message_of
from ..project import is_ours
from ..request_body import BAD_REQUEST, UnreadableBody, read_object
from . import scan
from .graph_stamps import stamps
from .jobs import UNKNOWN_FILE, Downloads

ROUTE_PREFIX = "/ipadapternodes"
LARGEST_REQUEST = 10_000  # bytes of JSON


def register(server: Any, registered: Mapping[str, Any]) -> None:
    """Add the routes to the host's server. registered: the host's nodes; those of other packs are
    not ours to stamp.
    """

    def own_nodes() -> list[str]:
        return [name for name, kind in registered.items() if is_ours(kind)]

    add(server.routes, own_nodes, scan.report, Downloads(load()))


def add(
    routes: web.RouteTableDef,
    nodes: Callable[[], list[str]],
    examine: Callable[[], Report],
    downloads: Downloads,
) -> None:
    """The handlers, with what they show and what they start."""

    _add_reports(routes, nodes, examine)

    @routes.get(f"{ROUTE_PREFIX}/download")
    async def progress(request: web.Request) -> web.Response:
        state = downloads.state
        return web.json_response(for_page(asdict(state)) if state else None)

    @routes.post(f"{ROUTE_PREFIX}/download")
    async def start(request: web.Request) -> web.Response:
        if not is_own(request):
            return refused(Message("This request comes from another site and is refused."), 403)
        file_name, are_terms_accepted, status = await _name_and_consent(request)
        published_file = downloads.published_files.get(file_name)
        if published_file is None:
            return refused(UNKNOWN_FILE, status)
        if published_file.terms and not are_terms_accepted:
            return refused(published_file.terms, 428)
        try:
            return web.json_response(for_page(asdict(downloads.start(file_name))))
        except ValueError as error:
            return refused(message_of(error), 409)

    @routes.post(f"{ROUTE_PREFIX}/cancel")
    async def cancel(request: web.Request) -> web.Response:
        if not is_own(request):
            return refused(Message("This request comes from another site and is refused."), 403)
        downloads.cancel()
        return web.json_response({})


def _add_reports(
    routes: web.RouteTableDef, nodes: Callable[[], list[str]], examine: Callable[[], Report]
) -> None:
    @routes.get(f"{ROUTE_PREFIX}/doctor")
    async def doctor(request: web.Request) -> web.Response:
        return web.json_response(for_page(as_data(await asyncio.to_thread(examine))))

    @routes.get(f"{ROUTE_PREFIX}/stamps")
    async def read_stamps(request: web.Request) -> web.Response:
        return web.json_response(stamps(await asyncio.to_thread(examine), nodes()))


def refused(reason: str, status: int) -> web.Response:
    return web.json_response({"error": for_page(reason)}, status=status)


async def _name_and_consent(request: web.Request) -> tuple[str, bool, int]:
    """The name asked for, "" where there is none; whether the terms of the file were shown and
    agreed to; and what to answer if the name is unknown.
    """
    try:
        body = await read_object(request, LARGEST_REQUEST)
    except UnreadableBody as error:
        return "", False, error.status
    name = body.get("name")
    return name if isinstance(name, str) else "", body.get("terms") is True, BAD_REQUEST


def is_own(request: web.Request) -> bool:
    """Whether the host's own page asks, or a program: not a page of another site.

    Stricter than the host, which looks at the origin only on loopback addresses. A page cannot send
    JSON to another origin unasked, and cannot set the headers looked at here.
    """
    if request.content_type != "application/json":
        return False
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    try:
        return origin is None or urlsplit(origin).netloc.lower() == request.host.lower()
    except ValueError:  # an address that is none
        return False
