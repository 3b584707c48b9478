"""The formats in which other harnesses keep samples: a row each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from qharness.api.languages import Status
from qharness.api.tasks import Document
from qharness.errors import SamplesError
from qharness.evaluate.interchange.samples import ExportedRun, Extent, Problems, Sample, SampleFormat
from qharness.filters import program_of
from qharness.metrics import pass_at_k
from qharness.storage.json_values import json_safe, json_text

_Files = Iterator[tuple[str, str]]

# MultiPL-E's own words, where they are not ours: a language by the ending of its files, and how a program ended.
_LANGUAGES = {"python": "py", "javascript": "js"}
_STATUSES = {
    Status.PASSED: ("OK", 0),
    Status.COMPILE_ERROR: ("SyntaxError", 1),
    Status.TIMEOUT: ("Timeout", -1),
}
_OTHERWISE = ("Exception", 1)


def _text(row: Mapping[str, Any], field: str) -> str:
    if not isinstance(row[field], str):
        raise ValueError(f": {field!r} is no text")
    return str(row[field])


def _completion(row: Mapping[str, Any], problems: Problems) -> list[Sample]:
    return [Sample(row["task_id"], _text(row, "completion"), Extent.COMPLETION, row)]


def _completions(run: ExportedRun) -> _Files:
    yield "", _lines({"task_id": row["task_id"], "completion": row["completion"]} for row, _ in run.samples)


def _solution(row: Mapping[str, Any], problems: Problems) -> list[Sample]:
    """EvalPlus spells MBPP's ids another way, so case does not count."""
    task_id = _text(row, "task_id")
    if task_id not in problems:
        task_id = next((ours for ours in problems if ours.casefold() == task_id.casefold()), task_id)
    return [Sample(task_id, _text(row, "solution"), Extent.SOLUTION, row)]


def _solutions(run: ExportedRun) -> _Files:
    ids = (row["task_id"].replace("MBPP/", "Mbpp/") for row, _ in run.samples)
    sources = (program_of(doc, row["completion"]).source for row, doc in run.samples)
    yield "", _lines({"task_id": each, "solution": source} for each, source in zip(ids, sources, strict=True))


def _results(document: Mapping[str, Any], problems: Problems) -> list[Sample]:
    """The programs of one of MultiPL-E's files, less the tests that stand at their end."""
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
    """A file a problem, as MultiPL-E's evaluator writes it after its completions' file."""
    for samples in run.by_problem():
        row, doc = samples[0]
        document = {
            "name": row["task_id"],
            "language": _LANGUAGES.get(doc["language"], doc["language"]),
            "temperature": run.document["spec"]["temperature"],
            "top_p": run.document["spec"]["top_p"],
            "max_tokens": run.document["spec"]["max_new_tokens"],
            "prompt": doc["prompt"],
            "tests": doc["tests"],
            "stop_tokens": (run.document["generation"][row["task"]] or {}).get("until", []),
            "results": [_result(row, doc, int(run.results["date"])) for row, doc in samples],
        }
        name = row["task_id"].replace("/", "_")
        yield f"{name}.results.json.gz", json_text(document, indent=2)


def _result(row: Mapping[str, Any], doc: Document, date: int) -> dict[str, Any]:
    status, code = _STATUSES.get(Status(row["status"]), _OTHERWISE)
    return {
        "program": f"{program_of(doc, row['completion']).source}\n{doc['tests']}",
        "timestamp": date,
        "exit_code": code,
        "status": status,
        "stdout": "",  # of what programs print we keep nothing
        "stderr": row.get("detail", ""),
    }


def _logged(row: Mapping[str, Any], problems: Problems) -> list[Sample]:
    """A line of lm-eval's own log: the responses of one document, as the model gave them."""
    task_id = row["doc"].get("task_id") if isinstance(row["doc"], dict) else None
    responses = row["resps"][0] if isinstance(row["resps"], list) and row["resps"] else None
    if task_id is None:
        raise ValueError(": 'doc' has no 'task_id'")
    if not isinstance(responses, list) or not all(isinstance(text, str) for text in responses):
        raise ValueError(": 'resps' are no texts")
    kept = {"task_id": task_id, "doc_id": row["doc_id"], "filter": row.get("filter")}
    return [Sample(task_id, text, Extent.UNCUT, {**kept, "sample": n}) for n, text in enumerate(responses)]


def _log_files(run: ExportedRun) -> _Files:
    """The two files that `lm-eval run --log_samples` leaves, the second once a task. Its tools find them by name."""
    from lm_eval.utils import sanitize_model_name

    date = datetime.fromtimestamp(run.results["date"], UTC).replace(tzinfo=None)
    stamp = date.isoformat(timespec="microseconds").replace(":", "-")
    model = run.document["spec"]["model"]
    names = {"model_source": "qharness", "model_name": model, "model_name_sanitized": sanitize_model_name(model)}
    yield f"results_{stamp}.json", json_text({**run.results, **names}, indent=2)
    logs: dict[str, list[dict[str, Any]]] = {}
    for samples in run.by_problem():
        logs.setdefault(samples[0][0]["task"], []).append(_log_line(run, samples))
    for task, rows in logs.items():
        yield f"samples_{task}_{stamp}.jsonl", _lines(rows)


def _log_line(run: ExportedRun, samples: list[tuple[Mapping[str, Any], Document]]) -> dict[str, Any]:
    row, doc = samples[0]
    rates = [name for name in run.results["results"][row["task"]] if name.startswith("pass@") and "stderr" not in name]
    passed = sum(each["passed"] for each, _ in samples)
    metrics = {name.split(",")[0]: pass_at_k(len(samples), passed, int(name[5:].split(",")[0])) for name in rates}
    keys = [(each["doc_id"], each["sample"], each["prompt_sha"]) for each, _ in samples]
    if lost := [key for key in keys if key not in run.uncut]:
        raise SamplesError(f"the run's journal.jsonl lacks sample {lost[0][1]} of document {lost[0][0]}")
    return {
        "doc_id": row["doc_id"],
        "doc": dict(doc),
        "target": doc["tests"],
        "arguments": {"gen_args_0": {"arg_0": row["prompt"], "arg_1": run.document["generation"][row["task"]]}},
        "resps": [[run.uncut[key] for key in keys]],
        "filtered_resps": [[each["completion"] for each, _ in samples]],
        "filter": next((name.split(",")[1] for name in rates), "none"),
        "metrics": list(metrics),
        **json_safe(metrics),
    }


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json_text(row) + "\n" for row in rows)


FORMATS = (
    SampleFormat("human-eval", ("task_id", "completion"), _completion, _completions),
    SampleFormat("evalplus", ("task_id", "solution"), _solution, _solutions),
    SampleFormat("multipl-e", ("name", "results"), _results, _result_files, files=True),
    SampleFormat("lm-eval", ("doc_id", "doc", "resps"), _logged, _log_files, files=True),
)
