"""Runs any sentence operation of NL-Augmenter (Dhole et al. 2021), from a clone of it; it is not on PyPI."""

from __future__ import annotations

import atexit
import dataclasses
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from qharness import MissingDependencyError, QHarnessError, UnknownNameError, option

_TRANSFORMATIONS = "nlaugmenter.transformations"
_INSTALL = "git clone https://github.com/GEM-benchmark/NL-Augmenter, and add its folder to PYTHONPATH"
_PATIENCE_S = 15.0
_SHOWN = 40
"""How many characters of a text an error message shows."""


@dataclass(frozen=True)
class NlAugmenter:
    """A SentenceOperation of NL-Augmenter's, by the name of its class or of its folder."""

    name: ClassVar[str] = "nlaugmenter"

    operation: str = option(dataclasses.MISSING, "as in nlaugmenter:ButterFingersPerturbation")

    def __call__(self, text: str, rng: random.Random) -> str:
        """Return the first of the operation's outputs, or the text itself if there is none.

        `rng` gives the seed of each text: the operation's own, and that of its process's generators, from which many
        operations draw. Raises QHarnessError where the operation fails, MissingDependencyError and UnknownNameError.
        """
        return _load(self.operation).output(text, rng.randrange(2**32))


class _Operation:
    """An operation in a process of its own, which ends with this one."""

    def __init__(self, name: str, module: str, class_name: str, source: Path) -> None:
        self._name, self._source = name, source
        program = Path(__file__).with_name("nlaugmenter_process.py")
        around = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path)), "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(program), module, class_name],
            env=around,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.end)
        with _patience(name):
            self._answer("cannot be made")

    def output(self, text: str, seed: int) -> str:
        """Return the operation's first output for a text, drawn with a seed of 32 bits."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"text": text, "seed": seed}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which its answer tells
        return self._answer(f"failed on {text[:_SHOWN]!r}")

    def end(self) -> None:
        """End the process."""
        atexit.unregister(self.end)
        self._process.kill()
        self._process.communicate()

    def _answer(self, what: str) -> str:
        """Read an answer; raise QHarnessError, with `what` the operation did not do, if it is none."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self.end()
            raise QHarnessError(f"operation {self._name!r} of NL-Augmenter {what}: its process ended")
        answer = json.loads(line)
        if "missing" in answer:
            raise MissingDependencyError(
                f"{answer['missing']} (for {self._name})", _how(answer["missing"], self._source)
            )
        if "error" in answer:
            offline = "; it wants the network" if answer["offline"] else ""
            raise QHarnessError(f"operation {self._name!r} of NL-Augmenter {what}: {answer['error']}{offline}")
        return str(answer["text"])


@contextmanager
def _patience(name: str) -> Iterator[None]:
    """Say on standard error why nothing happens, if a block takes long."""
    told = f"note: nlaugmenter:{name} is still being made: it may be downloading (HF_HUB_OFFLINE=1 forbids that)"
    timer = threading.Timer(_PATIENCE_S, print, [told], {"file": sys.stderr})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def _load(name: str) -> _Operation:
    """Make the operation.

    Raises UnknownNameError, MissingDependencyError if a package that it needs is missing, and QHarnessError where
    its own code fails: where it has no data, for example, and cannot fetch them.
    """
    try:
        spec = importlib.util.find_spec(_TRANSFORMATIONS)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.submodule_search_locations is None:
        raise MissingDependencyError("NL-Augmenter", _INSTALL)
    sources = {path.parent.name: path for root in spec.submodule_search_locations for path in _files(Path(root))}
    folder = name if name in sources else next((f for f, path in sources.items() if name in _classes(path)), None)
    if folder is None:
        known = [cls for path in sources.values() for cls in _classes(path)]
        raise UnknownNameError("operation of NL-Augmenter", name, known)
    classes = _classes(sources[folder])
    if not classes:
        raise QHarnessError(f"operation {name!r} of NL-Augmenter is no SentenceOperation: it takes more than one text")
    class_name = name if name != folder else classes[-1]
    return _Operation(name, f"{_TRANSFORMATIONS}.{folder}.transformation", class_name, sources[folder])


def _how(missing: str, source: Path) -> str:
    """Say what to install; a module's name is often not its package's, so the operation's own list is named."""
    listed = source.with_name("requirements.txt")
    if listed.is_file():
        return f"install it; the operation's packages are listed in {listed}"
    return f"install the package that has the module {missing}"


def _files(root: Path) -> list[Path]:
    return sorted(root.glob("*/transformation.py"))


def _classes(path: Path) -> list[str]:
    """Return the sentence operations that a file defines, without importing it, because that may download models."""
    return re.findall(r"^class (\w+)\(.*?SentenceOperation\b", path.read_text(encoding="utf-8"), re.MULTILINE)
