"""Compares the code that qharness and EvalPlus's `sanitize` take out of the same answers to HumanEval and MBPP.

    python benchmarks/extraction.py ANSWERS.jsonl [--evalplus FOLDER]

Lines are {"task_id", "completion"}; a completion is a chat model's whole answer. Needs evalplus (`pip install --no-deps
--target FOLDER evalplus`: of it, only `sanitize` is used). Prints a count for each pair of verdicts, and every answer
to which the two programs have different verdicts.
"""

from __future__ import annotations

import argparse
import json
import sys
import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from qharness import Document
from qharness.answers.solution import Solution
from qharness.filters import run_programs, solution_of
from qharness.registry import get_registry
from qharness.tasks import humaneval, mbpp


def sanitizer(folder: Path | None) -> Callable[[str, str], str]:
    """Import EvalPlus's `sanitize`, whose module also imports its data sets and command line, which it does not use."""
    if folder:
        sys.path.insert(0, str(folder))
    unused = ("get_human_eval_plus", "get_mbpp_plus", "load_solutions", "write_directory", "write_jsonl", "tqdm")
    for name in ("evalplus.data", "evalplus.syncheck", "tqdm"):
        module = types.ModuleType(name)
        for each in unused:
            setattr(module, each, None)
        module.__dict__["syntax_check"] = parses
        sys.modules[name] = module
    from evalplus.sanitize import sanitize

    found: Callable[[str, str], str] = sanitize
    return found


def parses(code: str, verbose: bool = False) -> bool:
    """Whether Python parses the code: what evalplus.syncheck.syntax_check says."""
    import ast
    import warnings

    warnings.simplefilter("ignore")
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, MemoryError):
        return False
    return True


def entry_point(doc: Document) -> str:
    """Return the function that the document's tests call."""
    return get_registry().language("python").answers.entry_point(doc["prompt"], doc["tests"])


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--evalplus", type=Path)
    given = parser.parse_args()
    docs = {doc["task_id"]: doc for task in (humaneval, mbpp) for doc in task.dataset()["test"]}
    rows = [json.loads(line) for line in given.answers.read_text(encoding="utf-8").splitlines()]
    asked = [docs[row["task_id"]] for row in rows]
    sanitize = sanitizer(given.evalplus)
    ours = [solution_of(doc, row["completion"]) for doc, row in zip(asked, rows, strict=True)]
    theirs = [Solution(sanitize(row["completion"], entry_point(doc))) for doc, row in zip(asked, rows, strict=True)]
    verdicts = run_programs([[a, b] for a, b in zip(ours, theirs, strict=True)], asked)
    counts = Counter((a["status"], b["status"]) for a, b in verdicts)
    same = sum(a.split() == b.split() for a, b in zip(ours, theirs, strict=True))
    passed = [sum(bool(pair[side]["passed"]) for pair in verdicts) for side in (0, 1)]
    print(f"{len(rows)} answers; equal but for white space: {same}; pass: ours {passed[0]}, EvalPlus's {passed[1]}")
    for (a, b), count in sorted(counts.items(), key=lambda each: -each[1]):
        print(f"{count:6} ours {a:14} EvalPlus's {b}")
    for row, (a, b), one, other in zip(rows, verdicts, ours, theirs, strict=True):
        if a["passed"] != b["passed"]:
            print(f"\n===== {row['task_id']}: ours {a['status']} {a['detail']}, EvalPlus's {b['status']} {b['detail']}")
            print(row["completion"], "--- ours", one, "--- EvalPlus's", other, sep="\n")


if __name__ == "__main__":
    main()
