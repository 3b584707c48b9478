"""The examples of docs/extending.md: a copy of the package has them all, each behind the table that it extends."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/extending.md").read_text(encoding="utf-8")


def block(title: str, language: str = "python") -> str:
    """The one block of code in this language of a section."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(found)


def extend(package: Path, code: str) -> None:
    """Insert a block into the file that its first line names, behind the table that its last statement extends."""
    path = package / code.split("\n")[0].removeprefix("# qharness/")
    lines = path.read_text(encoding="utf-8").split("\n")
    row = ast.parse(code).body[-1]
    assert isinstance(row, ast.Assign)
    name = ast.unparse(row.targets[0])
    tables = [node for node in ast.parse("\n".join(lines)).body if isinstance(node, ast.Assign | ast.AnnAssign)]
    (table,) = (
        node for node in tables if ast.unparse(getattr(node, "targets", [getattr(node, "target", row)])[0]) == name
    )
    path.write_text("\n".join([*lines[: table.end_lineno], code, *lines[table.end_lineno or 0 :]]), encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `qharness` has all the page's examples, and a task with the metric of its YAML."""
    folder = tmp_path_factory.mktemp("extended")
    package = folder / "qharness"
    for name, target in (("qharness", package), ("plugins", package / "plugins"), ("tasks", package / "tasks")):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, target, ignore=ignored)
    for title in re.findall(r"^## (.*)", PAGE, re.MULTILINE):
        extend(package, block(title))
    yaml = (package / "tasks/tiny/tiny-summary.yaml").read_text(encoding="utf-8")
    changed = re.sub(r"metric_list:\n(?:  .*\n)+", block("Adding a metric", "yaml"), yaml)
    (package / "tasks/tiny/exact.yaml").write_text(
        changed.replace("task: tiny-summary", "task: exact"), encoding="utf-8"
    )
    return folder


def qharness(place: Path, *words: object) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "qharness", *map(str, words)]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(folder: Path) -> list[dict[str, object]]:
    """The samples of a run."""
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_page_has_the_five() -> None:
    titles = re.findall(r"^## (.*)", PAGE, re.MULTILINE)
    assert titles == [
        "Adding a metric",
        "Adding a backend",
        "Adding an export format",
        "Adding a study axis",
        "Adding a tracker",
    ]


@pytest.mark.long
def test_a_metric(place: Path) -> None:
    document = json.loads(qharness(place, "run", "--task", "exact", "--limit", 2, "--output", "exact", "--json"))
    (metrics,) = document["metrics"].values()
    assert set(metrics) == {"exact_match"} and 0 <= metrics["exact_match"] <= 1
    assert document["metric"] == {"name": "exact_match", "higher_is_better": True, "unit": "ratio"}


@pytest.mark.long
def test_a_backend_and_an_export_format(place: Path) -> None:
    assert "hf|llamacpp|openai|vllm|constant" in qharness(place, "run", "--help")
    words = ["--backend", "constant", "--task", "tiny-python", "--samples", 2, "--limit", 2, "--output", "constant"]
    document = json.loads(qharness(place, "run", *words, "--json"))
    assert document["spec"]["backend"] == "constant"
    assert document["notes"] == ["every completion is the same"]
    (folder,) = (place / "constant").glob("*--*")
    assert {row["completion"] for row in lines(folder)} == {"    return 0\n"}

    assert "lm-eval|csv" in qharness(place, "export", "--help")
    qharness(place, "export", folder, "--format", "csv", "--output", "verdicts.csv")
    expected = [f"{row['task_id']},{row['sample']},{row['status']}" for row in lines(folder)]
    assert (place / "verdicts.csv").read_text(encoding="utf-8").splitlines() == ["task_id,sample,status", *expected]


@pytest.mark.long
def test_a_study_axis(place: Path) -> None:
    (place / "study.toml").write_text(block("Adding a study axis", "toml"), encoding="utf-8")
    listed = qharness(place, "study", "study.toml", "--dry-run")
    assert [len(re.findall(rf"^ {quant}\b.* to do", listed, re.MULTILINE)) for quant in ("none", "rtn")] == [2, 1]


@pytest.mark.long
def test_a_tracker(place: Path) -> None:
    words = ["--task", "tiny-python", "--limit", 1, "--samples", 1, "--output", "tracked", "--json"]
    document = json.loads(qharness(place, "run", *words, "--track", "lines"))
    (line,) = (place / "tracked.jsonl").read_text(encoding="utf-8").splitlines()
    tracked = json.loads(line)
    assert tracked["task"] == "tiny-python" and tracked["samples"] == 1
    assert tracked["pass_at_1"] == document["metrics"]["tiny-python"]["pass@1"]
