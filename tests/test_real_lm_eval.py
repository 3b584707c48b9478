"""lm-eval's own command line and ours, side by side: completions text by text, and metrics.

The installed lm-eval, and a checkout of it where QHARNESS_TEST_PEERS has one (`lm-evaluation-harness`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from qharness import RunSpec, run, score
from qharness.models.checkpoint import BUNDLED
from qharness.registry import get_registry
from tests.conftest import REPOSITORY
from tests.lm_eval_runs import CPU, OURS, STOCK, LmEvalRun, greedily, lm_eval, real, same
from tests.peers import peer

pytestmark = pytest.mark.slow

OF_OURS = {"tiny-python": "tiny", "tiny-java": "tiny", "tiny-summary": "tiny", "humaneval": "humaneval"}
"""Tasks, with the folders of their YAMLs."""


@pytest.fixture(scope="module", params=["installed", "checkout"])
def checkout(request: pytest.FixtureRequest) -> Path | None:
    """The lm-eval that runs: None for the installed one."""
    return None if request.param == "installed" else peer("lm-evaluation-harness", "lm_eval/__init__.py")


@pytest.fixture(scope="module")
def gemma() -> Path:
    return real("gemma-3-270m")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with YAMLs of our tasks, of one completion a problem: lm-eval makes all of a task's repeats."""
    folder = tmp_path_factory.mktemp("once")
    for task, place in OF_OURS.items():
        lines = {"include": str(REPOSITORY / "tasks" / place / f"{task}.yaml"), "task": f"once-{task}", "repeats": 1}
        (folder / f"{task}.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return folder


def our_folder() -> str:
    return str(next(iter(get_registry().tasks.values())).value.source.folder.parent)


def scored_as_logged(made: LmEvalRun, task: str, data_dir: Path | None) -> None:
    """`qharness score` of a log: the verdicts of the run that wrote it."""
    log = made.log(task)
    found = {
        (row["task_id"], row["sample"]): row
        for row in score(task.removeprefix("once-"), log, data_dir=data_dir).samples
    }
    for line, verdicts in zip(made.lines[task], made.verdicts(task), strict=True):
        for sample, verdict in enumerate(verdicts):
            row = found.pop((line["doc"]["task_id"], sample))
            for field in ("status", "passed", "completion", "solution"):
                assert row.get(field) == verdict.get(field), (row, verdict)
    assert not found


def test_our_tasks_by_every_command_line(checkout: Path | None, data_dir: Path, tmp_path: Path) -> None:
    """tinycoder, greedy: the stock command line and ours with `hf`, ours with `qharness`, and `qharness run`."""
    model, options = BUNDLED["tinycoder"], ("--limit", 2, *greedily(64), *CPU)
    common: dict[str, Any] = {"data_dir": data_dir, "checkout": checkout}
    tasks = ("--tasks", ",".join(OF_OURS))
    hf = ("--model", "hf", "--model_args", f"pretrained={model},dtype=float32", *tasks, *options)
    stock = lm_eval(STOCK, tmp_path / "stock", *hf, "--include_path", our_folder(), **common)
    through = lm_eval(OURS, tmp_path / "through", *hf, **common)
    qharness = ("--model", "qharness", "--model_args", f"pretrained={model}", *tasks, *options)
    ours = lm_eval(OURS, tmp_path / "ours", *qharness, **common)
    for task in OF_OURS:
        asked = {"samples": 1, "temperature": 0.0, "limit": 2, "max_new_tokens": 64, "data_dir": data_dir}
        texts = {} if task == "tiny-summary" else asked
        if texts:
            done = run(RunSpec(task, output=tmp_path / "runs", **texts))
            rows = [json.loads(line) for line in (done.folder / "samples.jsonl").read_text().splitlines()]
            assert [verdicts[0]["completion"] for verdicts in ours.verdicts(task)] == [
                row["completion"] for row in rows
            ]
            assert ours.metrics[task]["pass@1,verdicts"] == pytest.approx(done.metrics["pass@1"])
            for made in (stock, ours):
                scored_as_logged(made, task, data_dir)
        assert same(stock, through, task, model) == same(stock, ours, task, model) == 0
        assert set(map(len, ours.texts(task))) == {1 if task == "tiny-summary" else 10}


def test_sampled_completions_are_those_of_a_run(tmp_path: Path) -> None:
    """Of `--model qharness`, which draws by seed, document and sample."""
    arguments = (
        "--model",
        "qharness",
        "--model_args",
        "pretrained=tinycoder,seed=3",
        "--tasks",
        "tiny-python",
        "--limit",
        3,
    )
    ours = lm_eval(OURS, tmp_path / "ours", *arguments)
    done = run(RunSpec("tiny-python", limit=3, seed=3, output=tmp_path / "runs"))
    rows = [json.loads(line) for line in (done.folder / "samples.jsonl").read_text().splitlines()]
    assert [verdict["completion"] for each in ours.verdicts("tiny-python") for verdict in each] == [
        row["completion"] for row in rows
    ]
    assert ours.metrics["tiny-python"]["pass@5,verdicts"] == pytest.approx(done.metrics["pass@5"])


def test_the_stock_command_line_knows_our_model(once: Path, tmp_path: Path) -> None:
    """By the entry point, with a checkout of lm-eval that reads it."""
    checkout = peer("lm-evaluation-harness", "lm_eval/__init__.py")
    if "lm_eval.models" not in (checkout / "lm_eval/api/registry.py").read_text():
        pytest.skip("needs an lm-eval that reads the entry points lm_eval.models")
    model = BUNDLED["tinycoder"]
    arguments = ("--model", "qharness", "--model_args", f"pretrained={model},quant=int8-dynamic", "--tasks")
    arguments = (*arguments, "once-tiny-python", "--include_path", once, "--limit", 4, *greedily(96))
    runs = [
        lm_eval(command, tmp_path / str(n), *arguments, checkout=checkout) for n, command in enumerate((STOCK, OURS))
    ]
    assert same(*runs, "once-tiny-python", model) == 0


def test_our_tasks_on_a_real_model(gemma: Path, once: Path, data_dir: Path, tmp_path: Path) -> None:
    tasks = ("--tasks", "once-tiny-python,once-tiny-java,once-humaneval", "--include_path", once, "--limit", 4)
    hf = ("--model", "hf", "--model_args", f"pretrained={gemma},dtype=float32", *tasks, *greedily(64), *CPU)
    ours = ("--model", "qharness", "--model_args", f"pretrained={gemma},dtype=float32", *tasks, *greedily(64))
    runs = [
        lm_eval(STOCK, tmp_path / "stock", *hf, data_dir=data_dir),
        lm_eval(OURS, tmp_path / "ours", *ours, data_dir=data_dir),
    ]
    for task in ("once-tiny-python", "once-tiny-java", "once-humaneval"):
        differ = same(*runs, task, gemma)
        sys.stdout.write(f"{task}: {4 - differ} of 4 equal, {differ} ties\n")
        scored_as_logged(runs[1], task, data_dir)


def test_a_chat_by_every_command_line(once: Path, data_dir: Path, tmp_path: Path) -> None:
    """`--apply_chat_template`, and its log read back by `score`."""
    model = real("smollm2-135m-instruct")
    tasks = ("--tasks", "once-tiny-python", "--include_path", once, "--limit", 3, "--apply_chat_template")
    hf = ("--model", "hf", "--model_args", f"pretrained={model},dtype=float32", *tasks, *greedily(60), *CPU)
    ours = ("--model", "qharness", "--model_args", f"pretrained={model},dtype=float32", *tasks, *greedily(60))
    stock, through = lm_eval(STOCK, tmp_path / "stock", *hf), lm_eval(OURS, tmp_path / "ours", *ours)
    assert same(stock, through, "once-tiny-python", model) == 0
    for made in (stock, through):
        scored_as_logged(made, "once-tiny-python", None)
    asked = RunSpec(
        "tiny-python", model=str(model), chat=True, samples=1, temperature=0.0, limit=3, max_new_tokens=60, dtype="float32",
        output=tmp_path / "runs",
    )  # fmt: skip
    rows = [json.loads(line) for line in (run(asked).folder / "samples.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in rows] == through.prompts("once-tiny-python")
    assert [row["solution"] for row in rows] == [each[0]["solution"] for each in through.verdicts("once-tiny-python")]


@pytest.mark.parametrize("command", [STOCK, OURS])
def test_samples_predict_only_and_few_shots(command: Sequence[str], once: Path, tmp_path: Path) -> None:
    """`--samples`, `--predict_only`, and `--num_fewshot`, which our tasks, whose own number is 0, do not heed."""
    model = "hf" if command is STOCK else "qharness"
    made = lm_eval(
        command, tmp_path, "--model", model, "--model_args", f"pretrained={BUNDLED['tinycoder']},dtype=float32", "--tasks",
        "once-tiny-python,once-tiny-java", "--include_path", once, *greedily(96), "--samples",
        json.dumps({"once-tiny-python": [2, 7], "once-tiny-java": [3]}), "--predict_only", "--num_fewshot", 2, *CPU,
    )  # fmt: skip
    problems = [json.loads(line) for line in (REPOSITORY / "tasks/tiny/tiny-python.jsonl").read_text().splitlines()]
    assert made.prompts("once-tiny-python") == [problems[number]["prompt"] for number in (2, 7)]
    assert [line["doc_id"] for line in made.lines["once-tiny-python"]] == [2, 7]
    assert len(made.lines["once-tiny-java"]) == 1
    assert not any("pass@1" in name for name in made.metrics["once-tiny-python"])
    scored_as_logged(made, "once-tiny-python", None)


def test_what_the_stock_command_line_says_of_our_model() -> None:
    """Of the installed lm-eval, which reads no entry points, if that is still so."""
    command = [
        sys.executable,
        *STOCK,
        "run",
        "--model",
        "qharness",
        "--model_args",
        "pretrained=tinycoder",
        "--tasks",
        "arc_easy",
    ]
    done = subprocess.run([*command, "--limit", "1"], capture_output=True, text=True, timeout=600)
    assert done.returncode != 0 and "no model for this name" in done.stderr
