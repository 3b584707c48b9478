from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qharness import BenchmarkFile, DataError
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.filters import run_programs
from qharness.models.decoding import cut_at_stop
from qharness.tasks import mbpp


def documents(data_dir: Path, task: str = "mbpp") -> dict[int, dict[str, Any]]:
    (loaded,) = load_task(task, data_dir).tasks.values()
    return {int(doc["task_id"].removeprefix("MBPP/")): doc for doc in loaded.eval_docs}


def failures(docs: dict[int, dict[str, Any]]) -> tuple[list[int], list[int]]:
    """The problems whose reference fails, and those that an empty completion passes."""
    verdicts = run_programs([[doc["canonical_solution"], ""] for doc in docs.values()], list(docs.values()))
    pairs = list(zip(docs, verdicts, strict=True))
    return [n for n, (right, _) in pairs if not right["passed"]], [n for n, (_, empty) in pairs if empty["passed"]]


def test_some_references_pass_and_empty_completions_do_not(data_dir: Path) -> None:
    """Among them 367 and 927, whose set-up code needs the solution's class, and 123, which computes for seconds."""
    docs = documents(data_dir)
    chosen = {n: docs[n] for n in (*range(1, 975, 50), 123, 367, 927)}
    assert failures(chosen) == ([], [])


@pytest.mark.slow
def test_every_reference_passes_and_no_empty_completion_does(data_dir: Path) -> None:
    assert failures(documents(data_dir)) == ([], [])


def test_all_assertions_count(data_dir: Path) -> None:
    doc = documents(data_dir)[14]  # the volume of a prism; 240 is what the assertion in the prompt wants
    (verdicts,) = run_programs([["def find_Volume(l, b, h):\n    return 240\n"]], [doc])
    assert verdicts[0]["status"] == "failed"


def test_the_prompt_is_incoders(data_dir: Path) -> None:
    doc = documents(data_dir)[14]
    text = "Write a python function to find the volume of a triangular prism."
    assert doc["prompt"] == f'"""\n{text}\nassert find_Volume(10,8,6) == 240\n"""\n'
    assert [doc["prompt"][start:end] for _, start, end in mbpp.prose_spans(doc)] == [text]


def test_the_test_split_is_upstreams(data_dir: Path) -> None:
    everything = documents(data_dir)
    assert documents(data_dir, "mbpp-test") == {n: everything[n] for n in range(11, 511)}


def test_no_carriage_returns_and_one_reference_that_a_stop_sequence_cuts(data_dir: Path) -> None:
    (task,) = load_task("mbpp", data_dir).tasks.values()
    until = task.get_config("generation_kwargs")["until"]
    docs = documents(data_dir)
    assert not any("\r" in text for doc in docs.values() for text in (doc["canonical_solution"], doc["tests"]))
    references = {n: doc["canonical_solution"] for n, doc in docs.items()}
    assert [n for n, code in references.items() if cut_at_stop(code, until) != code] == [342]


def test_line_ends_do_not_matter_and_problems_do(data_dir: Path, tmp_path: Path) -> None:
    lines = (data_dir / "mbpp/mbpp.jsonl").read_bytes().splitlines()
    copy = tmp_path / "mbpp/mbpp.jsonl"
    copy.parent.mkdir()
    for end in (b"\n", b"\r\n"):
        copy.write_bytes(end.join(lines) + end)
        assert len(mbpp.FILE.rows(tmp_path)) == 974
    copy.write_bytes(b"\n".join(lines).replace(b"remove_Occ", b"remove_occ"))
    with pytest.raises(DataError, match="of its task_id, text"):
        mbpp.FILE.rows(tmp_path)
    assert len(BenchmarkFile(mbpp.FILE.path, mbpp.FILE.url).rows(tmp_path)) == 974
