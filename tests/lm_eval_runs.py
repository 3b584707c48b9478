"""Runs of lm-eval's command line: the stock one and `qharness lm-eval`, each in a process of its own."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

STOCK, OURS = ("-m", "lm_eval"), ("-m", "qharness", "lm-eval")
"""The two command lines, as arguments of Python."""
CPU = ("--device", "cpu", "--batch_size", 4)
TIE = 0.01
"""Logits that float32 may put in either order."""
REAL = REPOSITORY / "build/real"


@dataclass(frozen=True)
class LmEvalRun:
    """What a run wrote: each task's metrics, and the lines of its log by document; `said`: standard error."""

    folder: Path
    said: str
    metrics: Mapping[str, Mapping[str, Any]]
    lines: Mapping[str, Sequence[Mapping[str, Any]]]

    def log(self, task: str) -> Path:
        """The file of a task's samples."""
        (found,) = self.folder.rglob(f"samples_{task}_*.jsonl")
        return found

    def prompts(self, task: str) -> list[str]:
        return [line["arguments"]["gen_args_0"]["arg_0"] for line in self.lines[task]]

    def texts(self, task: str) -> list[list[Any]]:
        """The model's responses to each document: texts, or log-likelihoods of each choice."""
        return [[text for texts in line["resps"] for text in texts] for line in self.lines[task]]

    def verdicts(self, task: str) -> list[list[dict[str, Any]]]:
        """The verdicts on each document's completions, which the log holds as Python's text of a dict."""
        return [[ast.literal_eval(text) for text in line["filtered_resps"][0]] for line in self.lines[task]]


def lm_eval(
    command: Sequence[str], output: Path, *arguments: object, data_dir: Path | None = None, checkout: Path | None = None,
    folder: Path | None = None,
) -> LmEvalRun:  # fmt: skip
    """Run `COMMAND run ARGUMENTS` with a log; `checkout`: of lm-eval, in place of the installed one."""
    changes = {
        "HF_HUB_OFFLINE": "1",
        "HF_ALLOW_CODE_EVAL": "1",
        "HF_DATASETS_CACHE": str(output / "datasets"),
        "TOKENIZERS_PARALLELISM": "false",
        **({"QHARNESS_DATA_DIR": str(data_dir)} if data_dir else {}),
        **({"PYTHONPATH": str(checkout)} if checkout else {}),
    }
    output.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, *command, "run", *map(str, arguments), "--log_samples", "--output_path", str(output / "log")],
        capture_output=True,
        text=True,
        env={**os.environ, **changes},
        cwd=folder or output,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (results,) = output.rglob("results_*.json")
    document = json.loads(results.read_text())
    return LmEvalRun(output / "log", done.stderr, document["results"], _lines(output / "log"))


def _lines(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of each log, one a document: those of its first filter."""
    found = {}
    for path in folder.rglob("samples_*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        task = path.name.removeprefix("samples_").rpartition("_")[0]
        found[task] = sorted(
            (line for line in lines if line["filter"] == lines[0]["filter"]), key=lambda line: line["doc_id"]
        )
    return found


def greedily(tokens: int) -> tuple[str, ...]:
    return ("--gen_kwargs", f"temperature=0,do_sample=False,max_gen_toks={tokens}")


def real(name: str) -> Path:
    if not (REAL / name).is_dir():
        pytest.skip(f"needs {REAL / name}: `make real-models`")
    return REAL / name


def same(one: LmEvalRun, other: LmEvalRun, task: str, model: Path) -> int:
    """Compare two runs of a task; return how many documents' texts differ, each by a tie of two tokens."""
    assert one.prompts(task) == other.prompts(task)
    pairs = zip(one.prompts(task), one.texts(task), other.texts(task), strict=True)
    differing = [(prompt, mine[0], its[0]) for prompt, mine, its in pairs if mine != its]
    check_ties(model, differing)
    if not differing:
        assert json.dumps(one.metrics[task]) == json.dumps(other.metrics[task])  # NaN is no NaN
    return len(differing)


def check_ties(model: Path, differing: Sequence[tuple[str, str, str]]) -> None:
    """Assert that two completions of a prompt part where its two likeliest tokens are level."""
    if differing:
        from benchmarks.agreement import load, margin

        loaded, tokenizer = load(model)
        for prompt, mine, its in differing:
            assert margin(loaded, tokenizer, prompt, mine, its) < TIE, (prompt, mine, its)
