"""Finds the toolchain that a program needs: its language's, with the packages that it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from threading import Thread

from qharness.api.languages import Language, Limits, PackageLanguage, Toolchain
from qharness.errors import QHarnessError
from qharness.registry import get_registry
from qharness.specs import TaskName

_begun: dict[str, Thread] = {}  # by language


def begin_toolchains(tasks: Iterable[str]) -> None:
    """Have the languages of these tasks, where they are ours, prepare their tools in threads: others compile a harness.

    For commands that import for seconds before they need one: `find_toolchain` waits for it, and tells what is wrong.
    """
    registry = get_registry()
    for name in tasks:
        entry = registry.tasks.get(TaskName.of(name).base)
        named = (entry and entry.value.language) or ""
        if named in registry.languages and named not in _begun:
            _begun[named] = Thread(target=_prepare, args=(registry.language(named),), name=f"{named} toolchain")
            _begun[named].start()


def _prepare(language: Language) -> None:
    with suppress(Exception):  # a plugin's, of any kind
        language.toolchain(language.limits)


def find_toolchain(language: Language, packages: Sequence[str] = (), limits: Limits | None = None) -> Toolchain:
    """Find a language's tools and these packages; `limits` are the language's own by default.

    Raises MissingDependencyError where something is not installed, QHarnessError where the language has no packages.
    """
    if begun := _begun.get(language.name):
        begun.join()
    limits = limits or language.limits
    if not packages:
        return language.toolchain(limits)
    if not isinstance(language, PackageLanguage):
        raise QHarnessError(f"programs in {language.name} cannot have packages, and {', '.join(packages)} is asked for")
    return language.with_packages(language.toolchain(limits), packages)
