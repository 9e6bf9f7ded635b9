"""A local server that speaks as much of the Hugging Face hub's protocol as a download needs, with
faults on request.
"""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """Serves `content` as every file of every repository.

    drops: after how many bytes each of the next connections is cut; status: what GET answers
    instead; deaf: ignores Range; said: the size it claims; slow: an event that each block waits
    for.
    """

    def __init__(self, content: bytes):
        self.content, self.commit = content, "c" * 40
        self.drops: list[int] = []
        self.status = 200
        self.deaf = False
        self.said = len(content)
        self.slow: threading.Event | None = None
        self.asked: list[tuple[str, str, str]] = []  # method, path, range
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                hub.answer(self)

            def do_GET(self):
                hub.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        expected = request.headers.get("Range", "")
        self.asked.append((request.command, request.path, expected))
        if "/resolve/" in request.path:
            self._redirect(request)
        elif self.status != 200:
            self._plain(request, self.status)
        else:
            self._send(request, expected)

    def _redirect(self, request) -> None:
        """As the hub does for large files: what it knows of the file, and where the bytes are."""
        etag = hashlib.sha256(self.content).hexdigest()
        request.send_response(302)
        for name, value in (
            ("Location", f"http://localhost:{self.server.server_port}/cdn/{etag}"),
            ("X-Repo-Commit", self.commit),
            ("X-Linked-Size", str(self.said)),
            ("X-Linked-ETag", f'"{etag}"'),
            ("Content-Length", "0"),
        ):
            request.send_header(name, value)
        request.end_headers()

    def _plain(self, request, status: int) -> None:
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _send(self, request, byte_range: str) -> None:
        start = (
            int(byte_range.removeprefix("bytes=").split("-")[0])
            if byte_range and not self.deaf
            else 0
        )
        body = self.content[start:]
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(body)))
        if start:
            last = len(self.content) - 1
            request.send_header("Content-Range", f"bytes {start}-{last}/{len(self.content)}")
        request.end_headers()
        if request.command == "HEAD":
            return
        cut = self.drops.pop(0) if self.drops else len(body)
        for place in range(0, min(cut, len(body)), 65536):
            if self.slow is not None:
                self.slow.wait(20)
            request.wfile.write(body[place : min(place + 65536, cut)])
        if cut < len(body):
            request.wfile.flush()
            request.close_connection = True
            request.connection.shutdown(2)
