"""Whole runs, through the Python interface and through the command lines of qharness and of lm-eval."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from qharness import RunSpec, compare, run, score
from qharness.results import Comparison, RunRecord
from qharness.storage.json_codec import json_schema
from tests.conftest import install_plugin

Cli = Callable[..., subprocess.CompletedProcess[str]]


def spec(model: Path, output: Path, **changes: Any) -> RunSpec:
    return RunSpec(
        **{
            "task": "warmup-python",
            "model": str(model),
            "output": output,
            "max_new_tokens": 150,
            "samples": 4,
            **changes,
        }
    )


def lines(path: Path, without: tuple[str, ...] = ("seconds",)) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in without} for row in rows]


@pytest.fixture(scope="module")
def result(memorized: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(spec(memorized, tmp_path_factory.mktemp("runs"), quant="ternary"))


def test_a_run_ends_with_its_folder_its_baselines_and_a_comparison(result: Any) -> None:
    document = json.loads((result.folder / "run.json").read_text())
    assert {"spec", "metrics", "baseline", "seeds", "versions", "machine", "data", "hosting", "timings", "isolation",
            "batches", "notes"} <= set(document)  # fmt: skip
    assert {p.name for p in result.folder.iterdir()} == {"run.json", "results.json", "samples.jsonl", "journal.jsonl"}
    baseline = Path(document["baseline"]["a"])
    assert baseline.parent == result.folder.parent and (baseline / "run.json").is_file()
    assert len(list(result.folder.parent.iterdir())) == 2
    assert document["baseline"]["pass@1"]["a"] > 0.5  # it knows the solutions
    assert document["baseline"]["pass@1"]["b"] < 0.2  # and three values a weight are too few to keep them
    assert document["metrics"]["warmup-python"]["pass@1"] == pytest.approx(document["baseline"]["pass@1"]["b"])
    assert document["metrics"]["warmup-python"]["pass@5"] is None  # four samples say nothing of five
    assert compare(baseline, result.folder).document["n_pairs"] == 24


def test_the_documents_are_as_their_schemas_say(result: Any) -> None:
    run = jsonschema.Draft202012Validator(json_schema(RunRecord))
    document = json.loads((result.folder / "run.json").read_text(encoding="utf-8"))
    run.validate(document)
    assert document["schema"] == 1 and document["baseline"]
    assert run.is_valid(document | {"of_a_later_version": {}}) and not run.is_valid(document | {"metrics": []})
    jsonschema.Draft202012Validator(json_schema(Comparison)).validate(document["baseline"])


def test_samples_have_the_contracts_fields_in_order(result: Any) -> None:
    rows = lines(result.folder / "samples.jsonl", without=())
    assert [(row["doc_id"], row["sample"]) for row in rows] == [(d, s) for d in range(6) for s in range(4)]
    assert {"task", "doc_id", "sample", "seed", "prompt_sha", "completion", "status", "passed", "seconds"} <= set(
        rows[0]
    )
    results = json.loads((result.folder / "results.json").read_text())
    assert {"results", "configs", "versions", "n-shot", "config"} <= set(results)
    assert results["results"]["warmup-python"]["pass@1,verdicts"] == result.metrics["pass@1"]


def test_a_runs_samples_can_be_scored_again(result: Any) -> None:
    path = result.folder / "samples.jsonl"
    scored = score("warmup-python", path)
    assert [row["status"] for row in scored.samples] == [row["status"] for row in lines(path)]
    assert scored.document["pass@1"] == pytest.approx(result.metrics["pass@1"])
    assert scored.document["n_problems"] == 6 and scored.document["n_samples"] == 24
    assert sum(scored.document["status"].values()) == 24


def test_a_finished_run_is_not_made_again(result: Any, memorized: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qharness.models import loading

    monkeypatch.setattr(loading, "load_model", lambda *_: pytest.fail("loaded a model"))
    again = run(spec(memorized, result.folder.parent, quant="ternary"))
    assert again.folder == result.folder and again.document == result.document


def test_a_seed_repeats_and_another_does_not(result: Any, memorized: Path, tmp_path: Path) -> None:
    again = run(spec(memorized, tmp_path, quant="ternary", compare=False, batch_size=5))
    assert lines(again.folder / "samples.jsonl") == lines(result.folder / "samples.jsonl")
    other = run(spec(memorized, tmp_path, quant="ternary", compare=False, seed=1))
    assert other.folder != again.folder
    assert lines(other.folder / "samples.jsonl") != lines(again.folder / "samples.jsonl")


def test_batches_are_recorded_where_they_matter(memorized: Path, tmp_path: Path) -> None:
    dependent = run(
        spec(memorized, tmp_path, quant="int8-dynamic:activations=tensor", compare=False, limit=3, batch_size=5)
    )
    rows = dependent.document["batches"]["rows"]
    assert [len(batch) for batch in rows] == [5, 5, 2]
    assert sorted(tuple(row) for batch in rows for row in batch) == [(d, s) for d in range(3) for s in range(4)]
    independent = run(spec(memorized, tmp_path, quant="int8-dynamic", compare=False, limit=1))
    assert independent.document["batches"]["rows"] is None


@pytest.mark.long
def test_several_tasks_share_a_model_and_json_is_a_list(cli: Cli, memorized: Path, tmp_path: Path) -> None:
    done = cli("run", "--task", "warmup-python", "warmup-java", "--model", memorized, "--samples", 1, "--limit", 2,
               "--temperature", 0, "--max-new-tokens", 200, "--output", tmp_path, "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    documents = json.loads(done.stdout)
    assert [list(document["metrics"]) for document in documents] == [["warmup-python"], ["warmup-java"]]
    assert all("baseline" not in document for document in documents)
    shown = cli("compare", *sorted(tmp_path.iterdir()))
    assert shown.returncode == 2 and "no completion in common" in shown.stderr


@pytest.mark.slow
def test_mceval_java_by_three_command_lines(cli: Cli, random_llama: Path, data_dir: Path, tmp_path: Path) -> None:
    """qharness run, qharness lm-eval and the stock lm-eval give the same metrics, greedily the same completions."""
    arguments = [
        "--task",
        "mceval-java",
        "--data-dir",
        data_dir,
        "--samples",
        2,
        "--limit",
        5,
        "--output",
        tmp_path / "runs",
    ]
    ours = cli("run", "--model", random_llama, "--quant", "int8-dynamic", "--max-new-tokens", 16, *arguments, "--json")
    assert ours.returncode == 0, ours.stderr
    document = json.loads(ours.stdout)
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert document["baseline"]["n_pairs"] == 10 and document["data"][0]["file"] == "mceval/Java.jsonl"

    common = ["--tasks", "mceval-java", "--limit", "5", "--log_samples", "--device", "cpu", "--batch_size", "20"]
    generation = ["--gen_kwargs", "max_gen_toks=16", "temperature=0", "do_sample=False"]
    through = cli("lm-eval", "run", "--model", "qharness", "--model_args", f"pretrained={random_llama}", "quant=int8-dynamic",
                  *common, "--gen_kwargs", "max_gen_toks=16", "--output_path", tmp_path / "q", QHARNESS_DATA_DIR=str(data_dir))  # fmt: skip
    assert through.returncode == 0, through.stderr
    greedy = cli("lm-eval", "run", "--model", "qharness", "--model_args", f"pretrained={random_llama}",
                 *common, *generation, "--output_path", tmp_path / "g", QHARNESS_DATA_DIR=str(data_dir))  # fmt: skip
    assert greedy.returncode == 0, greedy.stderr
    folder = cli("list", "tasks", "--path").stdout.rstrip("\n")
    stock = subprocess.run(
        [Path(sys.executable).with_name("lm-eval"), "run", "--model", "hf", "--model_args", f"pretrained={random_llama}",
         "dtype=float32", *common, *generation, "--include_path", folder, "--output_path", tmp_path / "s"],
        capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "QHARNESS_DATA_DIR": str(data_dir), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert stock.returncode == 0, stock.stderr
    for run_folder in ("q", "g", "s"):
        (path,) = (tmp_path / run_folder).glob("*/results*.json")
        assert (
            json.loads(path.read_text())["results"]["mceval-java"]["pass@1,verdicts"]
            == document["metrics"]["mceval-java"]["pass@1"]
        )
    completions = []
    for run_folder in ("g", "s"):
        (path,) = (tmp_path / run_folder).glob("*/samples*.jsonl")
        completions.append([row["resps"] for row in lines(path)])
    assert completions[0] == completions[1]


def test_a_foreign_task_reaches_lm_eval_and_fails_for_its_data_only(
    cli: Cli, random_llama: Path, tmp_path: Path
) -> None:
    done = cli("run", "--task", "arc_easy", "--model", random_llama, "--output", tmp_path / "runs")
    assert done.returncode == 2
    assert "task 'arc_easy': lm-eval could not load its data" in done.stderr
    assert not (tmp_path / "runs").exists()


QUIZ = """
from pathlib import Path
from qharness import TaskSource, hookimpl, test_split

def dataset(**metadata):
    return test_split([{"question": "aaa", "choices": ["b", "a"], "answer": 1}, {"question": "ccc", "choices": ["c", "d"], "answer": 0}])

@hookimpl
def qharness_tasks():
    return [TaskSource(Path(__file__).parent)]
"""
QUIZ_YAML = """
task: quiz
custom_dataset: !function quiz.dataset
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
doc_to_choice: "{{choices}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


@pytest.mark.long
def test_a_task_that_runs_no_programs(cli: Cli, random_llama: Path, tmp_path: Path) -> None:
    """Any lm-eval task runs: its own metrics are kept, and there are no passes to compare."""
    path = install_plugin(tmp_path / "plugin", "quiz", QUIZ)
    (tmp_path / "plugin/quiz.yaml").write_text(QUIZ_YAML)
    arguments = ["run", "--task", "quiz", "--model", random_llama, "--output", tmp_path / "runs"]
    done = cli(*arguments, "--quant", "int8-dynamic", "--json", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["metrics"]["quiz"]["acc"] in (0.0, 0.5, 1.0)
    assert "baseline" not in document and document["isolation"] is None
    assert len(list((tmp_path / "runs").iterdir())) == 2
    shown = cli(*arguments, "--quant", "int8-dynamic", PYTHONPATH=path)
    assert shown.returncode == 0 and "acc" in shown.stdout and "already done" in shown.stderr
    wrong = cli(*arguments, "--temperature", 0.5, PYTHONPATH=path)
    assert wrong.returncode == 2 and "--temperature does not apply" in wrong.stderr


@pytest.mark.long
def test_several_options_reach_lm_eval_as_json(cli: Cli, memorized: Path, tmp_path: Path) -> None:
    arguments = {"pretrained": str(memorized), "quant": "int8-dynamic:per-column,activations=tensor", "seed": 3}
    done = cli("lm-eval", "run", "--model", "qharness", "--model_args", json.dumps(arguments), "--tasks", "warmup-python",
               "--limit", "2", "--gen_kwargs", "max_gen_toks=150", "--output_path", tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*/results*.json")
    assert json.loads(path.read_text())["results"]["warmup-python"]["pass@1,verdicts"] > 0


SUMMARY_YAML = """
task: sum-up
custom_dataset: !function quiz.dataset
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{question}}"
generation_kwargs: {do_sample: false, max_gen_toks: 6, num_beams: 2}
metric_list: [{metric: !function qharness.filters.bleu, aggregation: mean, higher_is_better: true}]
"""


def test_a_task_of_texts_keeps_its_completions(cli: Cli, random_llama: Path, tmp_path: Path) -> None:
    path = install_plugin(tmp_path / "plugin", "quiz", QUIZ)
    (tmp_path / "plugin/sum-up.yaml").write_text(SUMMARY_YAML)
    arguments = ["run", "--task", "sum-up", "--model", random_llama, "--output", tmp_path / "runs", "--json"]
    done = cli(*arguments, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert 0 <= json.loads(done.stdout)["metrics"]["sum-up"]["bleu"] <= 100
    (folder,) = (tmp_path / "runs").iterdir()
    rows = lines(folder / "samples.jsonl")
    assert [(row["doc_id"], row["sample"], row["status"], row["passed"]) for row in rows] == [
        (0, 0, None, None),
        (1, 0, None, None),
    ]
    assert all("bleu" in row["metrics"] for row in rows)
    same = json.loads(cli("compare", folder, folder, "--json").stdout)
    assert (same["bleu"]["difference"], same["n_different"], same["examples"]) == (0.0, 0, [])
