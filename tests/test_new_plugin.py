"""`qharness new-plugin`: what it writes works as it stands, and what it cannot write is one line and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from qharness.cli import main
from qharness.cli.new_plugin import TEMPLATES, PluginKind

KINDS = get_args(PluginKind)
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def new_plugin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run the command in this process, in an empty folder."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["qharness", "new-plugin", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, int(end.value.code or 0), output.out, output.err)

    return run


def test_every_kind_has_templates_and_every_template_a_kind() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} == {"common", *KINDS}


@pytest.mark.long
def test_packages_of_every_kind_install_and_their_tests_pass(new_plugin: Command, tmp_path: Path) -> None:
    for kind in KINDS:
        done = new_plugin(f"my-{kind}", "--kind", kind)
        assert (done.returncode, done.stderr) == (0, "") and f"pytest qharness-my-{kind}" in done.stdout
    folders = [f"qharness-my-{kind}" for kind in KINDS]
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site)]
    installed = subprocess.run([*pip, *(f"./{name}" for name in folders)], cwd=tmp_path, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *folders],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout
    assert int(tested.stdout.splitlines()[-1].split(" passed")[0].split()[-1]) >= 20 and "skipped" not in tested.stdout


def test_a_quantizer_by_default_in_the_folder_asked_for(new_plugin: Command, tmp_path: Path) -> None:
    assert new_plugin("qharness-drop", "--output", tmp_path / "a/b").returncode == 0
    assert (tmp_path / "a/b/qharness-drop/qharness_drop/__init__.py").is_file()
    assert all("{{" not in path.read_text() for path in (tmp_path / "a/b").rglob("*.*") if path.is_file())
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["qharness-drop"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["Drop"], "'Drop' is no name"),
        (["drop_it"], "'drop_it' is no name"),
        (["drop-"], "'drop-' is no name"),
        (["../drop"], "'../drop' is no name"),
        (["4bit"], "'4bit' is no name"),
        ([""], "NAME is empty"),
        (["qharness-"], "'' is no name"),
        (["rtn"], "there is a quantizer 'rtn' already, of qharness.plugins.rtn"),
        (["humaneval", "--kind", "task"], "there is a task 'humaneval' already"),
        (["drop", "--kind", "optimizer"], "optimizer"),
        (["there"], "qharness-there is there already"),
        (["drop", "--output", "file"], "file/qharness-drop cannot be written"),
    ],
)
def test_what_cannot_be_written(new_plugin: Command, tmp_path: Path, arguments: list[str], complaint: str) -> None:
    (tmp_path / "qharness-there").mkdir()
    (tmp_path / "file").write_text("")
    done = new_plugin(*arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and complaint in done.stderr, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "qharness-there"]
