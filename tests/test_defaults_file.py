"""The defaults file: where it is found, what it may say, and that it is the same as options given by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qharness.cli import app
from qharness.cli.defaults_file import find_defaults_file, read_defaults, runs_folder
from qharness.errors import SettingError
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]
RUN = ("run", "--task", "warmup-python", "--limit", "2", "--max-new-tokens", "3", "--json")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, two folders below `tmp_path`."""
    inner = tmp_path / "project/inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    return inner


def test_the_nearest_file_counts_alone(place: Path) -> None:
    assert find_defaults_file() is None or place not in find_defaults_file().path.parents  # type: ignore[union-attr]
    project, top = place.parent, place.parent.parent
    (top / "qharness.toml").write_text('model = "top"\ndevice = "cpu"\n')
    assert read_defaults().model == "top"
    (project / "pyproject.toml").write_text('[project]\nname = "other"\n')
    assert read_defaults().model == "top"
    (project / "pyproject.toml").write_text('[tool.qharness]\nmodel = "project"\n')
    assert read_defaults().given() == {"model": "project"}
    (project / "qharness.toml").write_text("max_loss = 3.5\n")
    assert read_defaults().given() == {"max_loss": "3.5"}
    (place / "pyproject.toml").write_text("[tool.qharness]\n")
    assert read_defaults().given() == {}


def test_a_pyproject_of_others_may_be_damaged(place: Path) -> None:
    (place / "pyproject.toml").write_text("[project\n")
    read_defaults()
    (place / "pyproject.toml").write_text("[tool.qharness\n")
    with pytest.raises(SettingError, match=r"pyproject.toml is no TOML"):
        read_defaults()


def test_paths_are_relative_to_the_file(place: Path) -> None:
    project = place.parent
    (project / "models/small").mkdir(parents=True)
    (project / "tinycoder").mkdir()
    text = 'model = "models/small"\ndata-dir = "data"\noutput = "results"\n'
    (project / "qharness.toml").write_text(text)
    assert read_defaults().given() == {"model": "../models/small", "data_dir": "../data", "output": "../results"}
    assert runs_folder() == Path("../results")
    (place / "qharness.toml").write_text(text)
    assert read_defaults().given() == {"model": "models/small", "data_dir": "data", "output": "results"}
    for name in ("tinycoder", "Salesforce/codegen-350M-mono", "/abs/model"):
        (project / "qharness.toml").write_text(f'model = "{name}"\n')
        (place / "qharness.toml").unlink(missing_ok=True)
        assert read_defaults().model == name


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('modle = "x"', ("modle is no key", "model, data-dir, device, max-loss, output")),
        ('device = "gpu"', ("device:", "'gpu'")),
        ("model = 3", ("model:", "3")),
        ('model = ""', ("model:",)),
        ('max-loss = "much"', ("max-loss must be points", "'much'")),
        ("max-loss = 0", ("max-loss must be",)),
        ("max-loss = [2]", ("max-loss must be",)),
        ("max-loss = true", ("max-loss must be",)),
        ("data-dir = 1", ("data-dir:",)),
        ("model = ", ("is no TOML",)),
    ],
)
def test_a_mistake_is_one_line_that_names_file_and_key(
    text: str, parts: tuple[str, ...], place: Path, in_process: Cli
) -> None:
    for name, head in (("qharness.toml", ""), ("pyproject.toml", "[tool.qharness]\n")):
        (place / name).write_text(head + text + "\n")
        done = in_process("run", "--task", "warmup-python")
        (place / name).unlink()
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
        assert str(place / name) in done.stderr and all(part in done.stderr for part in parts), done.stderr
        assert "is no TOML" in done.stderr or head.strip("[]\n") in done.stderr


def test_it_is_the_same_run_as_by_hand(place: Path, random_llama: Path, in_process: Cli) -> None:
    """Also of a model's folder that is named from above; and the command line goes first."""
    shutil.copytree(random_llama, place.parent / "model", copy_function=shutil.copy2)
    by_hand = json.loads(in_process(*RUN, "--model", "../model", "--output", "../out", "--device", "cpu").stdout)
    (place.parent / "qharness.toml").write_text('model = "model"\noutput = "out"\ndevice = "cpu"\nmax-loss = "5%"\n')
    done = in_process(*RUN)
    assert "already done" in done.stderr and json.loads(done.stdout)["spec"] == by_hand["spec"]
    assert [path.name for path in (place.parent / "out").iterdir()] == [Path(done.stderr.split()[-1]).name]
    assert json.loads(in_process("runs", "--json").stdout)[0]["model"] == by_hand["spec"]["model"]
    other = in_process(*RUN, "--output", "other", "--quant", "rtn:4", "--max-loss", "7")
    assert json.loads(other.stdout)["spec"]["max_loss"] == {"amount": 7.0, "relative": False}
    assert len(list((place / "other").iterdir())) == 2
    margin = in_process(*RUN, "--output", "other", "--quant", "rtn:5")
    assert json.loads(margin.stdout)["spec"]["max_loss"] == {"amount": 5.0, "relative": True}


def test_the_environment_goes_before_the_file(place: Path, monkeypatch: pytest.MonkeyPatch, in_process: Cli) -> None:
    (place / "qharness.toml").write_text('data-dir = "of-the-file"\n')
    asked = ("perturb", "--task", "humaneval", "--perturb", "char", "--output", "x.jsonl")
    assert "of-the-file" in in_process(*asked).stderr
    assert "of-the-line" in in_process(*asked, "--data-dir", "of-the-line").stderr
    done = CliRunner().invoke(app, list(asked), env={"QHARNESS_DATA_DIR": "of-the-environment"})
    assert "of-the-environment" in str(done.exception)


def test_other_commands(place: Path, random_llama: Path, in_process: Cli) -> None:
    """A repeatable option takes the one value, --help and what needs no default read nothing, and doctor says which."""
    (place / "qharness.toml").write_text(f'model = "{random_llama}"\noutput = "never"\n')
    found = json.loads(in_process("footprint", "--quant", "rtn:4", "--json").stdout)
    assert found["model"] == str(random_llama)
    noise = json.loads(in_process("noise", "--quant", "rtn:4", "--json").stdout)
    assert noise["model"] == str(random_llama)
    done = in_process("quantize", "--unpack", random_llama, "--output", "unpacked")
    assert "do not go with it" not in done.stderr
    both = in_process("quantize", "--unpack", random_llama, "--output", "unpacked", "--model", "tinycoder")
    assert "do not go with it" in both.stderr
    written = in_process("quantize", "--quant", "none", "--output", "written")
    assert written.returncode == 0 and (place / "written/config.json").is_file() and not (place / "never").exists()
    (place / "qharness.toml").write_text("wrong = 1\n")
    assert in_process("run", "--help").returncode == in_process("list", "presets").returncode == 0


def test_doctor_says_which_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qharness.cli.doctor import check_defaults

    (place / "qharness.toml").write_text('model = "tinycoder"\nmax-loss = 3\n')
    check = check_defaults()
    assert check.ok and check.found == f"{place / 'qharness.toml'}: model tinycoder, max-loss 3"
    (place / "qharness.toml").write_text("wrong = 1\n")
    check = check_defaults()
    assert not check.ok and "wrong is no key" in check.found and check.fix
