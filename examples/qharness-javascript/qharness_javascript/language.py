"""JavaScript programs, each in a Node.js of its own, under Node's permission model inside the sandbox."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from qharness import Limits, MissingDependencyError, Toolchain, syntax_parser

if TYPE_CHECKING:
    from tree_sitter import Node

HARNESS = Path(__file__).resolve().with_name("on-node")  # Node asks for permission by real paths
OLDEST = 20  # the first version with the permission model
_STABLE = ((22, 13), (23, 5))  # the flag lost its prefix in both of these
_OUT_OF_MEMORY = 128 + 6  # V8 aborts; the process that ran the tests cannot say so itself
_RUN = f"""
"$@"
status=$?
[ $status -eq {_OUT_OF_MEMORY} ] && echo "- out-of-memory the heap's limit"
exit $status
"""


@dataclass(frozen=True)
class JavaScript:
    """JavaScript (scripts, not modules), by the Node.js on PATH."""

    name: ClassVar[str] = "node"
    limits: ClassVar[Limits] = Limits(processes=64)
    missing_names: ClassVar[str] = r"ReferenceError: \S+ is not defined|TypeError: \S+ is not a function"
    suffixes: ClassVar[tuple[str, ...]] = (".js", ".mjs", ".cjs")

    def toolchain(self, limits: Limits) -> Toolchain:
        """Node, our two scripts, and a shell above it, which reports what Node dies of."""
        node, version = _node()
        flags = (
            _permission_flag(version),
            f"--allow-fs-read={HARNESS}/*",
            f"--max-old-space-size={limits.memory_bytes >> 20}",
            "--unhandled-rejections=strict",
            "--no-warnings",
        )
        return Toolchain(
            command=("/bin/sh", "-c", _RUN, _digest(), str(node), *flags, str(HARNESS / "harness.js")),
            readable=(HARNESS, node.parent.parent),
            version=".".join(map(str, version)),
            limit_address_space=False,  # V8 reserves far more than it uses
        )

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut after the closing brace of the function that the prompt opened (it ends in `{`) or declared.

        Braces are counted in the syntax tree's leaves, so that those in strings, comments and regular expressions do
        not count. A function that never closes is left whole.
        """
        text = (prompt + completion).encode("utf-8", "surrogatepass")
        start = len(prompt.encode("utf-8", "surrogatepass"))
        depth, outer = 0, None
        for leaf in _leaves(syntax_parser("javascript").parse(text).root_node):
            if leaf.type not in ("{", "${", "}") or leaf.start_byte == leaf.end_byte:
                continue
            if outer is None and leaf.end_byte > start:
                outer = depth - prompt.rstrip().endswith("{")
            depth += -1 if leaf.type == "}" else 1
            if leaf.type == "}" and outer is not None and depth <= outer:
                return text[start : leaf.end_byte].decode("utf-8", "surrogatepass")
        return completion


@cache
def _node() -> tuple[Path, tuple[int, ...]]:
    """(the interpreter, its version)."""
    found = shutil.which("node") or shutil.which("nodejs")
    if found:
        said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
        version = tuple(int(part) for part in said.strip().removeprefix("v").split(".") if part.isdigit())
        if version >= (OLDEST,):
            return Path(found).resolve(), version
    raise MissingDependencyError(f"Node.js {OLDEST} or newer", "apt-get install nodejs, or https://nodejs.org")


def _permission_flag(version: tuple[int, ...]) -> str:
    stable = any(version[0] == major and version >= (major, minor) for major, minor in _STABLE) or version >= (24,)
    return "--permission" if stable else "--experimental-permission"


@cache
def _digest() -> str:
    """Of our scripts: verdicts are kept by the command that gave them."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(HARNESS.glob("*.js")))).hexdigest()[:16]


def _leaves(root: Node) -> list[Node]:
    """The leaves of a syntax tree from left to right, without recursion: generated code may nest deeply."""
    leaves, stack = [], [root]
    while stack:
        current = stack.pop()
        if current.child_count:
            stack.extend(reversed(current.children))
        else:
            leaves.append(current)
    return leaves
