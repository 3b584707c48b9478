"""Finds the toolchain that a program needs: its language's, with the packages that it asks for."""

from __future__ import annotations

from collections.abc import Sequence

from qharness.api.languages import Language, Limits, PackageLanguage, Toolchain
from qharness.errors import QHarnessError


def find_toolchain(language: Language, packages: Sequence[str] = (), limits: Limits | None = None) -> Toolchain:
    """Find a language's tools and these packages; `limits` are the language's own by default.

    Raises MissingDependencyError where something is not installed, QHarnessError where the language has no packages.
    """
    limits = limits or language.limits
    if not packages:
        return language.toolchain(limits)
    if not isinstance(language, PackageLanguage):
        raise QHarnessError(f"programs in {language.name} cannot have packages, and {', '.join(packages)} is asked for")
    return language.with_packages(language.toolchain(limits), packages)
