"""JavaScript programs, run by Node.js; their tests run in another process, to which values cross."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from qharness import AnswerSyntax, Limits, MissingDependencyError, Toolchain
from qharness.plugins.languages.functions_in_braces import cut_after_function
from qharness.plugins.languages.javascript.javascript_answers import JAVASCRIPT

_HERE = Path(__file__).parent
_HARNESS = tuple(_HERE / f"javascript_{name}.py" for name in ("check", "program"))
_FLAGS = ("--stack-size=984", "--no-warnings", "--v8-pool-size=1")
_LEAST_VERSION = 18


def find_node() -> tuple[str, str]:
    """Return the path of Node.js and its version; raise MissingDependencyError if there is none, or only an old one."""
    node = shutil.which("node") or shutil.which("nodejs")
    version = _version(node) if node else ""
    if not node or not version or int(version.split(".")[0]) < _LEAST_VERSION:
        raise MissingDependencyError(f"Node.js {_LEAST_VERSION} or newer (node on PATH)", debian=["nodejs"])
    return str(Path(node).resolve()), version


@cache
def _version(node: str) -> str:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().removeprefix("v")


@dataclass(frozen=True)
class JavaScript:
    """JavaScript, run by Node.js as a script that can `require` its modules."""

    name: ClassVar[str] = "javascript"
    suffixes: ClassVar[tuple[str, ...]] = (".js", ".mjs", ".cjs")
    limits: ClassVar[Limits] = Limits(processes=64)
    answers: ClassVar[AnswerSyntax] = JAVASCRIPT
    missing_names: ClassVar[str] = (
        r"(ReferenceError: .* is not defined|TypeError: .* is not a function|Error: Cannot find module)"
    )

    def toolchain(self, limits: Limits) -> Toolchain:
        """Return Node.js with our harness; raise MissingDependencyError if there is none, or only an old one."""
        return node_toolchain(limits)

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut after the brace that closes the function which the prompt has begun, and helpers of it that follow."""
        return cut_after_function("javascript", prompt, completion, helpers_follow=True)


def node_toolchain(
    limits: Limits,
    version: str = "",
    readable: tuple[Path, ...] = (),
    compiler: Path | None = None,
    folder: Path | None = None,
) -> Toolchain:
    """Return Node.js with our harness. `version` and `readable` are added to its own.

    `compiler`: a script whose export prepares a program's source and tests; `folder`: that of the compiler it takes.
    """
    node, own_version = find_node()
    heap = f"--max-old-space-size={3 * limits.memory_bytes >> 20}"  # the supervisor's limit comes first
    settings = {
        "program": [node, *_FLAGS, heap, str(_HERE / "program.js")],
        "tests": [node, *_FLAGS, str(_HERE / "tests.js"), *([str(compiler)] if compiler else [])],
        "environment": {"QHARNESS_TYPESCRIPT": str(folder)} if folder else {},
    }
    texts = [("javascript_settings", f"SETTINGS = {settings!r}")]
    texts += [(path.stem, path.read_text(encoding="utf-8")) for path in _HARNESS]
    prefix = Path(node).resolve().parent.parent
    files = [*sorted(_HERE.glob("*.js")), *([compiler] if compiler else [])]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]
    return Toolchain(
        command=(),
        readable=(*(() if prefix == Path("/usr") else (prefix,)), _HERE, *readable),
        version=f"{version}node {own_version}, harness {digest}",
        checked_harness=tuple((f"qharness.plugins.languages.{name}", text) for name, text in texts),
        tool=node,
        limit_address_space=False,
    )
