"""A real S3 server (moto's) in a process of its own, and a proxy that breaks connections to it."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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


class BreakingProxy:
    """Passes TCP connections on to a port of this machine; `break_off` cuts them all and refuses new ones for a time.

    `broken`: how many open connections were cut.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._refuses = False
        self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._server.accept()
                if self._refuses:
                    _cut(client)
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                for source, sink in ((client, server), (server, client)):
                    self._open.add(source)
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        self._open.discard(source)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def break_off(self, seconds: float) -> None:
        """Cut every connection, in the midst of whatever it carries, and let none be made for so long."""
        self._refuses = True
        for each in list(self._open):
            self.broken += 1
            _cut(each)
        time.sleep(seconds)
        self._refuses = False

    def close(self) -> None:
        self._server.close()


def _cut(connection: socket.socket) -> None:
    """Close a connection with a reset, so that what was sent and not read is lost."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connection.close()


def moments(rng: random.Random, count: int, apart_s: tuple[float, float]) -> list[tuple[float, float]]:
    """Pauses between breaks and how long each lasts, in seconds."""
    return [(rng.uniform(*apart_s), rng.uniform(0.1, 4.0)) for _ in range(count)]
