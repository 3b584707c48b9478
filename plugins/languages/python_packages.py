"""Finds the installed packages that a Python program may import: some distributions and their dependencies only.

A folder of links shows a program the files of just these distributions, wherever they are installed. The interpreter
imports from that folder, in the sandbox and outside of it.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from qharness import MissingDependencyError, QHarnessError, cached_folder, first_line

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_MODULE_FILES = (".py", ".so", ".pyd")
_METADATA = (".dist-info", ".egg-info")
_EDITABLE = "__editable__"  # begins the name of an editable install's finder, which stands here for its files


@dataclass(frozen=True)
class ProgramPackages:
    """The packages that a program can import. `versions`: (name, version) of all distributions.

    `folder` holds links to `files`. `modules`: the names by which programs import the distributions asked for.
    """

    versions: tuple[tuple[str, str], ...]
    modules: tuple[str, ...]
    folder: Path
    files: tuple[Path, ...]


@cache
def find_packages(requirements: tuple[str, ...]) -> ProgramPackages:
    """Find installed distributions that satisfy these requirements, with all their dependencies.

    Raises MissingDependencyError, with pip's command, where one is missing or has another version; QHarnessError for a
    malformed requirement, or a distribution that does not list its files.
    """
    asked = [_parsed(text) for text in requirements]
    missing = [str(each) for each in asked if _satisfying(each) is None]
    if missing:
        raise _missing(missing)
    found = _with_dependencies(asked)
    entries = {name: _entries(found[name]) for name in sorted(found)}
    modules: list[str] = []
    for each in asked:
        own = _modules(entries[_name(each)])
        if not own:
            raise QHarnessError(
                f"programs cannot import {each.name}: it does not say which files are its own (an editable install "
                f"does not): pip install --force-reinstall {each.name}"
            )
        modules += own
    links = {at: path for some in entries.values() for at, path in some.items()}
    versions = tuple((name, found[name].version) for name in entries)
    return ProgramPackages(versions, tuple(modules), _folder(versions, links), tuple(sorted(links.values())))


def _parsed(text: str) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement as error:
        said = first_line(error)
        raise QHarnessError(f"package {text!r} is no requirement such as numpy or numpy>=2: {said}") from None


def _name(requirement: Requirement) -> str:
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(requirement.name))


def _missing(requirements: Iterable[str]) -> MissingDependencyError:
    names = sorted(set(requirements))
    return MissingDependencyError(f"{', '.join(names)} (which programs import)", f"pip install {shlex.join(names)}")


def _satisfying(requirement: Requirement) -> metadata.Distribution | None:
    try:
        found = metadata.distribution(requirement.name)
    except metadata.PackageNotFoundError:
        return None
    return found if requirement.specifier.contains(found.version, prereleases=True) else None


def _with_dependencies(asked: Sequence[Requirement]) -> dict[str, metadata.Distribution]:
    """Return by name the distributions asked for and, in turn, those that they require."""
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = list(asked)
    while todo:
        each = todo.pop()
        key = (_name(each), frozenset(each.extras))
        if key in seen:
            continue
        seen.add(key)
        distribution = _satisfying(each)
        if distribution is None:
            raise _missing([f"{each.name}{each.specifier}"])
        found[_name(each)] = distribution
        for text in distribution.requires or ():
            needed = _parsed(text)
            extras = [{"extra": extra} for extra in (each.extras or ("",))]
            if needed.marker is None or any(needed.marker.evaluate(extra) for extra in extras):
                todo.append(needed)
    return found


def _entries(distribution: metadata.Distribution) -> dict[PurePosixPath, Path]:
    """Map a distribution's packages and single files, by their path below the import folder, to where they stand.

    A folder with an `__init__.py` is a package of this distribution alone, and so is the folder of its metadata: each
    is one entry.
    """
    files = [file for file in distribution.files or () if not file.is_absolute() and ".." not in file.parts]
    own = {file.parent for file in files if file.name.partition(".")[0] == "__init__"}
    own |= {file.parents[-2] for file in files if len(file.parts) > 1 and file.parts[0].endswith(_METADATA)}
    found: dict[PurePosixPath, Path] = {}
    for file in files:
        if file.parts[0] == "__pycache__" or file.suffix == ".pth" or file.name.startswith(_EDITABLE):
            continue
        whole = next((each for each in reversed(file.parents[:-1]) if each in own), file)
        path = Path(str(distribution.locate_file(whole))).resolve()
        if path.exists():
            found[PurePosixPath(whole)] = path
    return found


def _modules(entries: Iterable[PurePosixPath]) -> list[str]:
    """List the names of top-level packages and modules."""
    tops = {at.parts[0].partition(".")[0] if at.suffix in _MODULE_FILES else at.parts[0] for at in entries}
    return sorted(name for name in tops if name.isidentifier())


def _folder(versions: tuple[tuple[str, str], ...], links: dict[PurePosixPath, Path]) -> Path:
    """Return the cache's folder of these links."""
    content = repr((versions, sorted((str(at), str(path)) for at, path in links.items())))

    def fill(folder: Path) -> None:
        for at, path in links.items():
            (folder / at).parent.mkdir(parents=True, exist_ok=True)
            (folder / at).symlink_to(path)

    return cached_folder("packages", hashlib.sha256(content.encode()).hexdigest()[:16], fill)
