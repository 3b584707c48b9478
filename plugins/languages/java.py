"""Java programs: compiled in one long-lived JVM, run with assertions on and annotation processing off."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import string
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from qharness import (
    AnswerSyntax,
    Limits,
    MissingDependencyError,
    Toolchain,
    syntax_parser,
    whole_file,
)
from qharness.plugins.languages.java_answers import JavaAnswers
from qharness.plugins.languages.prepared_tools import prepared_tools

if TYPE_CHECKING:
    from tree_sitter import Node

_SOURCES = tuple(sorted(path for at in (".", "java-library") for path in Path(__file__).parent.glob(f"{at}/*.java")))
_TUPLE = Path(__file__).with_name("java-library") / "TupleOfSize.java.template"
_TUPLE_NAMES = ("Unit", "Pair", "Triplet", "Quartet", "Quintet", "Sextet", "Septet", "Octet", "Ennead", "Decade")
_RELEASE = "11"
_JAVAC_POOL = ("--add-exports", "jdk.compiler/com.sun.tools.javac.api=ALL-UNNAMED")
_JAR = "qharness.jar"
_COMPILER, _RUNNER, _HARNESS = "JavaCompileServer", "JavaRunServer", "JavaHarness"
_JDK_MODULES = ("charsets", "crypto.cryptoki", "crypto.ec", "httpserver", "localedata", "naming.dns", "net", "zipfs")
"""The JDK's modules, besides Java SE, that a program in a JVM of its own sees: none of them reads or dumps memory."""
_JVM_FLAGS = (
    "-ea",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "-XX:+DisableAttachMechanism",
)

_SMALL_SOURCE = b"import java.util.*; class Main { static List<Integer> f(int x) { return List.of(x); }"
_SMALL_TESTS = b'public static void main(String[] a) { assert f(1).equals(Arrays.asList(1)) : "" + f(2); } }'


@dataclass(frozen=True)
class Java:
    """Java, by the JDK of JAVA_HOME or PATH."""

    name: ClassVar[str] = "java"
    suffixes: ClassVar[tuple[str, ...]] = (".java",)
    answers: ClassVar[AnswerSyntax] = JavaAnswers()
    limits: ClassVar[Limits] = Limits(cpu_seconds=20, wall_seconds=30.0, processes=128)
    missing_names: ClassVar[str] = (
        r"line \d+: (cannot find symbol|package \S+ does not exist|\S+ cannot be dereferenced)"
        r"|java\.lang\.(NoSuchMethod|NoSuchField|NoClassDefFound)Error|java\.lang\.(ClassNotFound|NoSuchMethod)Exception"
    )

    def toolchain(self, limits: Limits) -> Toolchain:
        """Return the JDK's commands with our classes, which are compiled once for each JDK into the cache folder."""
        home = _jdk_home()
        folder, version = _compiled_harness(home)

        def jvm(name: str, *flags: str) -> tuple[str, ...]:
            archive = folder / f"{name}.jsa"
            shared = (
                (f"-XX:SharedArchiveFile={archive}", "-Xlog:disable")
                if archive.is_file() and archive.stat().st_size
                else ()
            )
            heap = f"-Xmx{limits.memory_bytes >> 20}m"
            return (*_jvm(home, folder, name), *shared, *flags, heap, name)

        shared_seconds = str(max(limits.cpu_seconds // 4, 1))  # of CPU time: then a JVM of the program's own decides
        return Toolchain(
            command=jvm(_HARNESS, *_closed(version)),
            compiler=jvm(_COMPILER),
            runner=(*jvm(_RUNNER, "-XX:+ExitOnOutOfMemoryError"), str(limits.output_bytes), shared_seconds),
            readable=(home, folder, *_debian_configuration(home)),
            version=version,
            limit_address_space=False,
        )

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut after the closing brace of the method that the prompt opened (it ends in `{`) or declared.

        The braces are leaves of the syntax tree, so those in strings, characters and comments do not count. A method
        that never closes is returned whole.
        """
        text = (prompt + completion).encode("utf-8", "surrogatepass")
        start = len(prompt.encode("utf-8", "surrogatepass"))
        opened = prompt.rstrip().endswith("{")
        depth, outer = 0, None
        for leaf in _leaves(syntax_parser("java").parse(text).root_node):
            if leaf.type not in ("{", "}") or leaf.start_byte == leaf.end_byte:
                continue
            if outer is None and leaf.end_byte > start:
                outer = depth - opened
            depth += 1 if leaf.type == "{" else -1
            if leaf.type == "}" and outer is not None and depth <= outer:
                return text[start : leaf.end_byte].decode("utf-8", "surrogatepass")
        return completion


def _leaves(node: Node) -> list[Node]:
    """List the leaves of a syntax tree from left to right, without recursion: generated code may nest deeply."""
    leaves, stack = [], [node]
    while stack:
        current = stack.pop()
        if current.child_count:
            stack.extend(reversed(current.children))
        else:
            leaves.append(current)
    return leaves


def _jdk_home() -> Path:
    candidates = [Path(os.environ["JAVA_HOME"]) / "bin/javac"] if os.environ.get("JAVA_HOME") else []
    if found := shutil.which("javac"):
        candidates.append(Path(found))
    for javac in candidates:
        home = javac.resolve().parent.parent
        if (home / "bin/javac").exists() and (home / "bin/java").exists():
            return home
    raise MissingDependencyError(
        "a JDK (javac and java on PATH, or JAVA_HOME)",
        "apt-get install default-jdk-headless, or any JDK 11 or newer",
        debian=["default-jdk-headless"],
    )


def _debian_configuration(home: Path) -> tuple[Path, ...]:
    """List the folders in /etc to which a JDK of Debian's links for its settings."""
    return tuple(
        {p.resolve().parent for p in home.glob("conf/*") if p.is_symlink() and p.resolve().is_relative_to("/etc")}
    )


def _jvm(home: Path, folder: Path, name: str) -> tuple[str, ...]:
    own = {_COMPILER: _JAVAC_POOL, _HARNESS: _modules(home)}.get(name, ())
    return (str(home / "bin/java"), *_JVM_FLAGS, *own, "-cp", str(folder / _JAR))


def _closed(version: str) -> tuple[str, ...]:
    """Return the option that closes the JDK's own fields, and native memory, to programs."""
    major = version.split(".")[0]
    return ("--illegal-access=deny",) if major.isdigit() and int(major) < 17 else ("--enable-native-access=java.base",)


def _modules(home: Path) -> tuple[str, ...]:
    """Return the option that leaves out the JDK's other modules, if its release file lists them."""
    with contextlib.suppress(OSError):
        listed = re.search(r'^MODULES="(.*)"', (home / "release").read_text(), re.MULTILINE)
        names = listed.group(1).split() if listed else []
        some = [name for name in names if name.removeprefix("jdk.") in _JDK_MODULES or name.startswith("java.")]
        some = [name for name in some if name not in ("java.se", "java.instrument")]  # java.se requires java.instrument
        return ("--limit-modules", ",".join(some)) if some else ()
    return ()


@cache
def _compiled_harness(home: Path) -> tuple[Path, str]:
    """Return the folder of our compiled classes and their archives, and the compiler's version."""
    done = subprocess.run([home / "bin/javac", "-version"], capture_output=True, text=True, check=True)
    version = (done.stdout or done.stderr).split()[-1]
    flags = " ".join((*_JVM_FLAGS, *_modules(home)))
    parts = (*(s.read_bytes() for s in (*_SOURCES, _TUPLE)), version.encode(), str(home).encode(), flags.encode())
    folder = prepared_tools("java", b"".join(parts), partial(_compile, home))
    with contextlib.suppress(OSError):  # programs start slower without
        _archive(home, folder)
    return folder, version


def _compile(home: Path, folder: Path) -> None:
    """Write our classes into `folder`, as one archive. Raises OSError with what javac says."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        classes, sources = Path(scratch, "classes"), [*_SOURCES, *_write_tuples(Path(scratch))]
        javac: list[str | Path] = [home / "bin/javac", "-proc:none", "--release", _RELEASE, "-d", classes, *sources]
        done = subprocess.run(javac, capture_output=True, text=True, errors="replace")
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("error:")] or done.stderr.splitlines()
            raise OSError(f"javac: {said[0] if said else f'exit status {done.returncode}'}")
        with zipfile.ZipFile(folder / _JAR, "w") as archive:
            for path in sorted(classes.rglob("*.class")):
                archive.write(path, path.relative_to(classes))
    (folder / _JAR).chmod(0o644)


def _write_tuples(folder: Path) -> Iterator[Path]:
    """Write the sources of the tuples of one to ten values, from their template; yield their paths."""
    template = string.Template(_TUPLE.read_text(encoding="utf-8"))
    for size, name in enumerate(_TUPLE_NAMES, 1):
        types, values = "ABCDEFGHIJ"[:size], [f"value{n}" for n in range(size)]
        members = [f"public {kind} getValue{n}() {{ return at({n}); }}" for n, kind in enumerate(types)]
        for n, kind in enumerate(types):
            made = f"{name}<{', '.join(types.replace(kind, 'X'))}>"
            others = ", ".join(value if value == f"value{n}" else f"getV{value[1:]}()" for value in values)
            members.append(f"public <X> {made} setAt{n}(X value{n}) {{ return new {name}<>({others}); }}")
        parts = {"types": types, "arguments": values, "parameters": map(" ".join, zip(types, values, strict=True))}
        texts = {part: ", ".join(words) for part, words in parts.items()}
        path = folder / f"{name}.java"
        path.write_text(template.substitute(texts, name=name, size=size, members="\n    ".join(members)), "utf-8")
        yield path


def _archive(home: Path, folder: Path) -> None:
    """Make an archive of the classes that each server loads, where there is none yet, so that it starts faster.

    Class data sharing (a dynamic archive, JDK 13 and newer) records them at their final place, so each server runs one
    small program here. A JDK without it leaves an empty archive, which is not used. A JVM of limited modules, as a
    program's own is, has no such sharing.
    """
    if all((folder / f"{name}.jsa").exists() for name in (_COMPILER, _RUNNER)):
        return
    source = base64.b64encode(_SMALL_SOURCE).decode()
    tests = base64.b64encode(_SMALL_TESTS).decode()
    *_, classes = _dump(home, folder, (_COMPILER,), ("word", "Main", source, tests)).split() or [""]
    _dump(home, folder, (_RUNNER, "1000000", "10"), ("word", "Main", classes))


def _dump(home: Path, folder: Path, command: tuple[str, ...], lines: tuple[str, ...]) -> str:
    """Run a command of ours on these lines, record its classes, and return its output."""
    with whole_file(folder / f"{command[0]}.jsa") as made:
        argv = [*_jvm(home, folder, command[0]), f"-XX:ArchiveClassesAtExit={made}", "-Xlog:disable", *command]
        done = subprocess.run(argv, input="\n".join((*lines, "")), capture_output=True, text=True)
        if done.returncode or not made.exists():
            made.write_bytes(b"")
        made.chmod(0o644)
    return done.stdout
