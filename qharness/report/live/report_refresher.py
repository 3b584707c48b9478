"""Writes the report of a running study anew as runs finish, in a process of its own that cannot harm the study."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from qharness.specs import MaxLoss

_SECONDS_AT_MOST = 600


class ReportRefresher:
    """Keeps a report of the finished runs in `folder`, each time in a new folder. Used as a context.

    A report that fails, or takes more than ten minutes, leaves the last one in place and `error` says why. `share`: of
    the time, at most, in which a report is being written.
    """

    share = 0.2

    def __init__(self, folder: Path, title: str, max_loss: MaxLoss) -> None:
        self._arguments = str(folder), title, str(max_loss)
        self._wanted, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._process: subprocess.Popen[str] | None = None
        self.number = 0
        self.error = ""
        self.report: Path | None = None

    def __enter__(self) -> ReportRefresher:
        self._top = Path(tempfile.mkdtemp(prefix="qharness-live-"))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._wanted.set()
        if self._process is not None:
            self._process.kill()
        self._thread.join(_SECONDS_AT_MOST)
        shutil.rmtree(self._top, ignore_errors=True)

    def want(self) -> None:
        """Have the report written anew, soon."""
        self._wanted.set()

    def _work(self) -> None:
        while self._wanted.wait() and not self._over.is_set():
            self._wanted.clear()
            began = time.monotonic()
            try:
                self._write()
            except OSError as error:  # no process, or no room, for this one
                self.error = str(error)
            self._over.wait((time.monotonic() - began) * (1 / self.share - 1))

    def _write(self) -> None:
        folder, title, max_loss = self._arguments
        output = self._top / f"report-{self.number + 1}"
        command = [sys.executable, "-m", "qharness.report.live.report_process", folder, str(output), title, max_loss]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
            start_new_session=True,  # Ctrl-C is for the study, which ends this process
        )
        if self._over.is_set():  # it ended while the process began
            self._process.kill()
        try:
            _, said = self._process.communicate(timeout=_SECONDS_AT_MOST)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            said = f"the report took more than {_SECONDS_AT_MOST} seconds"
        if self._process.returncode == 0:
            before, self.report, self.number, self.error = self.report, output, self.number + 1, ""
        else:
            before, self.error = output, (said.strip().splitlines() or ["the report's process was killed"])[-1]
        if before is not None:
            shutil.rmtree(before, ignore_errors=True)
