"""Mistakes of the user's. The command line prints one line for each of these and exits with 2; all else tracebacks."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def first_line(error: BaseException) -> str:
    """The first line of an error's message with a letter or digit in it; its type's name where none has one."""
    said = (line.strip() for line in str(error).splitlines() if any(map(str.isalnum, line)))
    return next(said, type(error).__name__)


class QHarnessError(Exception):
    """Something the user can put right. The message says what is wrong, where, and what to do."""


class SpecError(QHarnessError):
    """A spec string that does not parse, or options that do not fit the plugin it names."""


class UnknownNameError(QHarnessError):
    """A name that no plugin, task or language has."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(set(known))
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        if near:
            tail = f"did you mean {', '.join(near)}?"
        elif known:
            tail = f"known: {', '.join(known)}"
        else:
            tail = "none is registered"
        super().__init__(f"unknown {kind} {name!r}: {tail}{'; ' + hint if hint else ''}")


class PluginError(QHarnessError):
    """Plugins that cannot stand beside each other, or a hook that does not exist."""


class SettingError(QHarnessError):
    """A setting whose value is out of its bounds or of the wrong kind."""


class DataError(QHarnessError):
    """A benchmark's or a calibration set's data that is missing or damaged."""


class ModelError(QHarnessError):
    """A model that cannot be loaded, or that a quantizer cannot work on."""


class SamplesError(QHarnessError):
    """A samples file or run folder that cannot be read."""


class StudyError(QHarnessError):
    """A study's file that cannot be read, or says something that does not exist."""


class BusyError(QHarnessError):
    """Something that another process is making just now."""


class DiskError(QHarnessError):
    """A file or folder that cannot be written: the disk is full, or does not let us."""


class CacheError(QHarnessError):
    """A file or folder of the cache that somebody else can change, so that nothing in it can be believed."""


class SandboxError(QHarnessError):
    """No isolation that can hold untrusted programs works on this machine."""


class MissingDependencyError(QHarnessError):
    """Something that has to be installed first: a Python package, a JDK, a system tool.

    `what`: its name. `install`: the command that installs it, for people. `debian`: Debian's packages that bring it.
    """

    def __init__(self, what: str, install: str = "", *, debian: Sequence[str] = ()) -> None:
        self.what = what
        self.install = install or f"apt-get install {' '.join(debian)}"
        self.debian = tuple(debian)
        super().__init__(f"{what} is needed: {self.install}")
