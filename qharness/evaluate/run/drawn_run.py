"""A run whose completions are made in a random order, as far as they are asked for."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qharness.errors import QHarnessError
from qharness.evaluate.run.drawing_order import drawing_order
from qharness.evaluate.run.run_folder import SAMPLES
from qharness.evaluate.run.run_plan import PlannedRun
from qharness.evaluate.run.run_record import (
    prompt_row,
    ready_model,
    tests_once,
    timings_of,
    verdict_fields,
    write_record,
)
from qharness.filters import ExecutionOptions, Verdict, execution_options
from qharness.models.decoding import prompt_sha
from qharness.models.lm_interface import Made
from qharness.results import RunResult, SampleRow
from qharness.results.paired_results import PASS_RATE
from qharness.specs import Drawn
from qharness.storage.atomic_writer import write_lines
from qharness.storage.json_codec import encode

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task

Place = tuple[int, int]
"""The place of a document among the task's, and the number of a sample of it."""


def require_drawable(run: PlannedRun) -> None:
    """Raise QHarnessError for a run that cannot be made completion by completion, or has no passes."""
    name = run.spec.task
    if len(run.task.tasks) != 1 or not run.task.languages:
        raise QHarnessError(f"choose judges programs by their passes: {name!r} is no task of programs, or a group")
    if run.model.quantizer.batch_dependent:
        raise QHarnessError(
            f"choose makes completions in a random order: {run.spec.quant!r} depends on which of them share a batch"
        )


class DrawnRun:
    """A run of one task of programs, in the random order of `spec.drawn`; its folder must be `claimed`.

    `size`: how many completions a whole run would have. Completions are in the journal as soon as they are made, and
    those that are there are not made again.
    """

    def __init__(self, run: PlannedRun, made: Made, files: Mapping[str, str]) -> None:
        self.run, self._made, self._files = run, made, files
        ((self._name, self._task),) = run.task.tasks.items()
        self._lm, self._journal = ready_model(run, made)
        self._requests = requests_of(self._task, run, self._lm)
        self._samples = run.spec.samples or 1
        self.size = len(self._requests) * self._samples
        assert run.spec.drawn
        self._seed = run.spec.drawn.order
        self._order = drawing_order(len(self._requests), self._samples, self._seed)
        self._rows: list[SampleRow] = []
        self._seconds = 0.0

    def passed(self, count: int) -> NDArray[np.float64]:
        """1 or 0 for each of the first `count` completions in the order: whether it passes. Makes what is missing."""
        missing = self._order[len(self._rows) : count]
        if len(missing):
            start = time.monotonic()
            places = [divmod(int(cell), self._samples) for cell in missing]
            self._rows += self._executed(places, self._texts(places))
            self._seconds += time.monotonic() - start
        return np.array([float(bool(row.passed)) for row in self._rows[:count]])

    def _texts(self, places: Sequence[Place]) -> list[str]:
        """Their completions; a model is asked for all samples of a document, and is told those that are not wanted."""
        wanted, known = set(places), dict(self._journal.completions)
        asked: list[tuple[Place, Instance]] = []
        for problem in dict.fromkeys(problem for problem, _ in places):
            request = self._requests[problem]
            for sample in range(self._samples):
                asked.append(((problem, sample), request))
                if (problem, sample) not in wanted:
                    known.setdefault((request.doc_id, sample, prompt_sha(request.args[0])), "")
        self._lm.known = known
        texts = self._lm.generate_until([request for _, request in asked], disable_tqdm=True)
        made = {place: text for (place, _), text in zip(asked, texts, strict=True)}
        return [made[place] for place in places]

    def _executed(self, places: Sequence[Place], texts: Sequence[str]) -> list[SampleRow]:
        """Rows with the verdicts of these completions, by the filters of their task."""
        answered = [(self._requests[problem], text) for (problem, _), text in zip(places, texts, strict=True)]
        verdicts = filtered(self._task, answered, self.run.execution)
        rows = []
        for (_, sample), (instance, verdict) in zip(places, verdicts, strict=True):
            common = prompt_row(self.run, self._name, instance.doc_id, instance.doc, instance.args[0])
            rows.append(replace(common, sample=sample, **verdict_fields(verdict)))
        return rows

    def write(self) -> RunResult:
        """Write the folder of the run, with the completions so far. Its pass@1 is the mean of its problems'."""
        rows = tests_once(sorted(self._rows, key=lambda row: (row.doc_id, row.sample)))
        by_problem: dict[int, list[float]] = {}
        for row in rows:
            by_problem.setdefault(row.doc_id, []).append(float(bool(row.passed)))
        run = replace(self.run, spec=replace(self.run.spec, drawn=Drawn(self._seed, len(rows))))
        write_lines(run.folder / SAMPLES, map(encode, rows))
        metrics = {run.spec.task: {PASS_RATE: float(np.mean([np.mean(each) for each in by_problem.values()]))}}
        timings = timings_of(self._seconds, self._lm, self._journal.appended)
        document = write_record(run, self._made, self._lm, rows, metrics, self._files, timings)
        return RunResult(run.folder, document)

    @property
    def drawn(self) -> int:
        """How many completions were asked for so far."""
        return len(self._rows)


def filtered(
    task: Task, answered: Sequence[tuple[Instance, str]], options: ExecutionOptions
) -> list[tuple[Instance, Verdict]]:
    """The verdict on each text, an answer to its request, by the filters of the task."""
    instances = []
    for request, text in answered:
        instance = copy.copy(request)
        instance.resps, instance.filtered_resps = [text], {}
        instances.append(instance)
    task._instances = instances
    with execution_options(options):
        task.apply_filters()
    return [(each, next(iter(each.filtered_resps.values()))[0]) for each in instances]


def requests_of(task: Task, run: PlannedRun, lm: Any) -> list[Instance]:
    """The requests of a task, one a document, as lm-eval makes them."""
    task.set_fewshot_seed(seed=run.spec.seed)
    chat = (
        {"chat_template": lm.apply_chat_template, "tokenizer_name": lm.tokenizer_name, "fewshot_as_multiturn": True}
        if run.spec.chat
        else {}
    )
    task.build_all_requests(
        limit=run.spec.limit, system_instruction=run.spec.system, apply_chat_template=run.spec.chat, **chat
    )
    return list(task.instances)
