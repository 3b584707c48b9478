"""The checker and the server of programs for a harness that runs solution and tests in one process. Stdlib only.

The checker sends the job and a token. The harness reads the token when the program is about to run, and signs a pass
with it. The verdict is that of the program's own process.
"""

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qharness.execution.jail.spawning import believed, read_exactly
else:
    from spawning import believed, read_exactly

_LENGTH, _TOKEN_BYTES, _LONGEST = 12, 16, 1 << 16
Main = Callable[[str, str, str, int, int], None]


def check(job: dict[str, str], channel: int, cpu_seconds: int) -> tuple[str, str, bool]:
    """Return (status, detail, True) as the harness reports on `channel`; status `gone` where it reports no end."""
    token = os.urandom(_TOKEN_BYTES).hex()
    payload = json.dumps(job)
    try:
        data = memoryview(f"{len(payload):{_LENGTH}}{payload}{token}".encode())
        while data:
            data = data[os.write(channel, data) :]
        return (*_reported(channel, token), True)
    except OSError:
        return "gone", "", True


def _reported(channel: int, token: str) -> tuple[str, str]:
    report = b""
    while len(report) < _LONGEST and (piece := os.read(channel, _LONGEST)):
        report += piece
        for status, *detail in believed(report[: report.rfind(b"\n") + 1], token):
            return status, detail[0][:300] if detail else ""
    return "gone", ""


def serve(main: Main, channel: int) -> None:
    """Read a job from `channel` and run it by the harness's `main`."""
    job = json.loads(read_exactly(channel, int(read_exactly(channel, _LENGTH))))
    main(job["entry_class"], job["source"], job["tests"], channel, channel)
