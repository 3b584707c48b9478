"""Every option and argument of every command, with values that none can mean: exit code 2, and one line that names it."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.models import ArgumentInfo

from qharness.bounds import BOUNDS
from qharness.cli import app
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]
NUMBERS = ("nan", "inf", "-inf", "-1", "1" + "0" * 30, "9" * 5000, "x", "0.5.0", "")
OPTIONS: dict[str, dict[str, str]] = {
    "run": {"--task": "warmup-python", "--output": "OUT"},
    "choose": {"--task": "warmup-python", "--quant": "rtn:3", "--output": "OUT"},
    "quantize": {"--output": "OUT"},
    "score": {"--task": "warmup-python", "--samples": "no.jsonl"},
    "export": {"--format": "human-eval", "--output": "OUT"},
    "compare": {},
    "study": {"--output": "OUT", "--workers": "1"},
    "runs": {},
    "report": {"--output": "OUT"},
    "footprint": {"--quant": "none"},
    "profile": {"--latency": "1"},
    "noise": {"--quant": "rtn:3"},
    "perturb": {"--task": "tiny-python", "--perturb": "char", "--output": "OUT.yaml"},
    "cache": {},
    "doctor": {},
    "setup": {},
    "list": {},
    "new-plugin": {"--output": "OUT"},
}
"""What each command is given besides, so that the value in question is all that is wrong with it."""
ARGUMENTS = {
    "export": {"run": "no-run"},
    "compare": {"run_a": "no-run", "run_b": "no-run"},
    "study": {"file": "STUDY"},
    "report": {"folders": "no-run"},
    "runs": {"folder": "no-run"},
    "cache": {"action": "rm"},
    "new-plugin": {"name": "some-name"},
    "setup": {"tasks": "no-task"},
}
FLAGS = {"study": ("--dry-run",)}
ANY_NAME = {("report", "title"), ("study", "ray_address"), ("study", "output"), ("new-plugin", "name")}
"""What takes any text, or nearly."""
SLOW = {("run", "task"), ("run", "more_tasks"), ("score", "task"), ("choose", "task")}
"""Where lm-eval's own index is built, for an unknown task."""


def parameters() -> Iterator[tuple[str, str, tuple[type, ...], bool]]:
    """(command, parameter, what it is made of, whether it is an option) of all but flags, choices and lm-eval's own."""
    for command in app.registered_commands:
        if command.name == "lm-eval":
            continue
        for name, hint in typing.get_type_hints(command.callback, include_extras=True).items():
            if name == "return":
                continue
            kind, *metadata = typing.get_args(hint)
            kinds = tuple(_kinds(kind))
            if kinds and kinds != (bool,):
                yield str(command.name), name, kinds, not any(isinstance(each, ArgumentInfo) for each in metadata)


def _kinds(hint: Any) -> Iterator[type]:
    """The types in a hint such as `list[int] | None`, of those that a value is made of."""
    if hint in (int, float, str, bool, Path):
        yield hint
    for each in typing.get_args(hint):
        if isinstance(each, type) or typing.get_origin(each):
            yield from _kinds(each)


NUMERIC = [each for each in parameters() if set(each[2]) & {int, float} or each[:2] == ("run", "batch_size")]
TEXTS = [each for each in parameters() if set(each[2]) & {str, Path} and each[:2] != ("run", "batch_size")]


def ident(parameter: tuple[str, str, tuple[type, ...], bool]) -> str:
    return f"{parameter[0]} {parameter[1]}"


def ask(run: Cli, folder: Path, command: str, name: str, value: str, *, option: bool) -> Any:
    """The command with this value for one parameter."""
    (folder / "study.toml").write_text('tasks = ["warmup-python"]\nmodels = ["/no/such/model"]\n')
    options, arguments = dict(OPTIONS[command]), dict(ARGUMENTS.get(command, {}))
    if option:
        options[f"--{name.replace('_', '-')}"] = value
    else:
        arguments[name] = value
    places = {"OUT": folder / "out", "OUT.yaml": folder / "out.yaml", "STUDY": folder / "study.toml"}
    words = [*arguments.values(), *(f"{flag}={places.get(text, text)}" for flag, text in options.items())]
    return run(command, *FLAGS.get(command, ()), *[str(places.get(word, word)) for word in words])


def refused(done: Any, *parts: str) -> None:
    assert done.returncode == 2, (done.returncode, done.stderr[-400:])
    assert "Traceback" not in done.stderr and done.stdout == ""
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("qharness: "), said
    assert any(part in said for part in parts), said


@pytest.mark.parametrize(("command", "name"), [each[:2] for each in NUMERIC], ids=map(ident, NUMERIC))
def test_a_number_that_no_option_takes(command: str, name: str, in_process: Cli, tmp_path: Path) -> None:
    assert name in BOUNDS, "each numeric option has a row in the table"
    bound = BOUNDS[name]
    for value in (*NUMBERS, *([] if bound.complaint(0) == "" else ["0"])):
        refused(ask(in_process, tmp_path, command, name, value, option=True), f"--{name.replace('_', '-')}")
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


@pytest.mark.parametrize(("command", "name", "kinds", "option"), TEXTS, ids=map(ident, TEXTS))
def test_a_text_that_no_option_takes(
    command: str, name: str, kinds: tuple[type, ...], option: bool, in_process: Cli, tmp_path: Path
) -> None:
    called = f"--{name.replace('_', '-')}" if option else name.removesuffix("_").upper()
    refused(ask(in_process, tmp_path, command, name, "", option=option), called)
    if Path in kinds:
        refused(ask(in_process, tmp_path, command, name, "a" * 300, option=option), called)
    elif (command, name) not in SLOW:
        for value in ("nan", "a" * 300, "a/" * 3000, "€:=,"):
            done = ask(in_process, tmp_path, command, name, value, option=option)
            if (command, name) in ANY_NAME:
                assert done.returncode in (0, 1, 2) and "Traceback" not in done.stderr, done.stderr
            else:
                refused(done, "")


def test_every_command_is_asked() -> None:
    names = {str(command.name) for command in app.registered_commands} - {"lm-eval"}
    assert names == set(OPTIONS)
    assert len(NUMERIC) >= 19 and len(TEXTS) >= 40
