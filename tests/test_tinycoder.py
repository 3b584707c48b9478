"""The bundled model: what it is, that it is the default, and that its card says what it does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from qharness import RunSpec, run
from qharness.models.checkpoint import BUNDLED, Checkpoint
from qharness.models.loading import load_model
from tests.conftest import REPOSITORY

Cli = Callable[..., subprocess.CompletedProcess[str]]
FOLDER = BUNDLED["tinycoder"]
TASKS = ("tiny-python", "tiny-java", "tiny-summary")


def test_it_is_small_and_shaped_as_said() -> None:
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["model_type"] == "llama"
    assert config["max_position_embeddings"] >= 2048
    assert config["hidden_size"] >= 192 and not config["hidden_size"] % 8 and not config["intermediate_size"] % 8
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 8e6
    with safe_open(FOLDER / "model.safetensors", "pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118 - no mapping


def test_prompt_and_body_are_tokenized_apart() -> None:
    """A token that crossed the end of the prompt would make every completion begin wrongly."""
    tokenizer = load_model("tinycoder").tokenizer
    for line in (REPOSITORY / "tasks/tiny/tiny-java.jsonl").read_text().splitlines()[:20]:
        document = json.loads(line)
        head, body = (tokenizer(document[key])["input_ids"] for key in ("prompt", "canonical_solution"))
        assert tokenizer(document["prompt"] + document["canonical_solution"])["input_ids"] == head + body


def test_the_tasks_are_what_the_recipe_writes(tmp_path: Path) -> None:
    script = REPOSITORY / "examples/tinycoder/write_tasks.py"
    subprocess.run([sys.executable, script, tmp_path], check=True)
    for task in TASKS:
        assert (tmp_path / f"{task}.jsonl").read_bytes() == (REPOSITORY / f"tasks/tiny/{task}.jsonl").read_bytes()


def test_it_is_the_default_and_says_so(cli: Cli, tmp_path: Path) -> None:
    done = cli("run", "--task", "tiny-python", "--limit", 3, "--samples", 2, "--output", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert len(re.findall("model: tinycoder", done.stderr)) == 1
    document = json.loads(done.stdout)
    assert document["spec"]["model"] == "tinycoder"
    assert document["metrics"]["tiny-python"]["pass@1"] > 0
    assert Path(json.loads(done.stdout)["spec"]["output"]) == tmp_path


def test_a_folder_of_that_name_is_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tinycoder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Checkpoint("tinycoder").identity != Checkpoint("./tinycoder").identity


@pytest.mark.long
def test_it_writes_programs_and_summaries(tmp_path: Path) -> None:
    for task, metric, least in (("tiny-python", "pass@1", 0.5), ("tiny-summary", "bleu", 30.0)):
        found = run(RunSpec(task, output=tmp_path, samples=1, temperature=0.0, limit=30))
        assert found.metrics[metric] > least


@pytest.mark.slow
def test_the_card_says_what_it_does(tmp_path: Path) -> None:
    """Greedy pass@1 in full precision and rounded, as the card's table has them."""
    card = (FOLDER / "README.md").read_text()
    for task in TASKS:
        row = next(line for line in card.splitlines() if line.startswith(f"| `{task}`"))
        full, eight, four, three, two, int8 = (float(cell) for cell in row.strip("|").split("|")[1:7])
        scale = 1 if task == "tiny-summary" else 100
        for quant, said in (("none", full), ("rtn:8,group=64", eight), ("rtn:4,group=64", four),
                            ("rtn:3,group=64", three), ("rtn:2,group=64", two), ("int8-dynamic", int8)):  # fmt: skip
            spec = RunSpec(task, quant=quant, output=tmp_path, samples=1, temperature=0.0, compare=False)
            (metric, *_) = run(spec).metrics.values()
            assert scale * metric == pytest.approx(said, abs=2.0), (task, quant)
        if task != "tiny-summary":
            assert 70 <= full <= 92 and three <= full - 10 and two <= full - 30
