"""Evaluates one run and writes its folder; run.json last."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qharness.api.languages import Status
from qharness.api.tasks import Document
from qharness.evaluate.run.run_folder import JOURNAL, RESULTS, RUN, SAMPLES, Journal, relatives
from qharness.evaluate.run.run_plan import PlannedRun
from qharness.execution import choose_isolation
from qharness.execution.bubblewrap import find_bubblewrap
from qharness.filters import executed, execution_options
from qharness.metrics.table import unit_of
from qharness.models.chat_template import THINKING_SWITCHES, has_chat_template
from qharness.models.decoding import prompt_sha
from qharness.models.lm_interface import Facts, Made
from qharness.models.weight_footprint import checkpoint_figures
from qharness.progress import note
from qharness.quantization.backends import find_backend
from qharness.results import (
    Batches,
    DataFile,
    HostingRecord,
    Machine,
    Metric,
    RunRecord,
    SampleRow,
    Timings,
    UntouchedShare,
    Versions,
)
from qharness.storage.atomic_writer import write_json, write_lines
from qharness.storage.json_codec import encode
from qharness.storage.json_reader import parse_json
from qharness.storage.json_values import JsonObject, json_text

_PACKAGES = ("qharness", "lm_eval", "torch", "transformers", "numpy")
_LONGEST_TESTS = 10_000  # characters


def evaluate_run(run: PlannedRun, made: Made, files: Mapping[str, str]) -> JsonObject:
    """Run lm-eval on a model that is already quantized, and write the run's folder, which must be `claimed`.

    Returns the document of its run.json. A folder that a killed run left resumes: the completions in its journal are
    not made again.
    """
    import lm_eval

    lm, journal = ready_model(run, made)
    start = time.monotonic()
    with execution_options(run.execution):
        results = lm_eval.simple_evaluate(
            model=lm,
            tasks=run.task.objects,
            task_manager=run.task.manager,
            limit=run.spec.limit,
            apply_chat_template=run.spec.chat,
            system_instruction=run.spec.system,
            fewshot_as_multiturn=run.spec.chat,
            bootstrap_iters=0,
            confirm_run_unsafe_code=run.spec.allow_unsandboxed,
            random_seed=run.spec.seed,
            numpy_random_seed=run.spec.seed,
            torch_random_seed=run.spec.seed,
            fewshot_random_seed=run.spec.seed,
        )
    total = time.monotonic() - start
    samples = results.pop("samples")
    results["config"] |= {"model": "qharness", "model_args": {"pretrained": run.spec.model, "quant": run.spec.quant}}
    rows = sample_rows(run, samples)
    if rows:
        write_lines(run.folder / SAMPLES, map(encode, rows))
    write_json(run.folder / RESULTS, results)
    timings = timings_of(total, lm, journal.appended)
    return write_record(run, made, lm, rows, metrics_of(run, results), files, timings)


def ready_model(run: PlannedRun, made: Made) -> tuple[Any, Journal]:
    """The model as lm-eval asks it, set up for a run, and the run's journal, whose completions it knows."""
    others = [] if run.model.quantizer.batch_dependent else relatives(run.folder)
    journal = Journal(run.folder / JOURNAL, [folder / JOURNAL for folder in others])
    lm = model_for(run, made)
    lm.known = journal.completions
    lm.on_batch = journal.append
    if unused_template(run, lm):
        _note_template(run.spec.model)
    return lm, journal


def model_for(run: PlannedRun, made: Made) -> Any:
    """The model as lm-eval asks it, with a run's settings and no journal."""
    lm = made.lm(run.spec.seed, run.spec.batch_size)
    lm.batch_dependent = run.model.quantizer.batch_dependent
    lm.chat_template_args = {} if run.spec.think else dict.fromkeys(THINKING_SWITCHES, False)
    return lm


def unused_template(run: PlannedRun, lm: Any) -> bool:
    """Whether the model has a chat template and its prompts are raw."""
    return not run.spec.chat and has_chat_template(getattr(lm, "tokenizer", None))


def timings_of(total: float, lm: Any, completions: int) -> Timings:
    """The timings of a run of `total` seconds, in which a RunLM made that many completions."""
    return Timings(round(total, 3), round(lm.clock.seconds, 3), completions, round(lm.clock.waited, 3), lm.clock.tokens)


def write_record(
    run: PlannedRun,
    made: Made,
    lm: Any,
    rows: Sequence[SampleRow],
    metrics: Mapping[str, Mapping[str, float]],
    files: Mapping[str, str],
    timings: Timings,
) -> JsonObject:
    """Write a finished run's run.json, and return its document."""
    facts: Facts = lm.facts()
    checkpoint = checkpoint_figures(run.model.source, run.model.quantizer)
    record = RunRecord(
        spec=run.spec,
        chat=run.spec.chat,
        metrics=metrics,
        metric=declared_metric(run, metrics[run.spec.task]),
        seeds={"sampling": run.spec.seed},
        versions=_versions(run),
        machine=Machine(platform.platform(), facts.device, facts.dtype),
        data=[DataFile(name, digest) for name, digest in files.items()],
        hosting=HostingRecord(
            resident_bytes=facts.resident_bytes,
            weight_bytes=facts.weight_bytes,
            storage_bytes=facts.storage_bytes or checkpoint.storage_bytes,
            parameters=checkpoint.parameters,
            layers=facts.layers,
            packed_bytes=checkpoint.packed_bytes,
        ),
        timings=timings,
        usage=facts.usage,
        isolation=choose_isolation(run.spec.allow_unsandboxed).name if run.task.languages else None,
        executed=executed(row.in_process for row in rows) if run.task.languages else None,
        batches=Batches(lm.at_a_time, lm.batches if lm.batch_dependent else None),
        coupled=find_backend(run.spec.backend).coupled,
        quantization=list(made.log),
        untouched=UntouchedShare(made.untouched.share, made.untouched.modules) if made.untouched else None,
        generation={name: task.get_config("generation_kwargs") for name, task in run.task.tasks.items()},
        notes=[
            *notes_of(facts, lm.batch_dependent, made.composition),
            *run.task.notes,
            *(uncompiled(rows) if unused_template(run, lm) else []),
            *(without_instruction(run) if run.spec.chat else []),
        ],
    )
    document = encode(record)
    write_json(run.folder / RUN, document)
    written: JsonObject = parse_json(json_text(document))  # as it will be read
    return written


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _versions(run: PlannedRun) -> Versions:
    found = run.task.toolchains
    seen = {name: version for toolchain in found.values() for name, version in toolchain.packages}
    toolchains = {name: toolchain.version for name, toolchain in found.items()}
    isolated = found and choose_isolation(run.spec.allow_unsandboxed).isolates
    sandbox = str(find_bubblewrap()) if isolated else None
    return Versions({name: _version(name) for name in _PACKAGES}, toolchains, seen or None, sandbox)


def declared_metric(run: PlannedRun, metrics: Mapping[str, float]) -> Metric | None:
    """The task's main metric: its YAML's `metadata: {metric: NAME}`, or the first one; None where there is none."""
    task = next(iter(run.task.tasks.values()))
    asked = (task.get_config("metadata") or {}).get("metric")
    name = asked if asked in metrics else next(iter(metrics), None)
    if name is None:
        return None
    better = task.higher_is_better()  # of a function that gives several metrics, by the function's name
    return Metric(name, better.get(name, next(iter(better.values()), True)) is not False, unit_of(name))


def notes_of(facts: Facts, batch_dependent: bool, composition: Mapping[str, int] | None) -> list[str]:
    """Remarks that a reader of the run's metrics must know."""
    notes = list(facts.notes)
    if batch_dependent:
        notes.append("this quantizer's results depend on which rows share a batch")
    if composition:
        notes.append(f"calibrated on {json.dumps(dict(composition))}")
    return notes


@cache
def _note_template(model: str) -> None:
    """Tell, once a model, that its prompts are raw."""
    note(f"model {model!r} has a chat template, and the prompts are raw texts to go on with: --chat asks it as a chat")


def uncompiled(rows: Sequence[SampleRow]) -> list[str]:
    """The remark that at least half of the programs do not compile, as where a chat model writes prose."""
    statuses = [row.status for row in rows if row.status is not None]
    failed = statuses.count(Status.COMPILE_ERROR)
    if not statuses or 2 * failed < len(statuses):
        return []
    return [f"{failed} of {len(statuses)} programs do not compile; the model has a chat template: try --chat"]


def without_instruction(run: PlannedRun) -> list[str]:
    """The tasks that do not say what they ask in a chat: theirs is their raw prompt."""
    names = [name for name, task in run.task.tasks.items() if getattr(task, "chat", None) is None]
    return [f"{name} has no instruction for a chat: the user's turn is its prompt as it is" for name in names]


def metrics_of(run: PlannedRun, results: JsonObject) -> dict[str, dict[str, float]]:
    """lm-eval's metrics by task, without the filter's name and the standard errors; the group's, if it is one."""
    found = {}
    for task, values in {**results["results"], **results.get("groups", {})}.items():
        named = {key.split(",")[0]: value for key, value in values.items() if isinstance(value, int | float)}
        found[task] = {
            key: value for key, value in named.items() if not key.endswith("_stderr") and key != "sample_len"
        }
    return {run.spec.task: found.pop(run.spec.task, {}), **found}


def sample_rows(run: PlannedRun, samples: Mapping[str, Sequence[JsonObject]]) -> list[SampleRow]:
    """The lines of samples.jsonl, from lm-eval's log: one for each completion, by document and sample."""
    rows = []
    for task, logged in samples.items():
        if run.task.tasks[task].get_config("output_type") != "generate_until":
            continue
        for sample in sorted(logged, key=lambda s: s["doc_id"]):
            common = prompt_row(run, task, sample["doc_id"], sample["doc"], sample["arguments"][0][0])
            rows += [replace(common, sample=index, **outcome) for index, outcome in enumerate(_outcomes(sample))]
    return tests_once(rows)


def tests_once(rows: Sequence[SampleRow]) -> list[SampleRow]:
    """The rows, with the tests of each document in its first row only."""
    first: dict[tuple[str, int], SampleRow] = {}
    for row in rows:
        first.setdefault((row.task, row.doc_id), row)
    return [row if first[row.task, row.doc_id] is row else replace(row, tests=None) for row in rows]


def prompt_row(run: PlannedRun, task: str, doc_id: int, doc: Document, prompt: str) -> SampleRow:
    """What the rows of one document's completions share."""
    return SampleRow(
        task=task,
        doc_id=doc_id,
        task_id=doc.get("task_id"),
        seed=run.spec.seed,
        prompt_sha=prompt_sha(prompt),
        prompt=prompt,
        level=doc.get("level"),
        tests=_tests(doc),
    )


def _tests(doc: Document) -> str | None:
    """The tests of a document's programs, of long ones the beginning; None where it has none in words."""
    tests = doc.get("tests")
    if not isinstance(tests, str) or not tests:
        return None
    return tests if len(tests) <= _LONGEST_TESTS else f"{tests[:_LONGEST_TESTS]}\n[{len(tests):,} characters in all]"


def verdict_fields(verdict: Mapping[str, Any]) -> JsonObject:
    """The fields of a row that a program's verdict gives."""
    return {key: value for key, value in verdict.items() if key != "cached"}


def _outcomes(sample: JsonObject) -> list[JsonObject]:
    """The fields of each completion's row: its verdict's; of a text, its document's metrics and reference."""
    found = sample["filtered_resps"][0]
    if isinstance(found, list) and found and isinstance(found[0], dict) and "status" in found[0]:
        return [verdict_fields(verdict) for verdict in found]
    whole = {"metrics": {name: sample[name] for name in sample["metrics"]}, "reference": sample["target"]}
    return [{"completion": text, **whole} for text in sample["resps"][0]]
