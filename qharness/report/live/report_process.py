"""The process that writes a running study's report, at the lowest priority: `FOLDER OUTPUT TITLE MAX_LOSS`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from qharness.errors import QHarnessError, first_line
from qharness.report import write_report
from qharness.specs import MaxLoss

_LOWEST = 19


def main(folder: str, output: str, title: str, max_loss: str) -> str:
    """Write the report; return what went wrong, in a line, or an empty text."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(_LOWEST)
    try:
        write_report([Path(folder)], Path(output), title, MaxLoss.of(max_loss))
    except QHarnessError as error:
        return first_line(error)
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
