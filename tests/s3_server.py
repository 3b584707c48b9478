"""A real S3 server (moto's) in a process of its own, and a proxy that breaks connections to it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

BUCKET = "there"


@contextmanager
def s3_server() -> Iterator[int]:
    """Yield the port of an S3 server with one bucket, `there`; skip the test where it is not installed."""
    for needed in ("moto", "s3fs", "flask"):
        pytest.importorskip(needed, reason="pip install s3fs 'moto[s3,server]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        import s3fs

        settings = {"endpoint_url": address(port), "key": "somebody", "secret": "something"}
        s3fs.S3FileSystem(**settings, use_listings_cache=False).mkdir(BUCKET)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def credentials(port: int) -> dict[str, str]:
    """The environment in which `s3://` leads to the server."""
    return {
        "AWS_ENDPOINT_URL": address(port),
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@dataclass(frozen=True)
class Break:
    """A break of the connection: after so many more bytes have passed, for so many seconds."""

    after_bytes: int
    seconds: float


class BreakingProxy:
    """Passes TCP connections on to a port of this machine, and breaks them at places that the seed decides.

    A break cuts every open connection in the midst of what it carries, and lets none be made for a time. `broken`: the
    connections that were cut, by break; `refused`: how many were refused.
    """

    def __init__(self, target: int, breaks: Sequence[Break]) -> None:
        self._target, self._left = target, list(breaks)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._passed, self._refuses_until = 0, 0.0
        self.broken: list[int] = []
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._server.accept()
                if time.monotonic() < self._refuses_until:
                    self.refused += 1
                    _cut(client)
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self._open |= {client, server}
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if (passes := self._passes(len(data))) < len(data):
                    sink.sendall(data[:passes])
                    self._break_off()
                    break
                sink.sendall(data)
        with self._lock:
            self._open -= {source, sink}
        for each in (source, sink):
            _cut(each)

    def _passes(self, count: int) -> int:
        """How many of so many bytes pass before the next break, if it is due within them."""
        with self._lock:
            passed, self._passed = self._passed, self._passed + count
            if not self._left or self._passed <= self._left[0].after_bytes:
                return count
            self._passed = 0
            self._refuses_until = time.monotonic() + self._left[0].seconds
            return max(0, self._left.pop(0).after_bytes - passed)

    def _break_off(self) -> None:
        with self._lock:
            cut, self._open = self._open, set()
        self.broken.append(len(cut) // 2)
        for each in cut:
            _cut(each)

    def close(self) -> None:
        self._server.close()


def _cut(connection: socket.socket) -> None:
    """Close a connection with a reset, so that what was sent and not read is lost."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connection.close()
