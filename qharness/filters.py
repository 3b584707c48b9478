"""What a code task's YAML names: lm-eval filters that cut completions and run programs, and the metric.

A code task's documents hold `task_id`, `prompt`, `language` and `tests`, and may hold `joint` (text that stands
between prompt and completion in the program), `entry_class`, `packages` (which the program may import), and anything
else. All of these work in the stock lm-eval command line too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from qharness.api.languages import Program
from qharness.api.tasks import Document
from qharness.errors import DataError
from qharness.execution import choose_isolation
from qharness.execution import run_programs as run_in_pool
from qharness.execution.verdicts import kept_verdicts
from qharness.metrics import pass_at_k as estimate
from qharness.metrics import smoothed_bleu_4
from qharness.progress import counter
from qharness.registry import get_registry

Verdict = dict[str, Any]
"""completion, status, passed, detail, seconds, cached, in_process: what became of one completion."""


@dataclass(frozen=True)
class ExecutionOptions:
    """How programs are run; the environment's QHARNESS_ALLOW_UNSANDBOXED counts besides.

    `cache`: whether programs that were judged before keep their verdicts, and new verdicts are kept.
    """

    allow_unsandboxed: bool = False
    cache: bool = False


_DEFAULT_OPTIONS = ExecutionOptions()
_options: ContextVar[ExecutionOptions] = ContextVar("execution_options", default=_DEFAULT_OPTIONS)


@contextmanager
def execution_options(options: ExecutionOptions) -> Iterator[None]:
    """Run programs this way inside."""
    token = _options.set(options)
    try:
        yield
    finally:
        _options.reset(token)


def check_document(doc: Document, place: str, *, named: bool = False) -> None:
    """Raise DataError, naming its place, for a document that no program can be made of: it is no model's failure.

    `named`: it must have a `task_id`, by which verdicts are found again.
    """
    for name in ("language", "prompt", "tests"):
        if not isinstance(doc.get(name), str) or (name != "prompt" and not doc[name].strip()):
            raise DataError(f"{place} has no {name!r}: its programs cannot be judged")
    if named and doc.get("task_id") is None:
        raise DataError(f"{place} has no 'task_id': its verdicts cannot be found again")


def program_of(doc: Document, completion: str) -> Program:
    """The program that tests one completion of a document's prompt. Raises DataError for want of a field."""
    check_document(doc, f"document {doc.get('task_id')!r}")
    source = doc["prompt"] + (doc.get("joint") or "") + completion
    packages = tuple(doc.get("packages") or ())
    return Program(doc["language"], source, doc["tests"], doc.get("entry_class") or "", packages)


def first_function(resps: Sequence[Sequence[str]], docs: Sequence[Document]) -> list[list[str]]:
    """lm-eval filter: cut each completion after the function or method that its prompt opened."""
    registry = get_registry()
    return [
        [
            registry.language(doc["language"]).first_function(doc["prompt"] + (doc.get("joint") or ""), text)
            for text in texts
        ]
        for texts, doc in zip(resps, docs, strict=True)
    ]


def function_body(resps: Sequence[Sequence[str]], docs: Sequence[Document]) -> list[list[str]]:
    """lm-eval filter, for a prompt that opened a brace which the tests close: cut each completion before that brace.

    A completion that a stop sequence has cut there already, or that never closes it, is left whole.
    """
    closed = first_function([[f"{text}\n}}" for text in texts] for texts in resps], docs)
    return [
        [whole[:-1] if len(whole) <= len(text) else text for text, whole in zip(texts, wholes, strict=True)]
        for texts, wholes in zip(resps, closed, strict=True)
    ]


def run_programs(resps: Sequence[Sequence[str]], docs: Sequence[Document]) -> list[list[Verdict]]:
    """lm-eval filter: run the programs of all documents at once, in parallel; a verdict for each completion."""
    options = _options.get()
    isolation = choose_isolation(options.allow_unsandboxed)
    verdicts = kept_verdicts() if options.cache else None
    programs = [program_of(doc, text) for texts, doc in zip(resps, docs, strict=True) for text in texts]
    with counter("programs run") as progress:
        outcomes = iter(run_in_pool(programs, get_registry().language, isolation, verdicts=verdicts, progress=progress))
    return [
        [
            {
                "completion": text,
                "status": str(outcome.status),
                "passed": outcome.passed,
                "detail": outcome.detail,
                "seconds": outcome.seconds,
                "cached": outcome.cached,
                "in_process": outcome.in_process,
            }
            for text, outcome in zip(texts, outcomes, strict=False)
        ]
        for texts in resps
    ]


def executed(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many of these verdicts tests gave that ran apart from the program, and how many those in its own process."""
    counts = Counter("in-process" if row["in_process"] else "isolated" for row in rows if "in_process" in row)
    return {name: counts[name] for name in ("isolated", "in-process")}


def pass_at_k(
    references: Sequence[str], predictions: Sequence[Sequence[Verdict]], k: Sequence[int] = (1,)
) -> dict[str, float]:
    """lm-eval metric of one document: pass@k for each of `k`; NaN where there are fewer samples than k."""
    (verdicts,) = predictions
    passed = sum(verdict["passed"] for verdict in verdicts)
    return {f"pass@{each}": estimate(len(verdicts), passed, each) for each in k}


def bleu(references: Sequence[str], predictions: Sequence[str]) -> float:
    """lm-eval metric of one document: smoothed BLEU-4 in percent; its mean over documents is CodeXGLUE's score."""
    (reference,), (prediction,) = references, predictions
    return 100 * smoothed_bleu_4(reference, prediction)
