"""What a language compiles once for all its programs, in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from qharness import DiskError, SandboxError, cached_folder


def prepared_tools(language: str, version: bytes, fill: Callable[[Path], None]) -> Path:
    """Return the folder of a language's tools; where that of this `version` is missing, `fill` writes into it.

    `version`: all that the tools depend on. Raises SandboxError where the cache cannot be written.
    """
    key = f"{language}-{hashlib.sha256(version).hexdigest()[:16]}"
    try:
        return cached_folder("toolchains", key, fill)
    except DiskError as error:
        raise SandboxError(f"{error}; QHARNESS_CACHE_DIR moves it") from None
