"""Compiles a Go program and its tests by the compiler and the linker themselves, in the sandbox; runs none of it.

SETTINGS, a constant of the module `native_settings`, holds `compile` and `link` (commands), `packages` (the file that
says where compiled packages are) and `main` (the source of package main).
"""

import os
import re
import shutil
import subprocess
import tempfile

from qharness.plugins.languages.native_error import CompileError
from qharness.plugins.languages.native_settings import SETTINGS

_MOST_WORDS = 1 << 16  # of the compiler's messages
_TEST = re.compile(r"^func[ \t]+(Test\w*)[ \t]*\(\w+[ \t]+\*testing\.T\)", re.MULTILINE)
_MAIN = re.compile(r"^func[ \t]+main[ \t]*\([ \t]*\)", re.MULTILINE)
_WHOLE = """package main

import os_@R@ "os"

var token_@R@ string

func main() {
	main_@R@()
	os_@R@.NewFile(3, "channel").WriteString(token_@R@ + " passed\\n")
}
"""
"""What makes a program without tests sign its end."""
_PREDECLARED = (
    "true false nil iota append cap close complex copy delete imag len make new panic print println real recover any"
    " bool byte comparable complex64 complex128 error float32 float64 int int8 int16 int32 int64 rune string uint uint8"
    " uint16 uint32 uint64 uintptr"
).replace(" ", "|")
_REACHES = re.compile(
    r"[\"`](?:unsafe|C|syscall|runtime/\w+|plugin|os|os/\w+|log/syslog|\w*\\[^\"]*)[\"`]"  # imports
    r"|\bgo[ \t]+[\w(]|//go:|/\*line|//line"  # races; directives
    rf"|\b(?:func|type|var|const)[ \t]+(?:{_PREDECLARED})\b|\b(?:{_PREDECLARED})\b[ \t]*(?:,[^=\n]*)?=(?!=)"
)
"""What a solution must not have, so that its tests mean what they say and nothing of theirs can be read or replaced."""


def build(source, tests, token, cpu_seconds):
    """Return the executable of `source` and `tests`, which signs its end with `token`; raise CompileError."""
    folder = tempfile.mkdtemp(dir="/tmp")
    try:
        return _built(folder, source, tests, token)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_process(source, tests):
    """Return whether the program could forge a pass."""
    return not tests or bool(_REACHES.search(source))


def _built(folder, source, tests, token):
    with open(SETTINGS["packages"]) as file:
        _write(f"{folder}/packages", file.read().replace("@FOLDER@", os.path.dirname(SETTINGS["packages"])))
    word, signer = os.urandom(8).hex(), "token"
    if not tests:
        signer = f"token_{word}"
        _write(f"{folder}/solution.go", _MAIN.sub(f"func main_{word}()", source))
        _write(f"{folder}/main.go", _WHOLE.replace("@R@", word))
        _compile(folder, "main", ["solution.go", "main.go"])
    else:
        names = _TEST.findall(tests)
        listed = ", ".join(f'{{"{name}", {name}}}' for name in names)
        _write(f"{folder}/solution.go", f"{source}\n{tests}\n")
        _write(
            f"{folder}/listed.go",
            f'package main\n\nimport testing_{word} "testing"\n\n'
            f"var Tests_{word} = []testing_{word}.InternalTest{{{listed}}}\n",
        )
        _compile(folder, "problem", ["solution.go", "listed.go"])
        with open(f"{folder}/packages", "a") as file:
            file.write(f"packagefile problem={folder}/problem.a\n")
        _write(f"{folder}/main.go", SETTINGS["main"].replace("@R@", word).replace("@COUNT@", str(len(names))))
        _compile(folder, "main", ["main.go"])
    _run(folder, [*SETTINGS["link"], "-importcfg", "packages", "-X", f"main.{signer}={token}", "-o", "a", "main.a"])
    with open(f"{folder}/a", "rb") as file:
        return file.read()


def _compile(folder, package, files):
    _run(folder, [*SETTINGS["compile"], "-p", package, "-importcfg", "packages", "-o", f"{package}.a", *files])


def _run(folder, command):
    with open(f"{folder}/words", "w+b") as said:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={"PATH": "/usr/bin:/bin", "HOME": folder, "TMPDIR": folder, "GOMAXPROCS": "2"},
            check=False,
        )
        said.seek(0)
        text = said.read(_MOST_WORDS).decode("utf-8", "replace").replace(folder + "/", "")
    if done.returncode:
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("# ")]
        raise CompileError("compile-error", (lines or ["the compiler died of it"])[0])


def _write(path, text):
    with open(path, "wb") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
