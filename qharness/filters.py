"""The functions that a task's YAML names: lm-eval filters that cut completions and run programs, and metrics.

The documents of a task of programs hold `task_id`, `prompt`, `language` and `tests`. They may hold `joint` (the
separator of prompt and completion in the program), `entry_class`, `packages` (that the program may import), `cases`
(the fields of qharness.Cases, which judge the program in place of the tests), and any other field.
All functions work in the stock lm-eval command line too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import NotRequired, TypedDict

from qharness.answers.extraction import take_out
from qharness.answers.solution import Solution
from qharness.api.answers import AnswerLanguage, Opening
from qharness.api.languages import Cases, Language, Outcome, Program, Toolchain
from qharness.api.tasks import Document
from qharness.errors import DataError
from qharness.execution import choose_isolation
from qharness.execution import run_programs as run_in_pool
from qharness.execution.verdicts import verdict_cache
from qharness.metrics import pass_at_k as estimate
from qharness.metrics.table import TEXT_METRICS, stage_metric
from qharness.progress import phase
from qharness.registry import get_registry
from qharness.scoped_value import scoped


class Verdict(TypedDict):
    """One completion and the outcome of its program; a dict, because lm-eval writes it to its log as JSON.

    `solution`: the program that `extract_code` took out of the completion, which is an answer. `stages`: those of its
    cases that it passed, of a program that cases judge.
    """

    completion: str
    solution: NotRequired[str]
    status: str
    passed: bool
    detail: str
    seconds: float
    cached: NotRequired[bool]
    in_process: bool
    stages: NotRequired[list[str]]


@dataclass(frozen=True)
class ExecutionOptions:
    """The way to run programs; the environment's QHARNESS_ALLOW_UNSANDBOXED counts besides.

    `cache`: whether the verdict cache answers for programs that were run before, and stores new verdicts. `toolchains`:
    by language, for programs that ask for `packages`, where they have been found already. `language`: a language with
    options, in place of that of its name.
    """

    allow_unsandboxed: bool = False
    cache: bool = False
    packages: tuple[str, ...] = ()
    toolchains: Mapping[str, Toolchain] = field(default_factory=dict)
    language: Language | None = None


_DEFAULT_OPTIONS = ExecutionOptions()
_options: ContextVar[ExecutionOptions] = ContextVar("execution_options", default=_DEFAULT_OPTIONS)


def execution_options(options: ExecutionOptions) -> AbstractContextManager[None]:
    """Make `run_programs` use these options inside a `with` block."""
    return scoped(_options, options)


def check_document(doc: Document, place: str, *, named: bool = False) -> None:
    """Raise DataError, with the place, for a document that makes no program: that would count as the model's failure.

    `named`: the document must also have a `task_id`, by which its verdicts are found again.
    """
    for name in ("language", "prompt", "tests"):
        if not isinstance(doc.get(name), str) or (name != "prompt" and not doc[name].strip()):
            raise DataError(f"{place} has no {name!r}: its programs cannot be judged")
    if named and doc.get("task_id") is None:
        raise DataError(f"{place} has no 'task_id': its verdicts cannot be found again")


def program_of(doc: Document, completion: str) -> Program:
    """Return the program that tests a completion of a document's prompt, or a Solution, which has the prompt in it.

    Raises DataError if a field is missing.
    """
    (program,) = programs_of(doc, [completion])
    return program


def programs_of(doc: Document, completions: Sequence[str]) -> list[Program]:
    """Return the program of each completion, as `program_of` does; all share the document's cases, hashed once."""
    check_document(doc, f"document {doc.get('task_id')!r}")
    opening = doc["prompt"] + (doc.get("joint") or "")
    packages, cases = tuple(doc.get("packages") or ()), _cases_of(doc)
    tests, entry_class = "" if cases else doc["tests"], doc.get("entry_class") or ""
    sources = (str(text) if isinstance(text, Solution) else opening + text for text in completions)
    return [Program(doc["language"], source, tests, entry_class, packages, cases) for source in sources]


def _cases_of(doc: Document) -> Cases | None:
    """Return the cases that judge a document's programs; None where its tests do."""
    fields = doc.get("cases")
    if not fields:
        return None
    stages = tuple((str(stage["name"]), int(stage["first"])) for stage in fields["stages"])
    return Cases(**{**fields, "stages": stages})


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


def extract_code(resps: Sequence[Sequence[str]], docs: Sequence[Document]) -> list[list[Solution]]:
    """lm-eval filter: turn each answer of a chat model into a Solution, which stands for prompt and completion.

    Raises DataError for a document whose language cannot read answers.
    """
    return [[solution_of(doc, text) for text in texts] for texts, doc in zip(resps, docs, strict=True)]


def solution_of(doc: Document, answer: str) -> Solution:
    """Return the program in an answer to a document's problem. Raises DataError if its language cannot read answers."""
    check_document(doc, f"document {doc.get('task_id')!r}")
    language = get_registry().language(doc["language"])
    if not isinstance(language, AnswerLanguage):
        raise DataError(
            f"document {doc.get('task_id')!r}: the plugin of {doc['language']!r} takes no code out of chat answers"
        )
    prompt = doc["prompt"] + (doc.get("joint") or "")
    cases = doc.get("cases")
    tests = f"{cases['function']}()" if cases else doc["tests"]
    entry_point = doc.get("entry_point") or language.answers.entry_point(prompt, tests)
    return take_out(language, Opening(prompt, tests, entry_point, doc.get("entry_class") or ""), answer)


def run_programs(resps: Sequence[Sequence[str]], docs: Sequence[Document]) -> list[list[Verdict]]:
    """lm-eval filter: run the programs of all documents in parallel, and return a verdict for each completion."""
    options = _options.get()
    isolation = choose_isolation(options.allow_unsandboxed)
    verdicts = verdict_cache() if options.cache else None
    programs = [program for texts, doc in zip(resps, docs, strict=True) for program in programs_of(doc, texts)]
    known = {(name, options.packages): toolchain for name, toolchain in options.toolchains.items()}
    with phase("execute", "programs") as progress:
        found = run_in_pool(
            programs,
            partial(get_registry().language, configured=options.language),
            isolation,
            verdicts=verdicts,
            progress=progress,
            toolchains=known,
        )
    outcomes = iter(zip(programs, found, strict=True))
    return [[_verdict(text, *next(outcomes)) for text in texts] for texts in resps]


def _verdict(text: str, program: Program, outcome: Outcome) -> Verdict:
    verdict: Verdict = {
        "completion": text,
        "status": str(outcome.status),
        "passed": outcome.passed,
        "detail": outcome.detail,
        "seconds": outcome.seconds,
        "cached": outcome.cached,
        "in_process": outcome.in_process,
    }
    if program.cases:
        verdict["stages"] = list(outcome.stages)
    if isinstance(text, Solution):
        verdict["completion"], verdict["solution"] = text.answer, str(text)
    return verdict


def executed(in_process: Iterable[bool | None]) -> dict[str, int]:
    """Count verdicts of tests that ran apart from the program (`isolated`) and in its process; None does not count."""
    counts = Counter("in-process" if each else "isolated" for each in in_process if each is not None)
    return {name: counts[name] for name in ("isolated", "in-process")}


def pass_at_k(
    references: Sequence[str], predictions: Sequence[Sequence[Verdict]], k: Sequence[int] = (1,)
) -> dict[str, float]:
    """lm-eval metric of one document: pass@k for each of `k`; NaN where there are fewer samples than k."""
    (verdicts,) = predictions
    passed = sum(verdict["passed"] for verdict in verdicts)
    return {f"pass@{each}": estimate(len(verdicts), passed, each) for each in k}


def stage_pass_at_k(
    references: Sequence[str], predictions: Sequence[Sequence[Verdict]], stage: str, k: Sequence[int] = (1,)
) -> dict[str, float]:
    """lm-eval metric of one document judged by cases: STAGE_pass@k, for each of `k`, of the programs that passed it."""
    (verdicts,) = predictions
    passed = sum(stage in verdict.get("stages", ()) for verdict in verdicts)
    return {stage_metric(stage, each): estimate(len(verdicts), passed, each) for each in k}


def __getattr__(name: str) -> Callable[[Sequence[str], Sequence[str]], float]:
    """A row of TEXT_METRICS as the lm-eval metric of one document: `!function qharness.filters.NAME`."""
    if name not in TEXT_METRICS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def metric(references: Sequence[str], predictions: Sequence[str]) -> float:
        (reference,), (prediction,) = references, predictions
        return TEXT_METRICS[name].score(reference, prediction)

    metric.__name__ = name  # by which lm-eval names it
    return metric
