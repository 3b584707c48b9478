"""`--help`, its groups and examples; what a shell completes; -q and -v; what stands above an error."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from qharness.cli import app
from qharness.cli.completion import complete_task
from qharness.cli.examples import EXAMPLES
from qharness.models.presets import PRESETS

Cli = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
OURS = [name for name in COMMANDS if name != "lm-eval"]
GROUPS = ("Task", "Model", "Sampling", "Verdict", "Sandbox", "Output")


@pytest.mark.parametrize("name", OURS)
def test_names_are_whole_in_eighty_columns_and_examples_stand_below(name: str) -> None:
    shown = help_of(name)
    for option in (*COMMANDS[name].params,):
        if option.param_type_name == "option" and not option.hidden:
            assert all(re.search(rf"{flag}(?![\w-])", shown) for flag in option.opts), (option.opts, shown)
    assert "…" not in shown
    assert "-q" in shown and "-v" in shown
    folded = " ".join(shown.split())
    assert all(" ".join(each.split()) in folded for each in EXAMPLES[name])


def test_the_options_of_run_are_in_groups() -> None:
    shown = help_of("run")
    places = [shown.index(f"─ {group} ─") for group in GROUPS]
    assert places == sorted(places) and "─ Options ─" not in shown
    assert shown.index("--max-loss") > shown.index("─ Verdict ─") > shown.index("--temperature")


def test_every_command_has_two_examples_that_parse() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    for name, examples in EXAMPLES.items():
        for example in examples:
            program, command, *words = shlex.split(example)
            assert (program, command) == ("qharness", name)
            if name != "lm-eval":
                COMMANDS[name].make_context(name, words)


def completed(line: str) -> list[str]:
    """What bash offers at the end of a line."""
    place = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = CliRunner().invoke(app, prog_name="qharness", env={"_QHARNESS_COMPLETE": "complete_bash", **place})
    return done.stdout.split()


def help_of(name: str) -> str:
    """A command's `--help` in a terminal of eighty columns."""
    return CliRunner().invoke(app, [name, "--help"], prog_name="qharness", env={"COLUMNS": "80"}).stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("qharness ch", {"choose"}),
        ("qharness run --quant int8", {"int8-dynamic", "int8-static"}),
        ("qharness choose --quant rt", {"rtn"}),
        ("qharness run --calib std", {"stdlib"}),
        ("qharness run --task tiny-", {"tiny-python", "tiny-java", "tiny-summary"}),
        ("qharness run --max-", {"--max-loss", "--max-new-tokens"}),
        ("qharness run --model tinyc", {"tinycoder"}),
        ("qharness list qua", {"quantizers"}),
        ("qharness run --qu", {"--quant", "--quiet"}),
    ],
)
def test_a_shell_completes(line: str, offered: set[str]) -> None:
    assert set(completed(line)) == offered


def test_a_shell_completes_presets_and_perturbed_tasks() -> None:
    assert set(PRESETS) < set(completed("qharness run --model "))
    assert "tiny-python@word" in complete_task("tiny-python@wo")
    assert "tiny-python@char+word" in complete_task("tiny-python@char+w")


@pytest.mark.long
def test_a_command_completes_without_torch(cli: Cli) -> None:
    """As a shell asks, of the whole program."""
    done = cli(_QHARNESS_COMPLETE="complete_bash", COMP_WORDS="qharness run --task tiny-p", COMP_CWORD="3")
    assert done.returncode == 0 and done.stdout.split() == ["tiny-python"]


@pytest.mark.parametrize("words", [["-q", "score"], ["score", "-q"]])
def test_quiet_leaves_the_answer_alone(words: list[str], cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"task_id": "Python/add", "completion": "    return a + b"}\n')
    done = cli(*words, "--task", "warmup-python", "--samples", path, QHARNESS_NO_CACHE="1")
    assert done.returncode == 0 and done.stderr == "" and "100.0%" in done.stdout
    assert "QHARNESS_VERBOSITY" not in os.environ


@pytest.mark.parametrize("words", [["score", "--verbose"]])
def test_verbose_says_how_long_phases_took(words: list[str], cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"task_id": "Python/add", "completion": "    return a + b"}\n')
    done = cli(*words, "--task", "warmup-python", "--samples", path, QHARNESS_NO_CACHE="1")
    assert re.search(r"^execute: 1 programs in [\d.]+ s", done.stderr, re.MULTILINE), done.stderr


@pytest.mark.parametrize("words", [[], ["-v"]])
def test_an_error_stands_alone(words: list[str], cli: Cli) -> None:
    """Without --model, the note on the bundled model comes with the answer, and not above an error."""
    done = cli("run", "--task", "humanevil", *words)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [done.stderr.strip()]
    assert done.stderr.startswith("qharness: unknown task 'humanevil'")
