"""A local HTTP server between a client and a real one, which spoils some answers and passes the others on."""

from __future__ import annotations

import http.server
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Fault = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the next fault, if one is left, and otherwise with what the real server answers."""

    protocol_version = "HTTP/1.1"
    faulty: FaultyServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.pass_on(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.faulty.lock:
            self.faulty.bodies.append(json.loads(body))
            self.faulty.keys.append(self.headers["Authorization"])
            self.faulty.in_flight += 1
            self.faulty.most_in_flight = max(self.faulty.most_in_flight, self.faulty.in_flight)
            fault = next(self.faulty.faults, None)
        try:
            time.sleep(self.faulty.delay_s)
            if fault:
                fault(self)
            else:
                self.pass_on(body)
        except BrokenPipeError:
            pass
        finally:
            with self.faulty.lock:
                self.faulty.in_flight -= 1

    def pass_on(self, body: bytes | None) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.faulty.real + self.path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self.answer(error.code, error.read())

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        if length is not None:
            self.close_connection = True


@dataclass
class FaultyServer:
    """What it does, and what it saw: request bodies, `Authorization` headers, requests at a time."""

    real: str
    faults: Iterator[Fault | None] = field(default_factory=lambda: iter(()))
    delay_s: float = 0.0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""


@contextmanager
def faulty_server(real: str, faults: Iterable[Fault | None] = (), delay_s: float = 0.0) -> Iterator[FaultyServer]:
    """Serve on a free port until the block ends; the n-th POST meets the n-th fault, None for none."""
    state = FaultyServer(real, iter(faults), delay_s)
    handler = type("OwnHandler", (Handler,), {"faulty": state})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield state
        server.shutdown()


def status(number: int, message: str = "no", headers: dict[str, str] | None = None, **more: object) -> Fault:
    """An error as the API has it."""
    body = json.dumps({"error": {"message": message, **more}}).encode()
    return lambda handler: handler.answer(number, body, headers)


def torn(handler: Handler) -> None:
    """A body that ends before its length."""
    handler.answer(200, b'{"choices": [', length=500)


def cut(handler: Handler) -> None:
    """A whole body that is no whole JSON."""
    handler.answer(200, b'{"choices": [{"text": "ret')


def hanging(seconds: float) -> Fault:
    """No answer for a while, and then none at all."""

    def wait(handler: Handler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return wait


def says(text: str) -> Fault:
    """A chat's answer of that text."""
    body = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
    return lambda handler: handler.answer(200, body)


def refusing(*options: str) -> Iterator[Fault | None]:
    """Refuse each option once, as the API does that knows no such parameter."""
    for option in options:
        yield status(400, f"Unsupported parameter: '{option}'", param=option, code="unsupported_parameter")
