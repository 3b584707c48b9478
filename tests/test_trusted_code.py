"""A checkpoint that brings Python code: refused without --trust-remote-code, and nothing of it runs; runs with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qharness.models.checkpoint import Checkpoint
from tests.test_cli import Cli, in_process, one_line
from tests.tiny_models import save_model

__all__ = ["in_process"]
_CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
Path({marker!r}).touch()
class OwnConfig(LlamaConfig):
    model_type = "own-code"
class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("own") / "own")


def test_a_checkpoints_own_code(folder: Path, tmp_path: Path, in_process: Cli) -> None:
    marker = tmp_path / "was run"
    (folder / "modeling_own.py").write_text(_CODE.format(marker=str(marker)))
    config = json.loads((folder / "config.json").read_text())
    classes = {"AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}
    config |= {"model_type": "own-code", "architectures": ["OwnForCausalLM"], "auto_map": classes}
    (folder / "config.json").write_text(json.dumps(config))
    command = ("quantize", "--model", folder, "--quant", "rtn:8", "--output", tmp_path / "out")
    one_line(in_process(*command), "Python code", "--trust-remote-code")
    one_line(in_process("footprint", "--model", folder, "--quant", "none"), "--trust-remote-code")
    assert not marker.exists() and not (tmp_path / "out").exists()
    done = in_process("footprint", "--model", folder, "--quant", "rtn:8", "--trust-remote-code", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["parameters"], done.stderr
    done = in_process(*command, "--trust-remote-code")
    assert done.returncode == 0 and marker.exists() and (tmp_path / "out" / "config.json").is_file(), done.stderr


def test_each_command_that_loads_models_asks_and_goes_on(folder: Path, tmp_path: Path, in_process: Cli) -> None:
    """Above, the folder was given code of its own."""
    trusted = "--trust-remote-code"
    noise = ("noise", "--model", folder, "--quant", "rtn:3", "--calib", "stdlib:n=2,seqlen=32", "--json")
    profile = ("profile", "--model", folder, "--latency", "1", "--json")
    run = ("run", "--task", "warmup-python", "--model", folder, "--limit", "1", "--samples", "1", "--json")
    run = (*run, "--max-new-tokens", "2", "--output", tmp_path / "runs")
    (tmp_path / "study.toml").write_text(
        f'tasks = ["warmup-python"]\nmodels = ["{folder}"]\ntrust-remote-code = true\n'
    )
    for command in (noise, profile, run):
        one_line(in_process(*command), "Python code", trusted)
        done = in_process(*command, trusted)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["spec"]["trust_remote_code"] is True
    assert in_process("study", tmp_path / "study.toml", "--dry-run", "--output", tmp_path / "runs").returncode == 0


def test_code_that_is_run_is_part_of_the_model(folder: Path) -> None:
    with_code, without = Checkpoint(str(folder), True).identity, Checkpoint(str(folder)).identity
    with (folder / "modeling_own.py").open("a") as file:
        file.write("# changed\n")
    assert Checkpoint(str(folder)).identity == without and Checkpoint(str(folder), True).identity != with_code
