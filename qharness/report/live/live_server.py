"""An HTTP server for one reader on this machine: GET only, loopback only, and only by the loopback's own names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from qharness.errors import QHarnessError

LOOPBACK = "127.0.0.1"
_NAMES = (LOOPBACK, "localhost")
_SECONDS_TO_ASK = 10
_SECONDS_TO_STOP = 0.05
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",  # no page of another origin may read or embed an answer
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class LiveAnswer:
    """The body of an answer, its media type and its content security policy."""

    body: bytes
    media_type: str
    policy: str


class LiveServer(ThreadingHTTPServer):
    """Answers each GET of a path by `find`, which returns None for a path that does not exist.

    A request whose Host is not this server's own address is refused: a page elsewhere whose name resolves to the
    loopback (DNS rebinding) sends its own name.
    """

    daemon_threads = True

    def __init__(self, port: int, find: Callable[[str], LiveAnswer | None]) -> None:
        self.find = find
        try:
            super().__init__((LOOPBACK, port), _LiveHandler)
        except OSError as error:
            raise QHarnessError(f"--serve {port}: {LOOPBACK}:{port} cannot be had: {error.strerror}") from None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The values of a request's Host that are answered."""
        return tuple(f"{name}:{self.server_port}" for name in _NAMES)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{self.hosts[0]}/"

    def serve_forever(self, poll_interval: float = _SECONDS_TO_STOP) -> None:
        """Answer until `shutdown`, which waits for as long as that."""
        super().serve_forever(poll_interval)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that has gone away is no event of the study's."""


class _LiveHandler(BaseHTTPRequestHandler):
    server: LiveServer
    timeout = _SECONDS_TO_ASK
    server_version, sys_version = "qharness", ""

    def parse_request(self) -> bool:
        """Read a request; refuse all methods but GET."""
        understood = super().parse_request()
        if understood and self.command != "GET":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
            return False
        return understood

    def do_GET(self) -> None:
        """Answer a path."""
        if self.headers.get_all("Host") not in [[host] for host in self.server.hosts]:
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        found = self.server.find(unquote(self.path.partition("?")[0]))
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            self._send(HTTPStatus.OK, found)

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(status, LiveAnswer(f"{status.phrase}\n".encode(), "text/plain", "default-src 'none'"))

    def _send(self, status: HTTPStatus, answer: LiveAnswer) -> None:
        self.send_response(status)
        headers = {"Content-Type": f"{answer.media_type}; charset=utf-8", "Content-Security-Policy": answer.policy}
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "GET"
        for name, value in {**_HEADERS, **headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Write no line for a request: standard error is the study's."""
