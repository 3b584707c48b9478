"""Compiles a C or C++ program by GCC, in the sandbox; runs none of it.

SETTINGS, a constant of the module `native_settings`, holds `compile` (the command that compiles standard input),
`libraries` (that it links), `between` (the source between solution and tests), `suffix` (of the solution's file) and,
for the quick way, `compiler`, `assembler` and `linker` (commands), `preload` (empty where there is no quick way)
and `precompiled` (files that stand for `#include <...>` lines at a program's beginning).
"""

import os
import re
import resource
import shutil
import subprocess
import tempfile

from qharness.plugins.languages.gnu_servers import compiled
from qharness.plugins.languages.native_error import CompileError
from qharness.plugins.languages.native_settings import SETTINGS

_MOST_MEMORY = 1 << 30
_NO_RETURN = re.compile(
    r"solution\.\w+:(\d+):(\d+): warning: (no return statement in function|control reaches end of non-void function)"
)
_ERROR = re.compile("(?i)error:|undefined reference|multiple definition")
_LEAVES = re.compile(r"\b(return|for|while|goto|throw|asm|\w*exit\w*|abort|\w*jmp|\w*unreachable)\b")
_MOST_WORDS = 1 << 16  # of the compiler's messages


def build(source, tests, token, cpu_seconds):
    """Return the executable of `source` and `tests`, which signs its end with `token`; raise CompileError."""
    folder = tempfile.mkdtemp(dir="/tmp")
    try:
        return _built(folder, source, tests, token, cpu_seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_process(source, tests):
    """Return whether the program could forge a pass: in C and C++ nothing of a process is out of its reach."""
    return True


def _built(folder, source, tests, token, cpu_seconds):
    word = os.urandom(8).hex()
    renamed = f"#define main main_{word}\n" if tests else ""
    rest = f'#line 1 "between"\n{_between(tests, token, word)}\n#line 1 "tests"\n{tests}\n'
    words = _built_quickly(folder, source, renamed, rest, cpu_seconds) if SETTINGS["preload"] else None
    if words is None:
        words = _built_slowly(folder, source, renamed, rest, cpu_seconds)
    _refuse_chance(words, source)
    with open(f"{folder}/a", "rb") as file:
        return file.read()


def _built_quickly(folder, source, renamed, rest, cpu_seconds):
    """Make the file `a` of the folder; return the compiler's warnings, or None where it did not get there."""
    if not compiled(folder, source, renamed, rest, cpu_seconds):
        return None
    os.rename(f"{folder}/out", f"{folder}/s")
    for command in (SETTINGS["assembler"], SETTINGS["linker"]):
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            return None
    with open(f"{folder}/words", "rb") as said:
        return said.read(_MOST_WORDS).decode("utf-8", "replace")


def _built_slowly(folder, source, renamed, rest, cpu_seconds):
    """Make the file `a` of the folder by processes that have seen no other program; return the warnings."""
    solution = f"{folder}/solution{SETTINGS['suffix']}"
    with open(solution, "wb") as file:
        file.write(source.encode("utf-8", "surrogatepass") + b"\n")

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        if most == resource.RLIM_INFINITY or most > _MOST_MEMORY:
            resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))

    # The solution is a file of its own: nothing that it leaves open takes the tests in.
    with open(f"{folder}/words", "w+b") as said:
        done = subprocess.run(
            [*SETTINGS["compile"], "-o", f"{folder}/a", "-", *SETTINGS["libraries"]],
            input=f'{renamed}#include "{solution}"\n{rest}'.encode("utf-8", "surrogatepass"),
            stdout=said,
            stderr=said,
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": folder},
            preexec_fn=limit,
            check=False,
        )
        said.seek(0)
        text = said.read(_MOST_WORDS).decode("utf-8", "replace").replace(folder + "/", "")
    if done.returncode:
        raise CompileError(*_reason(text, cpu_seconds))
    return text


def _between(tests, token, word):
    """Return the text between solution and tests."""
    key = os.urandom(32)
    hidden = bytes(a ^ b for a, b in zip(token.encode(), key, strict=True))
    status = "failed the tests returned no zero" if tests else "early-exit exit status of main"
    between = SETTINGS["between"].replace("@R@", word).replace("@NONZERO@", status)
    return between.replace("@HIDDEN@", ",".join(map(str, hidden))).replace("@KEY@", ",".join(map(str, key)))


def _refuse_chance(text, source):
    """Refuse a function that has a value to return and no `return`: it would return what a register happens to hold.

    At this place that is often its argument. GCC warns of it at the brace that ends the function.
    """
    lines = source.split("\n")
    for found in _NO_RETURN.finditer(text):
        line, column = int(found[1]), int(found[2])
        before = "\n".join([*lines[: line - 1], lines[line - 1].encode()[: column - 1].decode("utf-8", "replace")])
        depth, start = 1, len(before)
        while depth and start:
            start -= 1
            depth += {"}": 1, "{": -1}.get(before[start], 0)
        if not _LEAVES.search(before, start):
            raise CompileError("compile-error", f"{found[0]}, and none leaves it")


def _reason(text, cpu_seconds):
    if "CPU time limit exceeded" in text or "Killed signal terminated" in text:
        return "timeout", f"{cpu_seconds} s of compiling"
    lines = [line for line in text.splitlines() if _ERROR.search(line)]
    return "compile-error", (lines or text.strip().splitlines() or ["the compiler died of it"])[0]
