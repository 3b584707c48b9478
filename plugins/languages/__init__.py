"""The languages generated programs are written in."""

from __future__ import annotations

from qharness import Language, hookimpl
from qharness.plugins.languages.c import C
from qharness.plugins.languages.cpp import Cpp
from qharness.plugins.languages.go import Go
from qharness.plugins.languages.java import Java
from qharness.plugins.languages.javascript import JavaScript
from qharness.plugins.languages.python import Python
from qharness.plugins.languages.typescript import TypeScript


@hookimpl
def qharness_languages() -> list[type[Language]]:
    """Offer the built-in languages."""
    return [Python, Java, C, Cpp, Go, JavaScript, TypeScript]
