"""Java programs: compiled by a JVM that stays, run by one each, assertions on and annotation processing off."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from qharness import Limits, MissingDependencyError, Toolchain, cache_dir

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_SOURCES = tuple(sorted(path for at in (".", "java-library") for path in Path(__file__).parent.glob(f"{at}/*.java")))
_RELEASE = "11"
_JVM_FLAGS = (
    "-ea",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "-XX:+DisableAttachMechanism",
)


@dataclass(frozen=True)
class Java:
    """Java, by the JDK of JAVA_HOME or PATH."""

    name: ClassVar[str] = "java"
    limits: ClassVar[Limits] = Limits(cpu_seconds=20, wall_seconds=30.0, processes=128)

    def toolchain(self, limits: Limits) -> Toolchain:
        """The JDK and our classes, compiled once for it into the cache folder."""
        home = _jdk_home()
        classes, version = _compiled_harness(home)
        runner_limits = (str(limits.output_bytes), str(limits.cpu_seconds))
        jvm = (str(home / "bin/java"), *_JVM_FLAGS, f"-Xmx{limits.memory_bytes >> 20}m", "-cp", str(classes))
        return Toolchain(
            command=(*jvm, "JavaHarness"),
            compiler=(*jvm, "JavaCompileServer"),
            runner=(*jvm, "-XX:+ExitOnOutOfMemoryError", "JavaRunServer", *runner_limits),
            readable=(home, classes, *_debian_configuration(home)),
            version=version,
            limit_address_space=False,
        )

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut after the closing brace of the method that the prompt opened (it ends in `{`) or declared.

        Braces are counted in the syntax tree's leaves, so that those in strings, characters and comments do not
        count. A method that never closes is left whole.
        """
        text = (prompt + completion).encode("utf-8", "surrogatepass")
        start = len(prompt.encode("utf-8", "surrogatepass"))
        opened = prompt.rstrip().endswith("{")
        depth, outer = 0, None
        for leaf in _leaves(_parser().parse(text).root_node):
            if leaf.type not in ("{", "}") or leaf.start_byte == leaf.end_byte:
                continue
            if outer is None and leaf.end_byte > start:
                outer = depth - opened
            depth += 1 if leaf.type == "{" else -1
            if leaf.type == "}" and outer is not None and depth <= outer:
                return text[start : leaf.end_byte].decode("utf-8", "surrogatepass")
        return completion


def _leaves(node: Node) -> list[Node]:
    """The leaves of a syntax tree from left to right, without recursion: generated code may nest deeply."""
    leaves, stack = [], [node]
    while stack:
        current = stack.pop()
        if current.child_count:
            stack.extend(reversed(current.children))
        else:
            leaves.append(current)
    return leaves


@cache
def _parser() -> Parser:
    import tree_sitter
    import tree_sitter_java

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_java.language()))


def _jdk_home() -> Path:
    candidates = [Path(os.environ["JAVA_HOME"]) / "bin/javac"] if os.environ.get("JAVA_HOME") else []
    if found := shutil.which("javac"):
        candidates.append(Path(found))
    for javac in candidates:
        home = javac.resolve().parent.parent
        if (home / "bin/javac").exists() and (home / "bin/java").exists():
            return home
    raise MissingDependencyError(
        "a JDK (javac and java on PATH, or JAVA_HOME)", "apt-get install default-jdk-headless, or any JDK 11 or newer"
    )


def _debian_configuration(home: Path) -> tuple[Path, ...]:
    """Debian keeps a JDK's settings in /etc and links to them."""
    return tuple(
        {p.resolve().parent for p in home.glob("conf/*") if p.is_symlink() and p.resolve().is_relative_to("/etc")}
    )


@cache
def _compiled_harness(home: Path) -> tuple[Path, str]:
    """(folder of our own classes, the compiler's version); compiled beside and moved into place."""
    done = subprocess.run([home / "bin/javac", "-version"], capture_output=True, text=True, check=True)
    version = (done.stdout or done.stderr).split()[-1]
    key = hashlib.sha256(b"".join(s.read_bytes() for s in _SOURCES) + version.encode()).hexdigest()[:16]
    target = cache_dir() / f"toolchains/java-{key}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            built = Path(scratch) / "classes"
            subprocess.run(
                [home / "bin/javac", "-proc:none", "--release", _RELEASE, "-d", built, *_SOURCES],
                check=True,
                capture_output=True,
            )
            built.chmod(0o755)
            if not target.exists():
                built.rename(target)
    return target, version
