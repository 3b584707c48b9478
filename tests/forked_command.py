"""`qharness` as a user runs it, in a process of its own, less the seconds that its imports take.

A server (`python -m tests.forked_command`) imports all that the commands import, and forks itself for each of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_SERVER = ("-m", "tests.forked_command")


class ForkedCommand:
    """Runs commands in forks of one server; `environment`: of the server, whose imports may read it."""

    def __init__(self, repository: Path, environment: Mapping[str, str]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, *_SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=repository,
            env=dict(environment),
        )

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run one command in that folder, with no environment but that; raise TimeoutError after five minutes."""
        assert self._server.stdin and self._server.stdout
        with tempfile.TemporaryDirectory() as scratch:
            streams = [f"{scratch}/{name}" for name in ("stdout", "stderr")]
            command = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
            self._server.stdin.write(json.dumps({**command, "streams": streams}) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            texts = [Path(stream).read_text(encoding="utf-8", errors="replace") for stream in streams]
        if code == _TOO_LONG:
            raise TimeoutError(f"{arguments}: {texts[1]}")
        return subprocess.CompletedProcess(["qharness", *arguments], code, *texts)

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin and self._server.stdout
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


_TOO_LONG = -1000
_PATIENCE_S = 300


def _serve() -> None:
    """Fork for each command that standard input names; return in the fork, ready to run it."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in iter(sys.stdin.readline, ""):
        command = json.loads(line)
        if not (child := os.fork()):
            answers.close()
            _become(command)
            return
        answers.write(f"{_ended(child)}\n")
        answers.flush()
    os._exit(0)


def _ended(child: int) -> int:
    """The exit code of a fork, negative for a signal; one that takes too long is killed."""
    import signal
    import time

    for _ in range(_PATIENCE_S * 100):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return _TOO_LONG


def _become(command: dict[str, object]) -> None:
    """Give this process the streams, folder, environment and arguments of a command."""
    for number, stream in enumerate(command["streams"], 1):  # type: ignore[arg-type, var-annotated]
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(str(command["folder"]))
    os.environ.clear()
    os.environ.update(command["environment"])  # type: ignore[call-overload]
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["qharness", *command["arguments"]]  # type: ignore[misc]


_IMPORTED = ("lm_eval.api.task", "lm_eval.evaluator", "lm_eval.tasks", "transformers", "qharness.study.run_jobs",
             "qharness.study.sweep", "qharness.report")  # fmt: skip

if __name__ == "__main__":
    import atexit
    import gc
    import importlib

    status = [1]

    @atexit.register  # the first, so that it runs last: to free all that was imported takes longer than most commands
    def end() -> None:
        """End without that; threads have ended, and files are closed."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status[0])

    from qharness.cli import main

    for each in _IMPORTED:
        importlib.import_module(each)
    gc.collect()
    gc.freeze()  # a fork that looks through these objects copies their pages
    _serve()
    try:
        main()
    except SystemExit as ending:
        status[0] = ending.code  # type: ignore[assignment]  # main gives a number
        raise
