"""What C and C++ have in common: GCC, and one executable of solution and tests."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from qharness import MissingDependencyError, Toolchain
from qharness.plugins.languages.native import native_modules
from qharness.plugins.languages.prepared_tools import prepared_tools

_HERE = Path(__file__).parent
_SAYS = ("-fno-diagnostics-show-caret", "-fdiagnostics-color=never")
_COMPILE = ("-Wreturn-type", "-fmax-errors=3", *_SAYS)
_FLAGS = ("-Wl,--wrap=main", *_COMPILE)
_FATAL = "-fno-sanitize-recover=all"
_SANITIZERS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "undefined": ("-fsanitize=undefined", _FATAL),
    "address": ("-fsanitize=address", _FATAL),
    "both": ("-fsanitize=undefined,address", _FATAL),
}
"""GCC's options for each value of a language's option `sanitize`."""
_NO_COLLECTION = ("--param=ggc-min-heapsize=1000000", "--param=ggc-min-expand=1000")
"""A compiler that has just been forked should not go through all the memory that it shares, to find garbage."""
_PRELOAD, _HEADER = "fork_at_open.so", "first.h"
_COMPILERS_BYTES = 1536 << 20  # of memory that the compilers which have read headers may hold


def gnu_toolchain(
    compiler: str,
    language: str,
    suffix: str,
    debian: Sequence[str],
    libraries: tuple[str, ...] = (),
    precompiled: str = "",
    sanitize: str = "none",
) -> Toolchain:
    """Return the toolchain of `gcc` or `g++`; raise MissingDependencyError, with the packages `debian`, without it.

    `precompiled`: a header that is compiled once, for programs that begin with it. `sanitize`: what a program is
    stopped at besides, a key of _SANITIZERS.
    """
    found = shutil.which(compiler)
    if not found:
        raise MissingDependencyError(f"{compiler} on PATH", debian=debian)
    more = _SANITIZERS[sanitize]
    if more and not _links(found, language, more):
        raise MissingDependencyError(
            f"{' '.join(more[:1])} of {_version(found)}, with its libraries libasan and libubsan", debian=debian
        )
    folder = _prepared(found, language, precompiled, more)
    parts = ["gnu_report.c", *(["gnu_sanitizers.c"] if more else [])]
    settings: dict[str, object] = {
        "compile": [found, "-x", language, *_FLAGS, *more],
        "libraries": list(libraries),
        "between": "".join((_HERE / part).read_text(encoding="utf-8") for part in parts),
        "suffix": suffix,
        "servers": 6 if precompiled else 16,  # so that they stay below _COMPILERS_BYTES: g++ takes 60 to 150 MB each
        "preload": "",
        "precompiled": {f"#include <{precompiled}>": str(folder / _HEADER)} if precompiled else {},
        **_steps(found, language, libraries, folder, more),
    }
    prefix = Path(found).resolve().parent.parent
    return Toolchain(
        command=(),
        readable=(folder,) if prefix == Path("/usr") else (prefix, folder),
        version=" ".join((_version(found), *more[:1])),
        checked_harness=native_modules([_HERE / f"gnu_{name}.py" for name in ("servers", "build")], settings),
        tool=found,
        executable_files=True,
        checker_bytes=_COMPILERS_BYTES,
        limit_address_space=sanitize not in ("address", "both"),  # its sanitizer reserves terabytes
    )


@cache
def _links(compiler: str, language: str, more: tuple[str, ...]) -> bool:
    """Tell whether a program compiles and links with these options: a sanitizer has a library of its own."""
    command = [compiler, "-x", language, *more, "-", "-o", "/dev/null"]
    return not subprocess.run(command, input=b"int main() { return 0; }", capture_output=True, check=False).returncode


@cache
def _steps(
    compiler: str, language: str, libraries: tuple[str, ...], folder: Path, more: tuple[str, ...]
) -> Mapping[str, object]:
    """Return the commands that the compiler would start; none where that is not what we know.

    The assembler makes `o` of `s`, and the linker makes `a` of that: gold, where there is one, takes half the time.
    """
    if sys.platform != "linux" or not (folder / _PRELOAD).stat().st_size:
        return {}
    command = [compiler, "-###", "-x", language, *_FLAGS, *more, "-", "-o", "a", *libraries]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    lines = [shlex.split(line) for line in done.stderr.splitlines() if line.startswith(" ")]
    if len(lines) != 3 or not Path(lines[0][0]).name.startswith("cc1"):
        return {}
    first, second, third = lines
    made, assembled = first[first.index("-o") + 1], second[second.index("-o") + 1]
    names = {made: "s", assembled: "o"}
    linker = shutil.which("ld.gold") or shutil.which("ld")
    assembler = shutil.which(second[0])
    if not linker or not assembler:
        return {}
    link = [names.get(word, word) for word in third[1:]]
    plugin = {link.index("-plugin"), link.index("-plugin") + 1} if "-plugin" in link else set()
    return {
        "compiler": [*(word for word in first[: first.index("-o")] if word != "-"), *_NO_COLLECTION],
        "assembler": [assembler, *(names.get(word, word) for word in second[1:])],
        "linker": [linker, *(w for n, w in enumerate(link) if n not in plugin and not w.startswith("-plugin"))],
        "preload": str(folder / _PRELOAD),
    }


@cache
def _prepared(compiler: str, language: str, header: str, more: tuple[str, ...]) -> Path:
    """Return the folder of what is compiled once: the library that has compilers fork, and a header.

    Each is empty, or missing, where that fails: then programs compile more slowly.
    """
    source = _HERE / "fork_at_open.c"
    parts = (source.read_bytes(), _version(compiler).encode(), header.encode(), " ".join((*_FLAGS, *more)).encode())
    return prepared_tools("gnu", b"|".join(parts), partial(_prepare, compiler, language, source, header, more))


def _prepare(compiler: str, language: str, source: Path, header: str, more: tuple[str, ...], folder: Path) -> None:
    made = folder / _PRELOAD
    shared: list[str | Path] = [compiler, "-x", "c", "-shared", "-fPIC", "-O2", "-o", made, source]
    if subprocess.run(shared, capture_output=True, check=False).returncode:
        made.write_bytes(b"")
    if header:
        (folder / _HEADER).write_text(f"#include <{header}>\n", encoding="utf-8")
        made = folder / f"{_HEADER}.gch"
        compiled = [compiler, "-x", f"{language}-header", *_COMPILE, *more, str(folder / _HEADER), "-o", str(made)]
        subprocess.run(compiled, capture_output=True, check=False)
    for path in folder.iterdir():
        path.chmod(0o644)


@cache
def _version(compiler: str) -> str:
    done = subprocess.run([compiler, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=False)
    return f"{Path(compiler).name} {done.stdout.strip()}"
