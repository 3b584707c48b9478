"""Runs any sentence operation of NL-Augmenter (Dhole et al. 2021), from a clone of it; it is not on PyPI."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
import random
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from qharness import MissingDependencyError, QHarnessError, UnknownNameError, first_line, option

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

        `rng` gives the seed of each text: the operation's own, and that of the process's generators, from which many
        operations draw. Raises QHarnessError where the operation fails, MissingDependencyError and UnknownNameError.
        """
        operation = _load(self.operation)
        operation.seed = rng.randrange(2**32)
        with _their_code(f"failed on {text[:_SHOWN]!r}", self.operation), _own_randomness(operation.seed):
            outputs = operation.generate(text)
            if isinstance(outputs, str):  # as early operations have it
                return outputs
            return str(outputs[0]) if outputs else text


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """Seed the process's random generators with 32 bits, and restore their states afterwards."""
    import numpy as np

    state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        with _own_torch_randomness(seed):
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


@contextmanager
def _own_torch_randomness(seed: int) -> Iterator[None]:
    """Do the same for PyTorch's generators, where it is loaded."""
    if "torch" not in sys.modules:
        yield
        return
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _their_code(what: str, name: str) -> Iterator[None]:
    """Run an operation's code: its prints go to standard error, whatever it raises becomes a QHarnessError.

    Some of them end the process where they cannot reach a server.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        offline = "; it wants the network" if isinstance(error, ConnectionError) else ""
        told = f"{type(error).__name__}: {first_line(error)}{offline}"
        raise QHarnessError(f"operation {name!r} of NL-Augmenter {what}: {told}") from error


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
def _load(name: str) -> Any:
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
    with _their_code("cannot be made", name), _own_randomness(0), _patience(name):
        try:
            module = importlib.import_module(f"{_TRANSFORMATIONS}.{folder}.transformation")
            return getattr(module, name if name != folder else classes[-1])()
        except ModuleNotFoundError as error:
            missing = error
    raise MissingDependencyError(f"{missing.name} (for {name})", _how(missing, sources[folder])) from None


def _how(missing: ModuleNotFoundError, source: Path) -> str:
    """Say what to install; a module's name is often not its package's, so the operation's own list is named."""
    listed = source.with_name("requirements.txt")
    if listed.is_file():
        return f"install it; the operation's packages are listed in {listed}"
    return f"install the package that has the module {missing.name}"


def _files(root: Path) -> list[Path]:
    return sorted(root.glob("*/transformation.py"))


def _classes(path: Path) -> list[str]:
    """Return the sentence operations that a file defines, without importing it, because that may download models."""
    return re.findall(r"^class (\w+)\(.*?SentenceOperation\b", path.read_text(encoding="utf-8"), re.MULTILINE)
