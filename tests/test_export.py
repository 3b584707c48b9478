"""Samples in other harnesses' formats: what is written is read back with the same verdicts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qharness import QHarnessError, RunResult, RunSpec, SamplesError, UnknownNameError, run, score
from qharness.evaluate.interchange.sample_export import export
from qharness.evaluate.interchange.sample_formats import FORMATS
from qharness.evaluate.interchange.samples import ExportedRun
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.filters import ExecutionOptions, execution_options, run_programs
from qharness.results import RunRecord, SampleRow
from tests.multiple_java import TUPLES

WRITTEN = ["human-eval", "evalplus", "multipl-e"]  # lm-eval's is in test_lm_eval_samples


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_anything(finished: ExportedRun, kind: str, folder: Path) -> Path:
    """What `export` writes, of completions that no model made."""
    chosen = next(each for each in FORMATS if each.name == kind)
    (folder / kind).mkdir()
    for name, text in chosen.write(finished):
        content = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        (folder / kind / (name or "samples.jsonl")).write_bytes(content)
    return folder / kind if chosen.many_files else folder / kind / "samples.jsonl"


def judged(task: str, data_dir: Path, texts: Callable[[dict[str, Any]], list[str]]) -> ExportedRun:
    """A run whose completions are these texts; problems for which there are none are left out."""
    (loaded,) = load_task(task, data_dir).tasks.values()
    docs = [doc for doc in loaded.eval_docs if texts(doc)]
    with execution_options(ExecutionOptions(cache=True)):  # what is read back are the same programs then, or it shows
        verdicts = run_programs([texts(doc) for doc in docs], docs)
    samples = [
        (
            SampleRow.of_documents([{**verdict, "task": task, "doc_id": number, "task_id": doc["task_id"]}], "here")[0],
            doc,
        )
        for number, (doc, found) in enumerate(zip(docs, verdicts, strict=True))
        for verdict in found
    ]
    spec = RunSpec(task, temperature=0.2, top_p=0.95, max_new_tokens=512)
    record = RunRecord(spec, generation={task: loaded.get_config("generation_kwargs")})
    return ExportedRun(record, {"date": 1.0}, samples, {})


def statuses(samples: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted((row["task_id"].casefold(), row["status"]) for row in samples)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run of the bundled model."""
    output = tmp_path_factory.mktemp("runs")
    return run(RunSpec("tiny-python", samples=2, limit=6, temperature=0.8, max_new_tokens=90, output=output))


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_runs_samples_come_back_with_their_verdicts(made: RunResult, kind: str, tmp_path: Path) -> None:
    task = made.document["spec"]["task"]
    before = lines(made.folder / "samples.jsonl")
    output = tmp_path / "out"
    assert export(made.folder, kind, output) == len(before) == 12
    scored = score(task, output)
    assert statuses(scored.samples) == statuses(before)
    assert scored.document["pass@1"] == pytest.approx(made.metrics["pass@1"])
    assert scored.document["cached"] >= 12 - scored.document["status"].get("timeout", 0)  # the very same programs


@pytest.mark.parametrize("task", ["humaneval", "mceval-python", "mbpp-test"])
def test_canonical_solutions_and_wrong_ones(task: str, data_dir: Path, tmp_path: Path) -> None:
    """mceval has text between prompt and completion; MBPP has set-up code, and ids that EvalPlus spells its own way."""

    def texts(doc: dict[str, Any]) -> list[str]:
        return [doc["canonical_solution"], "    return None\n"] if int(doc["task_id"].split("/")[1]) % 16 == 0 else []

    finished = judged(task, data_dir, texts)
    for kind in WRITTEN:
        scored = score(task, write_anything(finished, kind, tmp_path), data_dir=data_dir)
        assert statuses(scored.samples) == statuses([vars(row) for row, _ in finished.samples]), kind
        assert 0.4 < scored.document["pass@1"] <= 0.5
        assert scored.document["cached"] == scored.document["n_samples"]


def test_multipl_e_in_java(data_dir: Path, tmp_path: Path) -> None:
    finished = judged("multiple-java", data_dir, lambda doc: list(TUPLES.get(doc["task_id"], ())))
    for kind in WRITTEN:
        scored = score("multiple-java", write_anything(finished, kind, tmp_path), data_dir=data_dir)
        assert statuses(scored.samples) == statuses([vars(row) for row, _ in finished.samples]), kind
        assert scored.document["passed"] == len(TUPLES) == scored.document["n_samples"] / 2
        assert scored.document["cached"] == scored.document["n_samples"]


def test_human_eval_and_evalplus_lines(made: RunResult, tmp_path: Path) -> None:
    before = lines(made.folder / "samples.jsonl")
    export(made.folder, "human-eval", tmp_path / "h.jsonl")
    assert lines(tmp_path / "h.jsonl") == [{name: row[name] for name in ("task_id", "completion")} for row in before]
    export(made.folder, "evalplus", tmp_path / "e.jsonl")
    whole = [{"task_id": row["task_id"], "solution": row["prompt"] + row["completion"]} for row in before]
    assert lines(tmp_path / "e.jsonl") == whole


def test_multipl_e_files_as_its_own_programs_read_them(made: RunResult, tmp_path: Path) -> None:
    """Its script counts results whose status is OK and whose exit code is 0, by file, and wants one temperature.

    Its evaluator reads the files of completions beside them.
    """
    export(made.folder, "multipl-e", tmp_path / "m")
    files = sorted((tmp_path / "m").glob("*.results.json.gz"))
    documents = [json.loads(gzip.decompress(file.read_bytes())) for file in files]
    assert len(documents) == 6 and {document["temperature"] for document in documents} == {0.8}
    passed = [[r["status"] == "OK" and r["exit_code"] == 0 for r in document["results"]] for document in documents]
    assert sum(map(sum, passed)) / 12 == pytest.approx(made.metrics["pass@1"])
    fields = {"name", "language", "temperature", "top_p", "max_tokens", "prompt", "tests", "stop_tokens", "results"}
    assert set(documents[0]) == fields
    assert documents[0]["language"] in ("py", "java") and documents[0]["stop_tokens"]
    result = documents[0]["results"][0]
    assert set(result) == {"program", "timestamp", "exit_code", "status", "stdout", "stderr"}
    assert result["program"].startswith(documents[0]["prompt"])
    for file, judged in zip(files, documents, strict=True):
        asked = json.loads(gzip.decompress(file.with_name(file.name.replace(".results", "")).read_bytes()))
        texts = [asked["prompt"] + text + "\n" + asked["tests"] for text in asked["completions"]]  # as it does
        assert texts == [result["program"] for result in judged["results"]]
        assert set(asked) == fields - {"results"} | {"completions"} and asked["prompt"] == judged["prompt"]
    assert score("tiny-python", tmp_path / "m").document["n_samples"] == 12
    export(made.folder, "multipl-e", tmp_path / "again")
    assert [(tmp_path / "again" / file.name).read_bytes() for file in files] == [file.read_bytes() for file in files]


def test_a_perturbed_run_is_exported_with_its_own_prompts(tmp_path: Path) -> None:
    made = run(
        RunSpec(
            "tiny-python@char:0.3",
            samples=1,
            limit=1,
            max_new_tokens=40,
            temperature=0.0,
            output=tmp_path / "runs",
            seed=3,
        )
    )
    export(made.folder, "evalplus", tmp_path / "out.jsonl")
    prompts = [row["prompt"] for row in lines(made.folder / "samples.jsonl")]
    assert all(
        row["solution"].startswith(prompt) for row, prompt in zip(lines(tmp_path / "out.jsonl"), prompts, strict=True)
    )


def test_what_cannot_be_exported(made: RunResult, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown format 'humaneval': did you mean human-eval"):
        export(made.folder, "humaneval", tmp_path / "out")
    with pytest.raises(SamplesError, match="is no finished run"):
        export(tmp_path, "human-eval", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    with pytest.raises(QHarnessError, match="is there already: name a folder that does not exist, or is empty"):
        export(made.folder, "multipl-e", tmp_path / "full")
    with pytest.raises(QHarnessError, match="cannot be written: No such file"):
        export(made.folder, "human-eval", tmp_path / "no/such/out.jsonl")


BAD = {
    "no JSON": ("m/a.results.json", "{", r"a\.results\.json is no JSON"),
    "damaged": ("m/a.results.json.gz", gzip.compress(b"{}")[:-9], r"a\.results\.json\.gz cannot be read"),
    "no results": (
        "m/a.results.json",
        '{"name": "x"}',
        r"a\.results\.json has no 'results': multipl-e's fields are name, results",
    ),
    "no list": ("m/a.results.json", '{"name": "x", "results": 1}', r"a\.results\.json: 'results' is no list"),
    "no program": (
        "m/a.results.json",
        '{"name": "x", "results": [{}]}',
        r"a\.results\.json, result 1 has no 'program'",
    ),
    "unknown": (
        "m/a.results.json",
        '{"name": "x", "results": [{"program": "y"}]}',
        r"a\.results\.json: tiny-python has no problem 'x'",
    ),
    "no solution": ("s.jsonl", '{"task_id": "x", "solution": 1}', r"s\.jsonl, line 1: 'solution' is no text"),
    "no task": (
        "s.jsonl",
        '\n{"solution": ""}',
        r"s\.jsonl, line 2 has no 'task_id': evalplus's",
    ),
    "no texts": ("s.jsonl", '{"doc_id": 0, "doc": {"task_id": 1}, "resps": [[1]]}', "line 1: 'resps' are no texts"),
    "no id": ("s.jsonl", '{"doc_id": 0, "doc": {}, "resps": [["a"]]}', "line 1: 'doc' has no 'task_id'"),
    "no id at all": ("s.jsonl", '{"task_id": [1], "completion": ""}', r"line 1: tiny-python has no problem \[1\]"),
    "nothing": ("m/readme.txt", "", r"m has no samples: no file in it ends in \.results"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named(case: str, tmp_path: Path) -> None:
    name, content, complaint = BAD[case]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SamplesError, match=complaint):
        score("tiny-python", path if path.parent == tmp_path else path.parent)


def test_a_program_with_other_tests_is_refused(made: RunResult, tmp_path: Path) -> None:
    export(made.folder, "multipl-e", tmp_path / "m")
    path = min((tmp_path / "m").glob("*.results.json.gz"))
    document = json.loads(gzip.decompress(path.read_bytes()))
    document["results"][1]["program"] += "\n# more\n"
    path.write_bytes(gzip.compress(json.dumps(document).encode()))
    with pytest.raises(SamplesError, match=r"results\.json\.gz, result 2: its program does not end with the tests of"):
        score(made.document["spec"]["task"], tmp_path / "m")
