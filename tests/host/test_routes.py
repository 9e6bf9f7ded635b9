"""What the pack's own routes answer to bodies of any kind, and to many at once."""

import asyncio
import io
import json
import time

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

HEADERS = {"Content-Type": "application/json"}
DEEP = b"[" * 100_000 + b"]" * 100_000
NESTED = b'{"workflow":' + b'{"nodes":' * 400 + b"[]" + b"}" * 400 + b"}"
BODIES = {  # body -> the status that fits
    "empty": (b"", 400),
    "no JSON": (b"workflow", 400),
    "a number": (b"7", 400),
    "a list": (b"[1, 2]", 400),
    "null": (b"null", 400),
    "text": (b'"workflow"', 400),
    "no workflow": (b"{}", 400),
    "another encoding": ('{"workflow": "\xe4"}'.encode("latin-1"), 400),
    "zeros": (b"\0" * 1000, 400),
    "deep": (DEEP, 400),
    "nested": (NESTED, 400),
    "a deep graph": (b'{"workflow": ' + DEEP + b"}", 400),
    "a wrong graph": (b'{"workflow": {"nodes": 7, "links": "x"}}', 400),
    "50 MB": (b'{"workflow": "' + b"x" * 50_000_000 + b'"}', 413),
}
GRAPH = json.dumps({"workflow": {"nodes": [], "links": []}}).encode()


class HostServer:
    """As much of the host's server as gets routes."""

    def __init__(self):
        self.routes = web.RouteTableDef()
        self.app = web.Application(client_max_size=100_000_000)

    def add_on_prompt_handler(self, handler):
        pass


@pytest.fixture
def ask(pack, legacy):
    """[(route, body, headers)] -> [(status, answer, seconds)], all asked at once; without a
    body it is read, not sent.
    """

    def run(requests):
        async def asked():
            server = HostServer()
            legacy.listen(server, {})
            pack.nodes.doctor.routes.register(server, {})
            server.app.add_routes(server.routes)
            async with TestClient(TestServer(server.app)) as client:
                return await asyncio.gather(*(one(client, *request) for request in requests))

        async def one(client, route, body, headers):
            started = time.perf_counter()
            data = None if body is None else io.BytesIO(body)
            method = "GET" if body is None else "POST"
            url = f"/ipadapternodes/{route}"
            async with client.request(method, url, data=data, headers=headers) as got:
                return got.status, await got.json(), time.perf_counter() - started

        return asyncio.run(asked())

    return run


@pytest.mark.parametrize("route", ["opened", "upgrade"])
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_is_no_graph_is_refused_at_once(ask, route, kind):
    body, status = BODIES[kind]
    ((found, answer, seconds),) = ask([(route, body, HEADERS)])
    assert found == status
    assert answer["error"]["text"] == "This graph cannot be read."
    assert seconds < 2


WRONG_NAMES = {f"name {name!r:.20}": ({"name": name}, 400) for name in (None, 7, [], {}, "../x")}
NAMES = {
    **BODIES,
    **{kind: (json.dumps(body).encode(), status) for kind, (body, status) in WRONG_NAMES.items()},
    "deep": (DEEP, 413),
    "a deep graph": (DEEP, 413),
    "a long name": (b'{"name": "' + b"x" * 9000 + b'"}', 400),
}


@pytest.mark.parametrize("kind", NAMES)
def test_the_doctor_fetches_nothing_for_a_body_that_names_no_file(ask, kind):
    body, status = NAMES[kind]
    answers = ask([("download", body, HEADERS), ("download", None, {})])
    (found, answer, seconds), (_, download, _) = answers
    assert (found, download) == (status, None)
    assert answer["error"]["text"] == "The model table has no file with that name."
    assert seconds < 2


@pytest.mark.parametrize("kind", BODIES)
def test_the_doctor_cancels_whatever_the_body_is(ask, kind):
    ((status, _, seconds),) = ask([("cancel", BODIES[kind][0], HEADERS)])
    assert status == 200 and seconds < 2


def test_the_doctor_is_asked_by_many_at_once(ask):
    routes = ("doctor", "stamps", "download") * 10
    answers = ask([(route, None, {}) for route in routes])
    assert {status for status, _, _ in answers} == {200}
    assert max(seconds for _, _, seconds in answers) < 2
    reports = [json.dumps(answer) for _, answer, _ in answers[::3]]
    assert len(set(reports)) == 1


@pytest.mark.parametrize("charset", ["utf-16", "no-such-charset", "idna"])
def test_a_charset_in_the_header_changes_nothing(ask, charset):
    headers = {"Content-Type": f"application/json; charset={charset}"}
    ((status, _, _),) = ask([("opened", GRAPH, headers)])
    assert status == 200


def test_many_requests_at_once_are_all_answered(ask):
    bodies = [GRAPH, BODIES["50 MB"][0], NESTED, b"", GRAPH] * 4
    answers = ask([("opened", body, HEADERS) for body in bodies])
    assert [status for status, _, _ in answers] == [200, 413, 400, 400, 200] * 4


def test_an_origin_that_is_no_address_is_not_ours(pack):
    class Request:
        content_type = "application/json"
        host = "127.0.0.1:8188"

        def __init__(self, origin):
            self.headers = {"Origin": origin}

    is_own = pack.nodes.doctor.routes.is_own
    assert is_own(Request("http://127.0.0.1:8188"))
    assert not is_own(Request("http://[bad")) and not is_own(Request("http://elsewhere"))
