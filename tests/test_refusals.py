"""What would give a wrong figure is refused beforehand: by a run, by a study's dry run, and by lm-eval's own way in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from qharness import DataError, ModelError, QHarnessError, SettingError, SpecError
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.execution.pool import CORES
from qharness.filters import run_programs
from qharness.models.decoding import Decoding
from qharness.quantization.application import quantize
from qharness.quantization.lm_eval_model import QHarnessLM
from qharness.quantization.resolution import bind_set
from qharness.registry import get_registry
from tests.conftest import install_plugin
from tests.test_cli import Cli, in_process, one_line

__all__ = ["in_process"]
DOCUMENT = {"task_id": "Python/0", "prompt": "x = 1\n", "language": "python", "tests": "assert x == 1\n"}


@pytest.mark.parametrize("name", ["language", "prompt", "tests"])
@pytest.mark.parametrize("value", [None, "missing", 3])
def test_a_document_without_a_field_is_not_the_models_failure(name: str, value: Any) -> None:
    doc = {key: text for key, text in DOCUMENT.items() if key != name}
    if value != "missing":
        doc[name] = value
    with pytest.raises(DataError, match=f"document 'Python/0' has no '{name}'"):
        run_programs([["pass\n"]], [doc])


def test_empty_tests_would_pass_every_completion() -> None:
    with pytest.raises(DataError, match="no 'tests'"):
        run_programs([["pass\n"]], [{**DOCUMENT, "tests": " \n"}])


TASK = """
from pathlib import Path
from qharness import TaskSource, hookimpl, test_split

def dataset(**metadata):
    rows = [{"task_id": "one", "tests": "assert True"}, {"task_id": "two", "tests": None}]
    return test_split({**row, "prompt": "x = 1\\n", "language": "python"} for row in rows)

@hookimpl
def qharness_tasks():
    return [TaskSource(Path(__file__).parent / "yaml")]
"""


def test_the_task_and_the_field_are_named_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install_plugin(tmp_path, "half_tested", TASK))
    own = Path(get_registry().tasks["tiny-python"].value.path).read_text(encoding="utf-8")
    (tmp_path / "yaml").mkdir()
    changed = own.replace("qharness.tasks.tiny.python_dataset", "half_tested.dataset")
    (tmp_path / "yaml" / "half.yaml").write_text(changed.replace("task: tiny-python", "task: half-tested"))
    get_registry.cache_clear()
    try:
        with pytest.raises(DataError, match="task 'half-tested': document 1 has no 'tests'"):
            load_task("half-tested")
    finally:
        get_registry.cache_clear()


STUDY = 'tasks = ["warmup-python"]\n'
REFUSED: Mapping[str, tuple[str, str]] = {
    "no folder": ('models = ["/no/such/model"]', "there is no such folder"),
    "context": ("max_new_tokens = 100000", "takes 512 tokens in all"),
    "damaged": ('models = ["DAMAGED"]', "is empty: download it again"),
    "task": ('perturbations = ["nothing"]', "cannot be perturbed"),
    "measured": ('models = ["DAMAGED"]\nmeasure = ["noise"]\nquants = ["rtn:3"]', "is empty: download it again"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_dry_run_refuses_what_a_run_refuses(case: str, in_process: Cli, tmp_path: Path, random_llama: Path) -> None:
    line, complaint = REFUSED[case]
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "config.json").write_bytes((random_llama / "config.json").read_bytes())
    (damaged / "model.safetensors").touch()
    own = f'models = ["{random_llama}"]\n' if "models" not in line else ""
    (tmp_path / "study.toml").write_text(STUDY + own + line.replace("DAMAGED", str(damaged)))
    done = in_process("study", tmp_path / "study.toml", "--dry-run", "--json", "--output", tmp_path / "runs")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    plans = json.loads(done.stdout)
    assert plans and all(complaint in plan["error"] for plan in plans), plans
    assert not (tmp_path / "runs").exists()


def test_a_run_refuses_more_tokens_than_the_context_has(in_process: Cli, tmp_path: Path, random_llama: Path) -> None:
    asked = ("run", "--task", "warmup-python", "--model", random_llama, "--output", tmp_path / "runs")
    one_line(in_process(*asked, "--max-new-tokens", 513), "--max-new-tokens 513", "takes 512 tokens in all")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"do_sample": "false"}, "do_sample must be true or false"),
        ({"do_sample": True}, "no temperature says how"),
        ({"until": [1]}, "until must be a text"),
        ({"until": 5}, "until must be a text"),
        ({"early_stopping": "never"}, "early_stopping must be true or false"),
        ({"temperature": "0.2"}, "temperature must be"),
    ],
)
def test_generation_options_of_the_wrong_kind(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(QHarnessError, match=complaint):
        Decoding.from_lm_eval(options, 16)


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"foo": 1}, SettingError, "there is no 'foo'; known: pretrained, quant, calib"),
        ({"seed": -1.0}, SettingError, "seed must be"),
        ({"batch_size": 0}, SettingError, "batch_size must be auto or"),
        ({"dtype": "float8"}, ModelError, "dtype 'float8'"),
        ({"device": "tpu9"}, ModelError, "device 'tpu9'"),
    ],
)
def test_model_args_of_lm_eval(arguments: dict[str, Any], error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        QHarnessLM.create_from_arg_obj({"pretrained": "tinycoder", **arguments})


def test_an_unknown_calibration_set_is_an_error_though_none_is_needed() -> None:
    with pytest.raises(QHarnessError, match="unknown calibration set 'nope'"):
        quantize("tinycoder", "none", "nope")
    with pytest.raises(SpecError):
        bind_set("")


@pytest.mark.parametrize("value", ["0", "-1", "x", "nan", "1.5", "9" * 5000])
def test_cores_of_the_environment(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CORES, value)
    with pytest.raises(SettingError, match="QHARNESS_CORES must be auto or a whole number from 1"):
        run_programs([["pass\n"]], [DOCUMENT])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_options_of_plugins_are_finite(value: str) -> None:
    registry = get_registry()
    for spec, make in (("int8-static:percentile={}", registry.quantizer), ("word:{}", registry.perturbation)):
        with pytest.raises(SpecError, match="must be a number"):
            make(spec.format(value))
