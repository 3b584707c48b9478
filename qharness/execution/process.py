"""Starting and killing sandboxed processes."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence


def start(argv: Sequence[str], *, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with pipes, and with only PATH of our environment."""
    return subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        cwd="/",
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started: bwrap's namespace dies with it; without bwrap, its process group does."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def dispose(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, reap it and close its pipes."""
    kill(process)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def encoded(text: str) -> str:
    """Encode text in base64, as one line."""
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
