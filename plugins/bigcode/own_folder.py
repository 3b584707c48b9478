"""What surrounds a call of bigcode-evaluation-harness: leave to run code, and a temporary folder of that call's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_ALLOW = "HF_ALLOW_CODE_EVAL"


@contextmanager
def own_folder(executes: bool) -> Iterator[None]:
    """Run a block with an empty temporary folder, removed afterwards, for this process and its children.

    MultiPL-E's tasks write a file for each problem there and average every file of results that they find. `executes`:
    also set the variable that lets `evaluate`'s metrics run code; the host has asked for --allow-unsandboxed.
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="qharness-bigcode-", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder
        try:
            with _environment({"TMPDIR": folder, **({_ALLOW: "1"} if executes else {})}):
                yield
        finally:
            tempfile.tempdir = before


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and give them their former values at the end."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
