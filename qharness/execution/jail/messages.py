"""The framing of requests to the spawner and of its answers. Stdlib only, and little of it: it is often forked."""

import os

HEADER, SEPARATOR = 32, "\x1e"
"""The bytes of a request's first line; and the separator of a checker's part of an answer from the spawner's."""


def new_nonce() -> str:
    """Return fifteen random hexadecimal digits, which name one request."""
    return os.urandom(8).hex()[:15]


def header(payload: str, nonce: str) -> str:
    """Return the first line of a request: HEADER bytes with its line end. The payload, in ASCII, is the second line."""
    return f"{len(payload) + 1:>15} {nonce}"
