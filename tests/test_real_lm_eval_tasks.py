"""lm-eval's own kinds of tasks, on local data, by its command line and ours.

Its `humaneval` and `mbpp` need a checkout of `evaluate` in QHARNESS_TEST_PEERS, whose `code_eval` is otherwise on the Hub.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from qharness import score
from qharness.models.checkpoint import BUNDLED
from tests.lm_eval_runs import CPU, OURS, STOCK, lm_eval, real, same
from tests.peers import peer
from tests.test_lm_eval_samples import completions_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def of_theirs(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tasks of lm-eval's own kinds on local data: sums as gsm8k asks them, and choices."""
    folder, draw = tmp_path_factory.mktemp("theirs"), random.Random(0)
    own = Path(next(iter(find_spec("lm_eval").submodule_search_locations))) / "tasks"  # type: ignore[union-attr, arg-type]
    pairs = [(draw.randint(1, 9), draw.randint(1, 9)) for _ in range(30)]
    sums = [
        {"question": f"What is {a} plus {b}?", "answer": f"{a} plus {b} is {a + b}.\n#### {a + b}"} for a, b in pairs
    ]
    write(folder / "train.jsonl", sums[:20])
    write(folder / "test.jsonl", sums[20:])
    choices = [
        {"question": f"{a} plus {b} is", "choices": [str(a + b + off) for off in (0, 1, 3)], "label": 0}
        for a, b in pairs
    ]
    write(folder / "choices.jsonl", choices[:10])
    with gzip.open(data_dir / "humaneval/HumanEval.jsonl.gz", "rt") as file:
        write(folder / "humaneval.jsonl", [json.loads(line) for line in file])
    problems = [json.loads(line) for line in (data_dir / "mbpp/mbpp.jsonl").read_text().splitlines()]
    write(folder / "mbpp.jsonl", [row for row in problems if 11 <= row["task_id"] <= 510])
    parts = {
        "sums": (own / "gsm8k/gsm8k.yaml", {"train": "train", "test": "test"}),
        "own-humaneval": (own / "humaneval/humaneval.yaml", {"test": "humaneval"}),
        "own-mbpp": (own / "mbpp/mbpp.yaml", {"test": "mbpp"}),
        "choices": (None, {"test": "choices"}),
    }
    for task, (included, splits) in parts.items():
        files = {split: str(folder / f"{name}.jsonl") for split, name in splits.items()}
        fields = {"task": task, "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
        more = {"include": str(included)} if included else CHOICES
        (folder / f"{task}.yaml").write_text(json.dumps({**more, **fields}))
    return folder


CHOICES = {
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_target": "label",
    "doc_to_choice": "choices",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_lm_evals_kinds_of_tasks(of_theirs: Path, tmp_path: Path) -> None:
    """gsm8k's own YAML with sums of one digit and three examples, and choices, which are scored and not generated."""
    tasks = (
        "--tasks",
        "sums,choices",
        "--include_path",
        of_theirs,
        "--num_fewshot",
        3,
        "--gen_kwargs",
        "max_gen_toks=24",
    )
    gemma = real("gemma-3-270m")
    given = f"pretrained={gemma},dtype=float32"
    stock = lm_eval(STOCK, tmp_path / "stock", "--model", "hf", "--model_args", given, *tasks, *CPU)
    ours = lm_eval(OURS, tmp_path / "ours", "--model", "qharness", "--model_args", given, *tasks, *CPU)
    assert same(stock, ours, "sums", gemma) == 0
    assert [line["acc"] for line in stock.lines["choices"]] == [line["acc"] for line in ours.lines["choices"]]
    for mine, its in zip(ours.texts("choices"), stock.texts("choices"), strict=True):
        assert [float(pair[0]) for pair in mine] == pytest.approx([float(pair[0]) for pair in its], rel=1e-4)
    assert ours.prompts("sums")[0].count("####") == 3
    sys.stdout.write(f"sums {ours.metrics['sums']}\nchoices {ours.metrics['choices']}\n")


def test_lm_evals_own_humaneval_and_mbpp(of_theirs: Path, data_dir: Path, tmp_path: Path) -> None:
    """Its YAMLs and `code_eval`, by its command line and ours; its HumanEval's log is read by `score`."""
    shutil.copytree(peer("evaluate", "metrics/code_eval") / "metrics/code_eval", tmp_path / "code_eval")
    model = BUNDLED["tinycoder"]
    tasks = (
        "--tasks",
        "own-humaneval,own-mbpp",
        "--include_path",
        of_theirs,
        "--limit",
        5,
        "--confirm_run_unsafe_code",
    )
    common: dict[str, Any] = {"folder": tmp_path}
    given = ("--model_args", f"pretrained={model},dtype=float32", *tasks, "--gen_kwargs", "max_gen_toks=96", *CPU)
    stock = lm_eval(STOCK, tmp_path / "stock", "--model", "hf", *given, **common)
    ours = lm_eval(OURS, tmp_path / "ours", "--model", "qharness", *given, **common)
    for task in ("own-humaneval", "own-mbpp"):
        assert same(stock, ours, task, model) == 0
    found = score("humaneval", ours.log("own-humaneval"), data_dir=data_dir).samples
    assert [row["passed"] for row in found] == [bool(line["pass@1"]) for line in ours.lines["own-humaneval"]]


def test_score_says_of_its_humanevals_log_what_code_eval_said(of_theirs: Path, data_dir: Path, tmp_path: Path) -> None:
    """A server that knows twenty problems: canonical solutions, wrong ones, one that does not compile, one that ends."""
    shutil.copytree(peer("evaluate", "metrics/code_eval") / "metrics/code_eval", tmp_path / "code_eval")
    problems = [json.loads(line) for line in (of_theirs / "humaneval.jsonl").read_text().splitlines()][:20]
    wrong = ["    return None\n", "    return (\n", "    raise SystemExit(0)\n", "    return prompt\n"]
    known = {
        doc["prompt"]: wrong[number // 2 % 4] if number % 2 else doc["canonical_solution"]
        for number, doc in enumerate(problems)
    }
    with completions_server(known) as (url, _):
        arguments = (
            "--model",
            "local-completions",
            "--model_args",
            f"model=canon,base_url={url},tokenizer_backend=None",
        )
        tasks = ("--tasks", "own-humaneval", "--include_path", of_theirs, "--limit", 20, "--confirm_run_unsafe_code")
        made = lm_eval(STOCK, tmp_path / "out", *arguments, *tasks, folder=tmp_path)
    found = score("humaneval", made.log("own-humaneval"), data_dir=data_dir).samples
    assert [row["passed"] for row in found] == [bool(line["pass@1"]) for line in made.lines["own-humaneval"]]
    assert sum(row["passed"] for row in found) == 10
