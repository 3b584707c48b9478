"""How a request to the spawner is framed, and its answer. Stdlib only, and little of it: it is often forked."""

import os

HEADER, SEPARATOR = 32, "\x1e"
"""Bytes of a request's first line; and what stands between a checker's part of an answer and the spawner's."""


def new_nonce() -> str:
    """Fifteen hexadecimal digits that name one request."""
    return os.urandom(8).hex()[:15]


def header(payload: str, nonce: str) -> str:
    """The first line of a request, which with its end takes HEADER bytes; the payload is ASCII, and a line too."""
    return f"{len(payload) + 1:>15} {nonce}"
