"""TypeScript programs: checked and translated by a compiler that stays, then run as JavaScript."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from qharness import AnswerSyntax, Limits, MissingDependencyError, Toolchain
from qharness.plugins.languages.functions_in_braces import cut_after_function
from qharness.plugins.languages.javascript import node_toolchain
from qharness.plugins.languages.javascript.javascript_answers import TYPESCRIPT

_HERE = Path(__file__).parent
_INSTALLED = tuple(
    Path(folder) for folder in ("/usr/lib/node_modules", "/usr/local/lib/node_modules", "/usr/share/nodejs")
)
_MISSING = "the TypeScript compiler (tsc on PATH)"
_FIX = "npm install -g typescript@5, or apt-get install node-typescript"
_DEBIAN = ("node-typescript",)


@dataclass(frozen=True)
class TypeScript:
    """TypeScript, checked as `tsc` does by default (not `strict`) and run by Node.js."""

    name: ClassVar[str] = "typescript"
    suffixes: ClassVar[tuple[str, ...]] = (".ts", ".mts", ".cts")
    limits: ClassVar[Limits] = Limits(cpu_seconds=15, processes=64)
    answers: ClassVar[AnswerSyntax] = TYPESCRIPT
    missing_names: ClassVar[str] = (
        r"line \d+: error TS(2304|2339|2552|2551|2307|2305)\b"
        r"|(ReferenceError|TypeError): .* is not (defined|a function)"
    )

    def toolchain(self, limits: Limits) -> Toolchain:
        """Return Node.js with our harness and the compiler; raise MissingDependencyError if one is missing."""
        folder, version = _compiler()
        return node_toolchain(limits, f"typescript {version}, ", (_HERE, folder), _HERE / "compiler.js", folder)

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut after the brace that closes the function which the prompt has begun, and helpers of it that follow."""
        return cut_after_function("typescript", prompt, completion, helpers_follow=True)


def _compiler() -> tuple[Path, str]:
    """Return the folder of the compiler's library, and its version."""
    tsc = shutil.which("tsc")
    if not tsc:
        raise MissingDependencyError(_MISSING, _FIX, debian=_DEBIAN)
    near = Path(tsc).resolve().parent.parent
    for folder in (near / "lib", *(each / "typescript/lib" for each in _INSTALLED)):
        if (folder / "typescript.js").is_file():
            return folder.resolve(), _version(folder.parent / "package.json")
    raise MissingDependencyError(
        f"a TypeScript compiler with lib/typescript.js, which {tsc} has not", _FIX, debian=_DEBIAN
    )


@cache
def _version(package: Path) -> str:
    return str(json.loads(package.read_text(encoding="utf-8"))["version"])
