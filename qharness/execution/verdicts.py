"""The cache of verdicts: a program that was judged before is not run again."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import asdict

from qharness.api.languages import Limits, Outcome, Program, Status, Toolchain
from qharness.execution.sandbox import Isolation
from qharness.progress import note
from qharness.registry import own_version
from qharness.storage.benchmark_files import cache_dir, cache_path
from qharness.storage.json_values import without_lone_surrogates
from qharness.storage.ownership import close_to_others

_LASTING = frozenset({Status.PASSED, Status.FAILED, Status.ERROR, Status.COMPILE_ERROR, Status.EARLY_EXIT})
"""The verdicts that another run would find too. Time, memory and output ran out on this machine, this time."""
_AT_A_TIME = 500
_VERSION = 3
"""The version of what a program sees in the sandbox: raise it when that changes, so that no older verdict is used."""
_TABLE = "judged (key TEXT PRIMARY KEY, status TEXT, detail TEXT, seconds REAL, in_process INTEGER)"
_STAGES = "stages (key TEXT PRIMARY KEY, names TEXT)"  # a table of its own, so that older versions can use the other


class VerdictCache:
    """A table of verdicts by the hash of all that a verdict depends on. Several processes may use it at once."""

    def __init__(self) -> None:
        path = cache_path("verdicts", "verdicts.sqlite")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with closing(self._open()) as table, table:
            table.execute("DROP TABLE IF EXISTS verdicts")  # before 0.2, a verdict could come of an earlier program
            for each in (_TABLE, _STAGES):
                table.execute(f"CREATE TABLE IF NOT EXISTS {each}")
        with suppress(OSError):  # of a cache that may only be read
            close_to_others(path)

    def find(self, keys: Iterable[str]) -> dict[str, Outcome]:
        """Return the verdicts known under these keys; none, and write a note, where the cache cannot be read."""
        wanted = list(keys)
        found: dict[str, Outcome] = {}
        try:
            with closing(self._open()) as table:
                for start in range(0, len(wanted), _AT_A_TIME):
                    some = wanted[start : start + _AT_A_TIME]
                    marks = ",".join("?" * len(some))
                    query = f"SELECT * FROM judged LEFT JOIN stages USING (key) WHERE key IN ({marks})"  # noqa: S608
                    found |= {key: _outcome(*fields) for key, *fields in table.execute(query, some)}
        except (OSError, sqlite3.Error, ValueError) as error:
            note(f"the cache of verdicts cannot be read, so programs run again: {self._path}: {error}")
        return found

    def add(self, outcomes: Mapping[str, Outcome]) -> None:
        """Store those verdicts that another run would find too; write a note where the cache cannot be written."""
        rows = [
            (key, str(o.status), without_lone_surrogates(o.detail), o.seconds, o.in_process)
            for key, o in outcomes.items()
            if o.status in _LASTING
        ]
        stages = [(key, " ".join(o.stages)) for key, o in outcomes.items() if o.status in _LASTING and o.stages]
        try:
            with closing(self._open()) as table, table:
                table.executemany("INSERT OR REPLACE INTO judged VALUES (?, ?, ?, ?, ?)", rows)
                table.executemany("INSERT OR REPLACE INTO stages VALUES (?, ?)", stages)
        except (OSError, sqlite3.Error) as error:
            note(f"the verdicts could not be cached for other runs: {self._path}: {error}")

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60)


def _outcome(status: str, detail: str, seconds: float, in_process: int, stages: str | None) -> Outcome:
    passed = tuple((stages or "").split())
    return Outcome(Status(status), detail, seconds, cached=True, in_process=bool(in_process), stages=passed)


def verdict_cache() -> VerdictCache | None:
    """Open the cache; None where QHARNESS_NO_CACHE=1 turns it off or its folder cannot be written."""
    if os.environ.get("QHARNESS_NO_CACHE") == "1":
        return None
    try:
        return VerdictCache()
    except (OSError, sqlite3.Error) as error:
        note(f"verdicts are not cached for other runs: {cache_dir() / 'verdicts'}: {error}")
        return None


def verdict_key(program: Program, toolchain: Toolchain, limits: Limits, isolation: Isolation) -> str:
    """Return the SHA-256 of a program with its tests, its toolchain and packages, the limits, and the isolation."""
    of_program: dict[str, object] = {name: value for name, value in vars(program).items() if name != "cases"}
    if program.cases:
        of_program["cases"] = program.cases.digest
    parts = {
        "program": of_program,
        "tool": [
            toolchain.version,
            toolchain.harness,
            *toolchain.checked_harness,
            *toolchain.command,
            *toolchain.compiler,
            *toolchain.runner,
        ],
        "packages": toolchain.packages,
        "limits": asdict(limits),
        "isolation": isolation.name,
        "version": _VERSION,
        "qharness": own_version(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
