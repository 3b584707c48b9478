"""Perturbed tasks: by name in qharness and in lm-eval's own command line, and what is recorded of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qharness import QHarnessError, RunSpec, SpecError, UnknownNameError, compare, run
from qharness.evaluate.perturb.perturbed_task import bind_perturbations, write_yaml
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.registry import get_registry
from qharness.specs import TaskName
from tests.conftest import install_plugin

Cli = Callable[..., subprocess.CompletedProcess[str]]
SHORT = ("--samples", 1, "--limit", 2, "--max-new-tokens", 5, "--temperature", 0)

SOME_PROSE = """
from pathlib import Path
from qharness import TaskSource, hookimpl, test_split

def dataset(**metadata):
    prompts = ["x = 1\\n", "some words\\n", "more words\\n"]
    return test_split({"task_id": str(n), "prompt": p, "language": "python", "tests": "pass"} for n, p in enumerate(prompts))

@hookimpl
def qharness_tasks():
    spans = lambda doc: [] if "=" in doc["prompt"] else [("prompt", 0, len(doc["prompt"]) - 1)]
    return [TaskSource(Path(__file__).parent / "yaml", spans)]
"""


def prompts(task: str, data_dir: Path | None = None, seed: int = 0) -> list[str]:
    (loaded,) = load_task(task, data_dir, seed).tasks.values()
    return [doc["prompt"] for doc in loaded.eval_docs]


def test_documents_are_perturbed_once_by_seed_and_document() -> None:
    original, perturbed = prompts("tiny-python"), prompts("tiny-python@char")
    assert len(original) == len(perturbed) == 100
    assert sum(a != b for a, b in zip(original, perturbed, strict=True)) >= 99
    assert [text.lower() for text in original] == [text.lower() for text in perturbed]
    assert prompts("tiny-python@char") == perturbed == prompts("tiny-python@char:0.1")
    assert prompts("tiny-python@char", seed=1) != perturbed
    (loaded,) = load_task("tiny-python@char").tasks.values()
    assert loaded.eval_docs is loaded.eval_docs
    assert len(loaded.changes) == 100


def test_a_document_is_perturbed_alike_whatever_the_task_holds(data_dir: Path) -> None:
    """mbpp-test is a part of mbpp."""
    everything = prompts("mbpp@char", data_dir)
    assert set(prompts("mbpp-test@char", data_dir)) < set(everything)


@pytest.mark.long
def test_a_run_s_names(random_llama: Path, tmp_path: Path, cli: Cli) -> None:
    """--perturb and TASK@PERTURBATION are the same run, whatever the spelling; another perturbation is another run."""
    common = ("--model", random_llama, "--output", tmp_path, *SHORT)
    first = cli("run", "--task", "tiny-python", "--perturb", "char:0.1", *common)
    assert first.returncode == 0, first.stderr
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("random-llama--none--none--char--tiny-python--")
    options = {"model": str(random_llama), "output": tmp_path, "samples": 1, "limit": 2, "max_new_tokens": 5}
    again = run(RunSpec("tiny-python@char", temperature=0.0, **options))
    assert again.folder == folder
    assert again.document["spec"]["task"] == "tiny-python@char:0.1"
    assert again.metrics["pass@1"] == 0
    other = run(RunSpec("tiny-python@char+char:0.5", temperature=0.0, **options))
    assert other.folder != folder


def test_the_baseline_is_full_precision_on_the_same_prompts(random_llama: Path, tmp_path: Path) -> None:
    spec = RunSpec(
        "tiny-python@char", str(random_llama), "rtn:2", samples=1, limit=2, max_new_tokens=5, output=tmp_path
    )
    quantized = run(spec)
    baseline = json.loads((Path(quantized.document["baseline"]["a"]) / "run.json").read_text())
    assert baseline["spec"]["quant"] == "none" and baseline["spec"]["task"] == "tiny-python@char"
    assert quantized.document["baseline"]["n_pairs"] == 2 and "robustness" not in quantized.document["baseline"]
    folders = (quantized.folder, Path(quantized.document["baseline"]["a"]))
    lines = [(folder / "samples.jsonl").read_text().splitlines() for folder in folders]
    shas = [[json.loads(line)["prompt_sha"] for line in each] for each in lines]
    assert shas[0] == shas[1]


def test_prompts_without_prose_are_counted(random_llama: Path, tmp_path: Path, cli: Cli) -> None:
    path = install_plugin(tmp_path / "plugin", "some_prose", SOME_PROSE)
    (tmp_path / "plugin/yaml").mkdir()
    (tmp_path / "plugin/yaml/t.yaml").write_text(
        "task: some\ncustom_dataset: !function some_prose.dataset\ntest_split: test\noutput_type: generate_until\n"
        'doc_to_text: "{{prompt}}"\ndoc_to_target: "{{tests}}"\ngeneration_kwargs: {do_sample: false}\n'
        "filter_list: [{name: v, filter: [{function: custom, filter_fn: !function qharness.filters.run_programs}]}]\n"
        "metric_list: [{metric: !function qharness.filters.pass_at_k, aggregation: mean, higher_is_better: true}]\n"
    )
    done = cli(
        *(
            "run",
            "--task",
            "some@char:1",
            "--model",
            random_llama,
            "--max-new-tokens",
            3,
            "--output",
            tmp_path / "runs",
        ),
        "--json",
        PYTHONPATH=path,
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 3 prompts have no prose and are as they were" in json.loads(done.stdout)["notes"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("tiny-python@chr", UnknownNameError, "did you mean char"),
        ("tiny-pyton@char", UnknownNameError, "did you mean tiny-python.*lm-eval's own tasks cannot be perturbed"),
        ("tiny-python@char:2", SpecError, "between 0 and 1"),
        ("tiny-python@", SpecError, "does not parse"),
        ("tiny-python@char+", SpecError, "does not parse"),
        ("warmup-python@char", QHarnessError, "does not say where its prose stands"),
    ],
)
def test_mistakes_are_found_before_anything_runs(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_task(name)


def test_canonical_names() -> None:
    assert load_task("tiny-python").canonical == TaskName("tiny-python")
    found = bind_perturbations("tiny-python@word:p=0.5+char:0.2").canonical
    assert found == TaskName("tiny-python", "word+char:0.2") and str(found) == "tiny-python@word+char:0.2"


def test_comparing_perturbed_with_original_prompts(random_llama: Path, tmp_path: Path) -> None:
    """Problems pair by document; a drop from nothing is undefined."""
    options = {"model": str(random_llama), "samples": 1, "limit": 2, "max_new_tokens": 5, "output": tmp_path}
    original, perturbed = (run(RunSpec(task, **options)) for task in ("tiny-python", "tiny-python@char"))
    document = compare(original.folder, perturbed.folder).document
    assert document["n_pairs"] == 2
    assert document["robustness"]["broken"] == document["robustness"]["mended"] == []
    assert document["robustness"]["drop_percent"] != document["robustness"]["drop_percent"]


# ---------------------------------------------------------------------------------------------- lm-eval's command line


def lm_eval(command: list[object], model: Path, output: Path) -> list[str]:
    """The prompts that a run of lm-eval's command line made completions of."""
    output.mkdir()
    arguments = ["--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--limit", "2"]
    arguments += ["--gen_kwargs", "max_gen_toks=2,do_sample=False", "--log_samples", "--output_path", str(output)]
    arguments += ["--device", "cpu", "--batch_size", "1"]
    done = subprocess.run(
        [*map(str, command), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        cwd=output,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (samples,) = output.rglob("samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    return [row["arguments"]["gen_args_0"]["arg_0"] for row in sorted(rows, key=lambda row: row["doc_id"])]


@pytest.mark.long
def test_the_same_names_in_lm_eval(random_llama: Path, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("qharness")
    command = [program, "lm-eval", "run", "--tasks", "tiny-python@char:0.3", "--metadata", '{"seed": 2}']
    assert lm_eval(command, random_llama, tmp_path / "out") == prompts("tiny-python@char:0.3", seed=2)[:2]


@pytest.mark.slow
def test_a_perturbed_task_s_yaml_in_the_stock_command_line(random_llama: Path, tmp_path: Path, cli: Cli) -> None:
    """By the name in it, which may be another: a spec of several options holds commas, at which lm-eval splits."""
    folder = tmp_path / "tasks"
    written = cli(
        "perturb", "--task", "tiny-python", "--perturb", "char:0.3", "--seed", 2, "--output", folder / "t.yaml"
    )
    assert written.returncode == 0, written.stderr
    file = folder / "t.yaml"
    file.write_text(file.read_text().replace("task: tiny-python@char:0.3", "task: shaken"))
    command = [Path(sys.executable).with_name("lm-eval"), "run", "--tasks", "shaken", "--include_path", folder]
    assert lm_eval(command, random_llama, tmp_path / "out") == prompts("tiny-python@char:0.3", seed=2)[:2]


def test_every_task_of_ours_with_prose_has_a_perturbed_yaml(tmp_path: Path) -> None:
    for name, entry in get_registry().tasks.items():
        if entry.plugin.startswith("qharness."):
            write_yaml(f"{name}@char", tmp_path / "t.yaml")
            assert f"task: {name}@char" in (tmp_path / "t.yaml").read_text()


# ------------------------------------------------------------------------------------------------------ qharness perturb


def test_perturb_writes_both_texts_with_the_difference_marked(tmp_path: Path, cli: Cli) -> None:
    done = cli("perturb", "--task", "tiny-java", "--perturb", "char:0.2", "--output", tmp_path / "new/p.jsonl")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "new/p.jsonl").read_text().splitlines()]
    assert [row["original"] for row in rows] == prompts("tiny-java")
    assert [row["perturbed"] for row in rows] == prompts("tiny-java@char:0.2")
    for row in rows:
        unmarked = row["difference"].replace("[[", "").replace("]]", "")
        assert unmarked == row["perturbed"].replace("[[", "").replace("]]", "")
        assert ("[[" in row["difference"]) >= (row["original"] != row["perturbed"])
    done = cli("perturb", "--task", "tiny-java", "--perturb", "char:0.2", "--output", tmp_path / "p.md")
    text = (tmp_path / "p.md").read_text()
    assert done.returncode == 0 and text.count("\n## ") == 100 and text.count("<u>") > 200
    assert "List&lt;" in text


def test_perturb_s_mistakes(tmp_path: Path, cli: Cli) -> None:
    wrong = cli("perturb", "--task", "tiny-java", "--perturb", "char", "--output", tmp_path / "p.txt")
    assert wrong.returncode == 2 and "--output must end in .jsonl, .md or .yaml, not '.txt'" in wrong.stderr
    (tmp_path / "file").touch()
    inside = cli("perturb", "--task", "tiny-java", "--perturb", "char", "--output", tmp_path / "file/p.md")
    assert inside.returncode == 2 and "cannot be written" in inside.stderr and "Traceback" not in inside.stderr
