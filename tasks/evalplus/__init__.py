"""EvalPlus (Liu et al. 2023): HumanEval and part of MBPP with many more inputs, which find more faults.

The files are upstream's in the originals' form: each problem's `test` holds a list of inputs and, but for nine
problems, one of the outputs of the canonical solution. A program is judged by these lists as EvalPlus's evaluator
judges it: first on the inputs of the original benchmark (`base`), then on EvalPlus's own (`plus`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import BenchmarkFile, DataError, Document, Span, TaskSource, hookimpl, test_split
from qharness.tasks.evalplus.problems import (
    BASE_INPUTS,
    CALL_SECONDS,
    LEFT_OUT,
    MBPP_BASE_INPUTS,
    SAME,
    TOLERANCES,
    UNTOLD,
)
from qharness.tasks.prose import docstring_spans, sentence_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset

_UPSTREAM = "https://raw.githubusercontent.com/evalplus"
HUMANEVAL = BenchmarkFile(
    "evalplus/HumanEvalPlus-OriginFmt.jsonl.gz",
    f"{_UPSTREAM}/humanevalplus_release/200defce9e3429d28ca215b6dd061c0f7f31c18b/HumanEvalPlus-OriginFmt.jsonl.gz",
    "daa7661c8189924068069b0872a440b491edb60f8bdf431d5957adc88d18bae5",
)
MBPP = BenchmarkFile(
    "evalplus/MbppPlus-OriginFmt.jsonl.gz",
    f"{_UPSTREAM}/mbppplus_release/dadf43da556a00f7bacd71cb154f2932757d9144/MbppPlus-OriginFmt.jsonl.gz",
    "7a5aec547b134fa297ee6c45f829298aa3f58de02547b8d8a5c3d85d9cb10efc",
)
_INPUTS = re.compile(r"^ *inputs = (.*)$", re.MULTILINE)
_OUTPUTS = re.compile(r"^ *results = (.*)$", re.MULTILINE)
_FUNCTION = re.compile(r"^    assertion\((\w+)\(\*inp\)", re.MULTILINE)
_LINK = re.compile(r"https?://\S+")
_QUOTES = '"""\n'


def humaneval_dataset(data_dir: str | None = None, packages: Sequence[str] = (), **metadata: Any) -> dict[str, Dataset]:
    """Return the 164 problems, for lm-eval, which passes a task's whole metadata."""
    return test_split((_humaneval_document(row) for row in HUMANEVAL.rows(data_dir)), packages)


def mbpp_dataset(data_dir: str | None = None, packages: Sequence[str] = (), **metadata: Any) -> dict[str, Dataset]:
    """Return the 378 problems, for lm-eval, which passes a task's whole metadata."""
    return test_split((_mbpp_document(row) for row in MBPP.rows(data_dir)), packages)


def _humaneval_document(row: Document) -> Document:
    number = int(row["task_id"].removeprefix("HumanEval/"))
    return {
        "task_id": row["task_id"],
        "prompt": row["prompt"],
        "language": "python",
        "entry_point": row["entry_point"],
        "tests": f"{row['test']}\ncheck({row['entry_point']})\n",
        "canonical_solution": row["canonical_solution"],
        "cases": _cases(row["task_id"], row["entry_point"], row["test"], "def check(", BASE_INPUTS[number]),
    }


def _mbpp_document(row: Document) -> Document:
    task_id, test = f"Mbpp/{row['task_id']}", row["test"]
    function = _found(_FUNCTION, test, task_id)
    text = _LINK.sub("", row["prompt"])
    return {
        "task_id": task_id,
        "prompt": f"{_QUOTES}{text}\n{row['test_list'][0]}\n{_QUOTES}",
        "language": "python",
        "entry_point": function,
        "tests": "\n".join([*row["test_imports"], test]),
        "canonical_solution": row["code"],
        "cases": _cases(task_id, function, test, "inputs = ", MBPP_BASE_INPUTS.get(row["task_id"], 3)),
    }


def _cases(task_id: str, function: str, test: str, end_of_reference: str, base: int) -> Document:
    """Return the fields of a problem's Cases, cut out of its test; the lists in it are one line each."""
    inputs = _found(_INPUTS, test, task_id)
    outputs = _OUTPUTS.search(test)
    if task_id in LEFT_OUT:
        inputs = f"[each for number, each in enumerate({inputs}) if number not in {LEFT_OUT[task_id]}]"
    told = outputs[1] if outputs else ""
    if task_id in UNTOLD:
        told = f"[None] * len({inputs})"
    return {
        "function": function,
        "inputs": inputs,
        "outputs": told,
        "stages": [{"name": "base", "first": 0}, {"name": "plus", "first": base}],
        "reference": "" if told else test[: test.index(end_of_reference)],
        "tolerance": TOLERANCES.get(task_id, 0.0),
        "same": SAME.get(task_id, ""),
        "call_seconds": CALL_SECONDS.get(task_id, 2.0),
    }


def _found(pattern: re.Pattern[str], test: str, task_id: str) -> str:
    found = pattern.search(test)
    if not found:
        raise DataError(f"EvalPlus {task_id} has no {pattern.pattern!r} in its test: this is not the pinned version")
    return found[1]


def prose_spans(doc: Document) -> list[Span]:
    """Return the prose of a HumanEval problem's docstring, or of an MBPP problem's text above its assertion."""
    if doc["task_id"].startswith("Mbpp/"):
        return sentence_spans(doc["prompt"], len(_QUOTES), doc["prompt"].rindex("\nassert"))
    return docstring_spans(doc["prompt"])


@hookimpl
def qharness_tasks() -> list[TaskSource]:
    """Offer `humaneval-plus` and `mbpp-plus`."""
    return [TaskSource(Path(__file__).parent, prose_spans)]
