"""The formats in which other harnesses keep samples: a row each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from qharness.evaluate.samples import Extent, FinishedRun, Format, Problems, Sample
from qharness.filters import program_of
from qharness.types import Document, Status

_Lines = Iterator[tuple[str, Mapping[str, Any]]]

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


def _completions(run: FinishedRun) -> _Lines:
    for row, _ in run.samples:
        yield "", {"task_id": row["task_id"], "completion": row["completion"]}


def _solution(row: Mapping[str, Any], problems: Problems) -> list[Sample]:
    """EvalPlus spells MBPP's ids another way, so case does not count."""
    ours = {task_id.casefold(): task_id for task_id in problems}
    task_id = ours.get(_text(row, "task_id").casefold(), row["task_id"])
    return [Sample(task_id, _text(row, "solution"), Extent.SOLUTION, row)]


def _solutions(run: FinishedRun) -> _Lines:
    for row, doc in run.samples:
        task_id = row["task_id"].replace("MBPP/", "Mbpp/")
        yield "", {"task_id": task_id, "solution": program_of(doc, row["completion"]).source}


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


def _result_files(run: FinishedRun) -> _Lines:
    """A file a problem, as MultiPL-E's evaluator writes it after its completions' file."""
    for name, group in groupby(run.samples, key=lambda sample: sample[0]["task_id"]):
        samples = list(group)
        row, doc = samples[0]
        generation = run.document.get("generation", {}).get(row["task"]) or {}
        yield (
            f"{name.replace('/', '_')}.results.json.gz",
            {
                "name": name,
                "language": _LANGUAGES.get(doc["language"], doc["language"]),
                "temperature": run.document["spec"]["temperature"],
                "top_p": run.document["spec"]["top_p"],
                "max_tokens": run.document["spec"]["max_new_tokens"],
                "prompt": doc["prompt"],
                "tests": doc["tests"],
                "stop_tokens": generation.get("until", []),
                "results": [_result(row, doc, run.date) for row, doc in samples],
            },
        )


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


FORMATS = (
    Format("human-eval", ("task_id", "completion"), _completion, _completions),
    Format("evalplus", ("task_id", "solution"), _solution, _solutions),
    Format("multipl-e", ("name", "results"), _results, _result_files, files=True),
    Format("lm-eval", ("doc_id", "doc", "resps"), _logged),
)
