"""`qharness cache`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from qharness.cli.options import bounded
from qharness.cli.output import echo, print_table
from qharness.errors import CacheError, DataError, QHarnessError
from qharness.progress import note
from qharness.quantization.quantized_artifacts import LIMIT, bytes_of, limit_bytes, quantized_dir
from qharness.storage.artifacts import Artifact
from qharness.storage.benchmark_files import cache_dir
from qharness.storage.whole_folder import remove, unfinished

_KINDS = {
    "quantized": "quantized models",
    "calibration": "calibration sequences",
    "verdicts": "verdicts",
    "toolchains": "languages' harnesses",
    "lm-eval-tasks": "lm-eval's index of its tasks",
    "known-runs": "notes on finished runs",
    "comparisons": "comparisons of runs",
    "packages": "links to packages that programs import",
    "back-translations": "back-translations",
    "studies": "runs of studies whose results are at a URL",
}


def cache(
    action: Annotated[Literal["ls", "rm"], typer.Argument(help="List what is cached, or remove it.")],
    older_than: Annotated[float | None, bounded("older_than", "rm: only what was not used for DAYS days.")] = None,
) -> None:
    """What qharness keeps to save work: quantized models, calibration sequences, verdicts, compiled harnesses.

    Quantized models take QHARNESS_CACHE_GB gigabytes at most, 50 by default: the least recently used ones go.
    """
    entries = sorted(path for kind in _KINDS for path in (cache_dir() / kind).glob("[!.]*"))
    if action == "rm":
        _remove(entries, older_than)
        return
    if older_than is not None:
        raise QHarnessError("--older-than goes with rm")
    rows = [(_KINDS[e.parent.name], e.name, f"{bytes_of(e) / 1e6:.1f}", f"{_days(e):.1f}", _about(e)) for e in entries]
    print_table(("kind", "entry", "MB", "unused, days", "of"), rows)
    taken = sum(bytes_of(entry) for entry in entries if entry.parent == quantized_dir())
    echo(f"quantized models take {taken / 1e9:.2f} of {limit_bytes() / 1e9:g} GB ({LIMIT})")
    echo(str(cache_dir()))


def _remove(entries: Sequence[Path], older_than: float | None) -> None:
    """Remove these entries, or those unused for that many days, but for models that a process is at; print how many."""
    removed = 0
    remove(path for kind in _KINDS for path in unfinished(cache_dir() / kind))
    for entry in entries:
        if older_than is not None and _days(entry) < older_than:
            continue
        if entry.parent == quantized_dir():
            if not Artifact(entry).remove():
                note(f"in use, and left: {entry}")
                continue
        elif entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
        removed += 1
    echo(f"removed {removed} entries of {cache_dir()}")


def _days(entry: Path) -> float:
    return max(0.0, time.time() - Artifact(entry).last_used) / 86400


def _about(entry: Path) -> str:
    """What a quantized model is of, or what calibration sequences are."""
    if not Artifact(entry).there:
        return ""
    try:
        made = Artifact(entry).about()
        return f"{made.get('quant') or made['set']} of {made['model'].split()[0]}, {made['seconds']} s"
    except CacheError:
        return "not only ours: it is not read; remove it"
    except (DataError, LookupError, AttributeError):
        return "damaged: made again when it is needed"
