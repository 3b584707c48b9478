"""The real bigcode-evaluation-harness, from a checkout: its tasks in our runs, beside its own code."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qharness import DataError, RunSpec, run
from tests.conftest import REPOSITORY
from tests.peers import hub_folder, peer

pytestmark = pytest.mark.slow
GEMMA = str(REPOSITORY / "build/real/gemma-3-270m")
GEMMA_PROBLEMS = int(os.environ.get("QHARNESS_TEST_PROBLEMS", 16))  # main.py takes about an hour for all 164


@pytest.fixture(scope="module")
def harness(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Its checkout, importable, and a working directory with the data that it would load from the Hub."""
    checkout = peer("bigcode-evaluation-harness", "bigcode_eval")
    folder = tmp_path_factory.mktemp("bigcode")
    with gzip.open(data_dir / "humaneval/HumanEval.jsonl.gz", "rt") as file:
        hub_folder(folder / "openai_humaneval", [json.loads(line) for line in file], "openai_humaneval")
    problems = [json.loads(line) for line in (data_dir / "mbpp/mbpp.jsonl").read_text().splitlines()]
    hub_folder(folder / "mbpp", [row for row in problems if 11 <= row["task_id"] <= 510], "full")
    for language in ("py", "java"):
        text = (data_dir / f"multipl-e/humaneval-{language}-reworded.jsonl").read_text()
        rows = [json.loads(line) for line in text.splitlines()]
        hub_folder(folder / "nuprl/MultiPL-E", rows, f"humaneval-{language}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(checkout)
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.chdir(folder)
        yield checkout
    for name in [name for name in sys.modules if name.split(".")[0] == "bigcode_eval"]:
        del sys.modules[name]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def spec(output: Path, task: str, **changes: Any) -> RunSpec:
    return RunSpec(task, output=output, allow_unsandboxed=True, **{"samples": 1, "temperature": 0.0, **changes})


@pytest.mark.parametrize("language", ["py", "java"])
def test_multiple_is_paired_and_knows_no_other_runs_results(harness: Path, tmp_path: Path, language: str) -> None:
    foreign = Path(tempfile.gettempdir()) / f"foreign-{os.getpid()}.results.json"
    foreign.write_text(json.dumps({"results": [{"status": "OK", "exit_code": 0}]}))
    try:
        done = run(spec(tmp_path, f"bigcode:multiple-{language}", limit=3, samples=2, temperature=0.8, quant="rtn:3"))
    finally:
        foreign.unlink()
    found = rows(done.folder)
    assert len(found) == 6 and all(row["status"] in ("passed", "failed") for row in found)
    assert done.metrics["pass@1"] == pytest.approx(sum(row["passed"] for row in found) / 6)
    assert done.document["baseline"]["n_pairs"] == 6
    assert not any("together only" in note for note in done.document["notes"])


@pytest.mark.parametrize(
    ("language", "right", "wrong"),
    [
        ("py", "\n    import sys\n    sys.exit(0)\n", "\n    return None\n"),
        (
            "java",
            "\n        System.exit(0);\n        throw new Error();\n    }\n",
            "\n        throw new Error();\n    }\n",
        ),
    ],
)
def test_right_programs_before_do_not_count_for_wrong_ones(
    harness: Path, language: str, right: str, wrong: str
) -> None:
    """A task judges right programs, and after that wrong ones, in one process."""
    from qharness.evaluate.run.lm_eval_bridge import load_task

    (task,) = load_task(f"bigcode:multiple-{language}").tasks.values()
    documents = list(task.eval_docs)[:2]
    for text, rate in ((right, 1.0), (wrong, 0.0)):  # its evaluator asks for the exit status alone
        task.judge([[text] for _ in documents], documents)
        assert task.aggregation()["pass@1"]([]) == rate


def test_missing_data_are_named(harness: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for task, data in (("humaneval", "openai_humaneval"), ("mbpp", "mbpp"), ("multiple-py", "nuprl/MultiPL-E")):
        with pytest.raises(DataError, match=f"loads {data} .*from huggingface.co"):
            run(spec(tmp_path / "runs", f"bigcode:{task}"))


@pytest.mark.parametrize(
    ("task", "extent", "model"),
    [
        ("humaneval-unstripped", 164, "tinycoder"),
        ("mbpp", 100, "tinycoder"),
        ("humaneval-unstripped", GEMMA_PROBLEMS, GEMMA),
    ],
    ids=["humaneval", "mbpp", "gemma"],
)
def test_generations_and_rate_of_its_own_command(
    harness: Path, tmp_path: Path, task: str, extent: int, model: str
) -> None:
    """Its `main.py` and ours, greedily with the same model.

    Its 512 tokens include the prompt's, so a completion without an end is longer in one than in the other.
    """
    from qharness.models.checkpoint import BUNDLED

    if model == GEMMA and not Path(GEMMA).is_dir():
        pytest.skip(f"needs {GEMMA}: `make real-models`")
    done = run(spec(tmp_path / "runs", f"bigcode:{task}", model=model, limit=extent, max_new_tokens=200))
    named = BUNDLED.get(model, model)
    out = [tmp_path / "generations.json", tmp_path / "metrics.json"]
    command = [
        *(sys.executable, harness / "main.py", "--model", named, "--tasks", task, "--limit", extent),
        *("--max_length_generation", 512, "--do_sample", False, "--n_samples", 1, "--batch_size", 1),
        *("--allow_code_execution", "--save_generations", "--precision", "fp32"),
        *("--save_generations_path", out[0], "--metric_output_path", out[1]),
    ]
    ended = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=3600 * 3)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert json.loads(out[1].read_text())[task]["pass@1"] == pytest.approx(done.metrics["pass@1"])
    theirs = [text for (text,) in json.loads((tmp_path / f"generations_{task}.json").read_text())]
    ours = [row["program"] for row in rows(done.folder)]
    assert len(ours) == len(theirs) == extent
    differing = [(mine, its) for mine, its in zip(ours, theirs, strict=True) if mine != its]
    parted = [pair for pair in differing if not (pair[0].startswith(pair[1]) or pair[1].startswith(pair[0]))]
    gaps = [gap_where_they_part(model, *pair) for pair in parted]
    sys.stdout.write(
        f"{task}: {extent - len(differing)} of {extent} equal, {len(differing) - len(parted)} without an end, "
        f"{len(parted)} part where the two likeliest tokens' logits differ by {gaps}; {done.metrics}\n"
    )
    assert all(min(map(len, pair)) > 300 for pair in differing)
    assert all(gap < 1e-3 for gap in gaps), "rounding decides"


def gap_where_they_part(model: str, first: str, second: str) -> float:
    """By how much a model's two likeliest logits differ after what two texts have in common, in whole tokens."""
    import torch

    from qharness.models.loading import load_model

    loaded = load_model(model, "cpu", dtype="float32")
    common = next(place for place, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    ids = loaded.tokenizer(first[:common])["input_ids"]
    with torch.inference_mode():
        best = loaded.model(torch.tensor([ids])).logits[0].topk(2).values
    return float((best[-2:, 0] - best[-2:, 1]).min())  # the last token may be part of the one that differs
