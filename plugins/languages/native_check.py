"""The checker of a language that compiles to executable files: it compiles, and hears from the program how it ends.

Solution and tests are one executable, so a verdict comes from the program's own process. A pass is signed by a token
that only this program's code holds.
"""

import os

from qharness.plugins.languages.native_build import build, in_process
from qharness.plugins.languages.native_error import CompileError

_LENGTH, _LONGEST = 12, 1 << 16


def check(job, channel, cpu_seconds):
    """Compile a job's `source` and `tests`, send the executable, and return (status, detail, in process)."""
    token = os.urandom(16).hex()
    try:
        image = build(job["source"], job["tests"], token, max(cpu_seconds // 2, 1))
    except CompileError as error:
        return error.status, error.detail[:300], False
    reaches = in_process(job["source"], job["tests"])
    try:
        data = memoryview(f"{len(image):{_LENGTH}}".encode() + image)
        while data:
            data = data[os.write(channel, data) :]
        return (*_reported(channel, token), reaches)
    except OSError:
        return "gone", "", reaches


def _reported(channel, token):
    """Return (status, detail) of the first line that counts: one with the token, or one that claims no pass."""
    report = b""
    while len(report) < _LONGEST and (piece := os.read(channel, _LONGEST)):
        report += piece
        for line in report[: report.rfind(b"\n") + 1].decode("utf-8", "replace").splitlines():
            signed, _, said = line.partition(" ")
            status, _, detail = said.partition(" ")
            if signed == token or (signed == "-" and status in ("failed", "error", "early-exit")):
                return status, detail[:300]
    return "gone", ""
