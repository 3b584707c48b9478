"""A process that holds one operation of NL-Augmenter, and runs it on texts: a program of its own.

It is started with PYTHONHASHSEED=0, because some operations draw from the order of a set, which differs between
processes otherwise. Its arguments are a module and a class in it. It writes a line of JSON when the operation is made,
and one for each line `{"text", "seed"}` that it reads: `{"text"}`, `{"missing": MODULE}`, or `{"error", "offline"}`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np


def main(module: str, name: str) -> None:
    """Make the operation, then serve until the input ends; what its code prints goes to standard error."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        operation, answer = _tried(partial(_made, module, name))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        for line in sys.stdin:
            asked = json.loads(line)
            _, answer = _tried(partial(_output, operation, asked["text"], asked["seed"]))
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def _made(module: str, name: str) -> Any:
    _seed_all(0)
    return getattr(importlib.import_module(module), name)()


def _output(operation: Any, text: str, seed: int) -> str:
    """Return the first of the operation's outputs, or the text itself if there is none."""
    operation.seed = seed
    _seed_all(seed)
    outputs = operation.generate(text)
    if isinstance(outputs, str):  # as early operations have it
        return outputs
    return str(outputs[0]) if outputs else text


def _seed_all(seed: int) -> None:
    """Seed the process's random generators with 32 bits: many operations draw from these and do not seed them."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _tried(call: Callable[[], Any]) -> tuple[Any, dict[str, object]]:
    """Return a call's value and the line that tells it. Some operations end the process where they reach no server."""
    try:
        value = call()
    except ModuleNotFoundError as error:
        return None, {"missing": error.name or str(error)}
    except (Exception, SystemExit) as error:
        lines = [line.strip() for line in str(error).splitlines() if any(map(str.isalnum, line))]
        told = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        return None, {"error": told, "offline": isinstance(error, ConnectionError)}
    return value, {"text": value if isinstance(value, str) else ""}


if __name__ == "__main__":
    main(*sys.argv[1:])
