"""Go programs, compiled and linked without the `go` command; their tests are testify's."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import ClassVar

from qharness import AnswerSyntax, Limits, MissingDependencyError, Toolchain
from qharness.plugins.languages.functions_in_braces import cut_after_function
from qharness.plugins.languages.go.go_answers import GO_ANSWERS
from qharness.plugins.languages.native import native_modules
from qharness.plugins.languages.prepared_tools import prepared_tools

_HERE = Path(__file__).parent
_TESTIFY = "github.com/stretchr/testify"
_SOURCES = (Path("/usr/share/gocode"),)
"""Where Debian keeps the sources of Go packages, besides GOPATH."""
_PACKAGES = "packages"
_FORMAT = "{{if .Export}}packagefile {{.ImportPath}}={{.Export}}{{end}}"


@dataclass(frozen=True)
class Go:
    """Go, by the toolchain of `go` on PATH, with testify."""

    name: ClassVar[str] = "go"
    suffixes: ClassVar[tuple[str, ...]] = (".go",)
    limits: ClassVar[Limits] = Limits(cpu_seconds=15, processes=64)
    answers: ClassVar[AnswerSyntax] = GO_ANSWERS
    missing_names: ClassVar[str] = r".*(undefined: |could not import|undefined \(type .* has no field or method)"

    def toolchain(self, limits: Limits) -> Toolchain:
        """Return compiler and linker, with the standard library and testify, which are compiled once."""
        go = shutil.which("go")
        if not go:
            raise MissingDependencyError("Go (go on PATH)", debian=["golang-go"])
        root, tools, version, path = _environment(go)
        sources = next((each for each in (*path, *_SOURCES) if (each / "src" / _TESTIFY / "assert").is_dir()), None)
        if sources is None:
            raise MissingDependencyError(
                f"testify in {' or '.join(map(str, (*path, *_SOURCES)))}",
                debian=["golang-github-stretchr-testify-dev"],
            )
        folder = _compiled_packages(go, version, sources)
        settings = {
            "compile": [str(tools / "compile"), "-complete", "-pack", "-c", "1"],
            "link": [str(tools / "link"), "-s", "-w", "-buildmode", "exe"],
            "packages": str(folder / _PACKAGES),
            "main": (_HERE / "go_main.go.template").read_text(encoding="utf-8"),
        }
        return Toolchain(
            command=(),
            readable=(folder, *(each for each in (root, tools) if not each.is_relative_to("/usr"))),
            version=version,
            checked_harness=native_modules([_HERE / "go_build.py"], settings),
            tool=go,
            executable_files=True,
            limit_address_space=False,
        )

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut after the brace that closes the function which the prompt has begun, and helpers of it that follow."""
        return cut_after_function("go", prompt, completion, helpers_follow=True)


@cache
def _environment(go: str) -> tuple[Path, Path, str, tuple[Path, ...]]:
    """Return GOROOT, the folder of the compiler and the linker, the version, and the folders of GOPATH."""
    names = ["GOROOT", "GOTOOLDIR", "GOVERSION", "GOPATH"]
    done = subprocess.run([go, "env", *names], capture_output=True, text=True, check=False)
    root, tools, version, path = (done.stdout.splitlines() + [""] * 4)[:4]
    return Path(root).resolve(), Path(tools).resolve(), version, tuple(map(Path, filter(None, path.split(":"))))


@cache
def _compiled_packages(go: str, version: str, sources: Path) -> Path:
    """Return the folder of the compiled standard library and testify; making it takes a minute, once."""
    return prepared_tools("go", f"{version} {sources}".encode(), partial(_compile_packages, go, sources))


def _compile_packages(go: str, sources: Path, folder: Path) -> None:
    """Write the packages into `folder`, and the file that says where each is. Raises OSError with what Go says."""
    cache_folder = folder / "cache"
    around = {"GO111MODULE": "off", "GOPATH": str(sources), "GOCACHE": str(cache_folder), "CGO_ENABLED": "0"}
    wanted = ["std", f"{_TESTIFY}/assert", f"{_TESTIFY}/require"]
    done = subprocess.run(
        [go, "list", "-export", "-deps", "-f", _FORMAT, *wanted],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GOFLAGS": "", "GOTOOLCHAIN": "local", **around},
    )
    if done.returncode:
        raise OSError(f"go list: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    lines: list[str] = []
    for line in filter(None, done.stdout.splitlines()):
        name, _, made = line.removeprefix("packagefile ").partition("=")
        kept = folder / f"{len(lines)}.a"
        shutil.copyfile(made, kept)
        kept.chmod(0o644)
        lines.append(f"packagefile {name}=@FOLDER@/{kept.name}\n")
    shutil.rmtree(cache_folder, ignore_errors=True)
    (folder / _PACKAGES).write_text("".join(lines), encoding="utf-8")
    (folder / _PACKAGES).chmod(0o644)
