"""Settings out of their bounds: one line and exit code 2, wherever they stand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from qharness import DataError, RunSpec, SettingError
from qharness.bounds import BOUNDS
from qharness.evaluate.run.lm_eval_bridge import check_documents, load_task
from qharness.models.decoding import Decoding
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]

RUN = ("run", "--task", "tiny-python", "--limit", "1", "--no-baseline")
WRONG = [
    (*RUN, "--top-p", "0"),
    (*RUN, "--temperature", "inf"),
    (*RUN, "--temperature", "nan"),
    (*RUN, "--temperature", "-1"),
    (*RUN, "--seed", "-1"),
    (*RUN, "--seed", str(2**32)),
    (*RUN, "--seed", str(10**30)),
    (*RUN, "--samples", "0"),
    (*RUN, "--limit", "0"),
    (*RUN, "--batch-size", "0"),
    (*RUN, "--max-new-tokens", "0"),
    (*RUN, "--calib", "no-such-set"),
    ("quantize", "--quant", "rtn:3", "--seed", "-1", "--output", "never"),
    ("noise", "--quant", "rtn:3", "--seed", "-1"),
    ("profile", "--seed", str(2**32)),
    ("profile", "--latency", "inf"),
    ("profile", "--latency", "nan"),
    ("profile", "--latency", "0"),
    ("profile", "--latency", "2.5", "--country", "XXX"),
    ("profile", "--latency", "2.5", "--instance", "no-such-instance"),
]


@pytest.mark.parametrize("command", WRONG, ids=" ".join)
def test_a_setting_out_of_bounds_is_one_line(in_process: Cli, command: tuple[str, ...]) -> None:
    done = in_process(*command)
    assert done.returncode == 2 and done.stdout == "", done
    assert done.stderr.strip().splitlines()[-1].startswith("qharness: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize("line", ["seeds = [-1]", "temperature = inf", "top_p = 0.0", "samples = 0", "seeds = [true]"])
def test_a_study_plans_nothing_that_a_run_refuses(in_process: Cli, tmp_path: Path, line: str) -> None:
    (tmp_path / "study.toml").write_text(f'models = ["tinycoder"]\ntasks = ["tiny-python"]\n{line}\n')
    done = in_process("study", tmp_path / "study.toml", "--dry-run", "--output", tmp_path / "runs")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done


@pytest.mark.parametrize("options", [{"top_p": 0}, {"temperature": math.inf}, {"max_gen_toks": 0}, {"num_beams": 0}])
def test_a_tasks_yaml_has_the_same_bounds(options: dict[str, float]) -> None:
    with pytest.raises(SettingError, match="must be"):
        Decoding.from_lm_eval({"do_sample": True, "temperature": 0.5, **options}, 16)


@pytest.mark.parametrize("name", sorted(set(BOUNDS) & set(RunSpec.__dataclass_fields__)))
@pytest.mark.parametrize(
    "value", [-1, math.nan, math.inf, 10**5000, True, "1"], ids=["less", "nan", "inf", "huge", "bool", "text"]
)
def test_a_run_is_not_asked_for_otherwise(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"{name} must be"):
        RunSpec("tiny-python", **{name: value})  # type: ignore[arg-type]


def test_greedy_completions_of_a_problem_are_made_once(in_process: Cli, tmp_path: Path) -> None:
    ten = in_process(*RUN, "--temperature", "0", "--samples", "10", "--output", tmp_path)
    assert ten.returncode == 0 and "one is made of each" in ten.stderr, ten
    one = in_process(*RUN, "--temperature", "0", "--samples", "1", "--output", tmp_path)
    assert one.returncode == 0 and len(list(tmp_path.glob("*/run.json"))) == 1
    (samples,) = tmp_path.glob("*/samples.jsonl")
    assert len(samples.read_text().splitlines()) == 1


@pytest.mark.parametrize("field", ["tests", "prompt", "language", "task_id"])
def test_a_document_that_cannot_be_judged_is_no_failure_of_the_model(field: str) -> None:
    loaded = load_task("tiny-python")
    check_documents(loaded)
    (task,) = loaded.tasks.values()
    task.dataset = {"test": task.dataset["test"].remove_columns(field)}
    with pytest.raises(DataError, match=f"'tiny-python': document 0 has no '{field}'"):
        check_documents(loaded)
