"""Runs any sentence operation of NL-Augmenter (Dhole et al. 2021), if that is installed; it is not on PyPI."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from qharness import MissingDependencyError, UnknownNameError, option

_TRANSFORMATIONS = "nlaugmenter.transformations"
_INSTALL = "pip install git+https://github.com/GEM-benchmark/NL-Augmenter"


@dataclass(frozen=True)
class NlAugmenter:
    """A SentenceOperation of NL-Augmenter's, by the name of its class or of its folder."""

    name: ClassVar[str] = "nlaugmenter"

    operation: str = option(dataclasses.MISSING, "as in nlaugmenter:ButterFingersPerturbation")

    def __call__(self, text: str, rng: random.Random) -> str:
        """Return the first of the operation's outputs, or the text itself if there is none."""
        operation = _load(self.operation)
        operation.seed = rng.randrange(2**32)
        with _own_randomness():
            outputs = operation.generate(text)
        if isinstance(outputs, str):  # as early operations have it
            return outputs
        return str(outputs[0]) if outputs else text


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Restore the process's random generators afterwards, because operations seed them."""
    import numpy as np

    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


@cache
def _load(name: str) -> Any:
    """Make the operation; raise UnknownNameError, or MissingDependencyError if a package that it needs is missing."""
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
    try:
        module = importlib.import_module(f"{_TRANSFORMATIONS}.{folder}.transformation")
        chosen = name if name != folder else _classes(sources[folder])[-1]
        with _own_randomness():
            return getattr(module, chosen)()
    except ImportError as error:
        raise MissingDependencyError(f"{error.name or error} (for {name})", f"pip install {error.name}") from None


def _files(root: Path) -> list[Path]:
    return sorted(root.glob("*/transformation.py"))


def _classes(path: Path) -> list[str]:
    """Return the sentence operations that a file defines, without importing it, because that may download models."""
    return re.findall(r"^class (\w+)\(.*?SentenceOperation\b", path.read_text(encoding="utf-8"), re.MULTILINE)
