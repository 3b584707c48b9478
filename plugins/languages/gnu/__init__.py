"""What C and C++ have in common: GCC, and one executable of solution and tests."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

from qharness import MissingDependencyError, Toolchain
from qharness.plugins.languages.native import native_modules

_HERE = Path(__file__).parent
_SAYS = ("-fno-diagnostics-show-caret", "-fdiagnostics-color=never")
_FLAGS = ("-Wl,--wrap=main", "-Wreturn-type", "-fmax-errors=3", *_SAYS)


def gnu_toolchain(compiler: str, language: str, suffix: str, fix: str, libraries: tuple[str, ...] = ()) -> Toolchain:
    """Return the toolchain of `gcc` or `g++`; raise MissingDependencyError, with the command `fix`, without it."""
    found = shutil.which(compiler)
    if not found:
        raise MissingDependencyError(f"{compiler} on PATH", fix)
    settings = {
        "compile": [found, "-x", language, *_FLAGS],
        "libraries": list(libraries),
        "between": (_HERE / "gnu_report.c").read_text(encoding="utf-8"),
        "suffix": suffix,
    }
    prefix = Path(found).resolve().parent.parent
    return Toolchain(
        command=(),
        readable=() if prefix == Path("/usr") else (prefix,),
        version=_version(found),
        checked_harness=native_modules(_HERE / "gnu_build.py", settings),
        executable_files=True,
    )


@cache
def _version(compiler: str) -> str:
    done = subprocess.run([compiler, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=False)
    return f"{Path(compiler).name} {done.stdout.strip()}"
