"""Installed packages that a Python program may import: these distributions, what they depend on, and nothing else.

A folder of links shows a program the files of just these distributions, wherever they are installed; it is what the
interpreter imports from, in the sandbox and outside of it.
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

from qharness import MissingDependencyError, QHarnessError, cached_folder

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_MODULE_FILES = (".py", ".so", ".pyd")
_METADATA = (".dist-info", ".egg-info")
_EDITABLE = "__editable__"  # of an editable install, which has the finder of its files here and not these


@dataclass(frozen=True)
class ProgramPackages:
    """What a program is shown. `versions`: by name, of all distributions; `folder`: of links to `files`.

    `modules`: the names under which the distributions that were asked for are imported.
    """

    versions: tuple[tuple[str, str], ...]
    modules: tuple[str, ...]
    folder: Path
    files: tuple[Path, ...]


@cache
def find_packages(requirements: tuple[str, ...]) -> ProgramPackages:
    """Find what satisfies these requirements among the installed distributions, with all that they depend on.

    Raises MissingDependencyError, with pip's command, for what is missing or has another version; QHarnessError for
    what is no requirement, or for a distribution of which no one can say which files are its own.
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
        said = str(error).splitlines()[0]
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
    """The distributions by name, those that the asked ones need, those that these need, and so on."""
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
    """Where a distribution's files stand, by where they are imported from: whole packages, or single files.

    A folder that holds an `__init__.py` of its own is a package, which no other distribution has a part in; nor has one
    in the folder of the distribution's metadata.
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
    """The names of packages and modules at the top."""
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
