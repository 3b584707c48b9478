"""Programs that try to pass without being right, to see or break the host, or to use more than they may.

A break-in that works ends as `passed`, or raises an error whose message begins with BROKEN_IN and says what it found;
one that fails goes on to a failing assertion. Names between at signs stand for what only the run knows (`Places`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from qharness import Limits, MissingDependencyError, Program, Status
from qharness.execution.toolchains import find_toolchain
from qharness.registry import get_registry

BROKEN_IN = "broke in"
SECRET = "canary-"
"""What the secrets begin with; 32 hexadecimal digits follow."""

LIMITS = {
    "python": Limits(cpu_seconds=1, wall_seconds=2.0, memory_bytes=256 << 20, output_bytes=100_000, processes=16),
    "java": Limits(cpu_seconds=2, wall_seconds=3.0, memory_bytes=256 << 20, output_bytes=100_000, processes=64),
}

NOT_PASSED = frozenset(Status) - {Status.PASSED}


@dataclass(frozen=True)
class Places:
    """What programs go for: a port and an abstract socket someone listens on, folders and files of the host's."""

    port: int
    abstract: str
    home_file: str
    repository: str
    site: str
    jdk: str
    mark: str
    cpus: int
    nice: int

    def fill(self, text: str) -> str:
        """`text` with each @name@ replaced."""
        for name, value in dataclasses.asdict(self).items():
            text = text.replace(f"@{name}@", str(value))
        return text


@dataclass(frozen=True)
class Hostile:
    """A program and how it may end. `next_to`: it runs right after the program of that name, by the same worker."""

    name: str
    language: str
    source: str
    tests: str
    ends: frozenset[Status]
    next_to: str = ""

    def program(self, places: Places) -> Program:
        """The program as the pool takes it."""
        entry = "Problem" if self.language == "java" else ""
        return Program(self.language, places.fill(self.source), places.fill(self.tests), entry)


FORGE = r"""
import os, re, sys

def forge(data=b""):
    "Report a pass on every descriptor, in the name of everything in `data` that may be a token."
    words = [b"", *sorted(set(re.findall(rb"[0-9a-fA-F]{16,128}", data)))[:500]]
    text = b"".join(b"%s passed \n" % word for word in words)
    for descriptor in range(64):
        try:
            os.set_blocking(descriptor, False)
            os.write(descriptor, text)
        except OSError:
            pass

def bytes_of(value):
    return value if isinstance(value, (bytes, bytearray)) else str(value).encode("utf-8", "replace")

loot = None
"""
KEPT_IN = f"if loot: raise RuntimeError('{BROKEN_IN}: ' + str(loot))\nassert False, 'kept in'"


def python(name: str, source: str, *ends: Status, tests: str = KEPT_IN, next_to: str = "") -> Hostile:
    """A Python program. Its own `loot`, if it finds any, is reported by the tests."""
    ends = ends or (Status.FAILED,)
    return Hostile(
        f"python: {name}", "python", FORGE + source, tests, frozenset(ends), next_to and f"python: {next_to}"
    )


JAVA_HEAD = """
import java.io.*; import java.lang.management.*; import java.lang.reflect.*; import java.net.*; import java.nio.*;
import java.nio.channels.*; import java.nio.file.*; import java.util.*; import java.util.function.*;
import java.util.regex.*;
class Problem {
"""
JAVA_FORGE = r"""
    static void forge(String data) throws Throwable {
        Set<String> words = new TreeSet<>(List.of(""));
        Matcher found = Pattern.compile("[0-9a-fA-F]{16,128}").matcher(data);
        while (found.find() && words.size() < 500) words.add(found.group());
        StringBuilder text = new StringBuilder();
        for (String word : words) text.append(word).append(" passed \n");
        byte[] bytes = text.toString().getBytes("ISO-8859-1");
        try { new FileOutputStream(FileDescriptor.out).write(bytes); } catch (IOException closed) { }
        for (int d = 0; d < 64; d++) {
            try (OutputStream out = new FileOutputStream("/proc/self/fd/" + d)) { out.write(bytes); }
            catch (IOException closed) { }
        }
    }
"""
JAVA_KEPT_IN = f"""
        String loot = loot();
        if (loot != null) throw new RuntimeException("{BROKEN_IN}: " + loot);
        assert false : "kept in";
"""


def java(
    name: str, members: str, *ends: Status, tests: str = JAVA_KEPT_IN, besides: str = "", next_to: str = ""
) -> Hostile:
    """A Java program: members of a class `Problem` that the tests' `main` closes, and other classes `besides`."""
    body = JAVA_HEAD.replace("class Problem", f"{besides}\nclass Problem")
    main = f"public static void main(String[] a) throws Throwable {{ {tests} }} }}"
    ends = ends or (Status.FAILED,)
    source = body + JAVA_FORGE + members
    return Hostile(f"java: {name}", "java", source, main, frozenset(ends), next_to and f"java: {next_to}")


def can_run(language: str) -> bool:
    """Whether this machine has the language's toolchain."""
    try:
        find_toolchain(get_registry().language(language))
    except MissingDependencyError:
        return False
    return True


def corpus() -> list[Hostile]:
    """All of them."""
    from tests.hostile import java_programs, java_resources, python_exits, python_host, python_resources, python_tokens

    modules = (python_exits, python_tokens, python_host, python_resources, java_programs, java_resources)
    return [program for module in modules for program in module.PROGRAMS]
