"""Phases: their pace, the line on a terminal, the lines elsewhere, and what -q and -v say."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time

import pytest

from qharness import progress
from qharness.progress import Pace, Verbosity, detail, duration, note, phase, progress_sent_to, set_verbosity


@pytest.fixture(autouse=True)
def verbosity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QHARNESS_VERBOSITY", "normal")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_pace_has_a_rate_and_the_time_left(clock: list[float]) -> None:
    pace = Pace("generate", "completions")
    assert str(pace) == "generate: 0.0 s"
    clock[0] = 10
    pace.move(20, 100)
    assert str(pace) == "generate: 20 of 100 completions, 2.0/s, 40 s left"
    clock[0] = 50
    pace.move(100, 100)
    assert pace.summary == "generate: 100 completions in 50 s (2.0/s)"


def test_what_was_done_before_does_not_count(clock: list[float]) -> None:
    pace = Pace("generate", "completions")
    clock[0] = 0.1
    pace.move(50, 100)
    clock[0] = 10.1
    assert str(pace) == "generate: 50 of 100 completions, 10 s so far"
    pace.move(60, 100)
    assert str(pace) == "generate: 60 of 100 completions, 1.0/s, 40 s left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (89, "89 s"), (150, "2 min"), (9000, "2.5 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("rate", "text"), [(32, "32/s"), (2.5, "2.5/s"), (0.5, "30/min"), (0.01, "36/h")])
def test_rates(rate: float, text: str) -> None:
    assert progress._rate_text(rate) == text


def test_lines_are_few_and_come_without_any_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_TO_FIRST_LINE", 0.05)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 60)
    with phase("load", "weights"):
        time.sleep(0.3)
    with phase("quantize", "steps") as move:
        for done in range(1, 1001):
            move(done, 1000)
        time.sleep(0.3)
    assert re.fullmatch(r"load: 0\.\d s\nquantize: 1000 of 1000 steps, 0\.\d s so far\n", capsys.readouterr().err)


def test_a_phase_within_another_is_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "_SECONDS_TO_FIRST_LINE", 0.05)
    with phase("outer"), phase("inner"):
        time.sleep(0.2)
    assert "inner" not in capsys.readouterr().err


def test_a_listener_gets_the_phase_and_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[tuple[str, int, int]] = []
    with progress_sent_to(lambda *each: heard.append(each)), phase("generate", "completions") as move:
        move(1, 2)
    assert heard == [("generate", 0, 0), ("generate", 1, 2)]
    assert capsys.readouterr().err == ""


def test_quiet_and_verbose(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "_SECONDS_TO_FIRST_LINE", 0.02)
    for chosen, said in ((Verbosity.QUIET, ""), (Verbosity.NORMAL, "a"), (Verbosity.VERBOSE, "ab")):
        set_verbosity(chosen)
        note("a")
        detail("b")
        with phase("execute", "programs") as move:
            move(3, 3)
            time.sleep(0.1 if chosen is Verbosity.QUIET else 0)
        lines = capsys.readouterr().err.split("\n")
        assert "".join(line for line in lines if len(line) == 1) == said
        assert any(line.startswith("execute: 3 programs in ") for line in lines) == (chosen is Verbosity.VERBOSE)
        assert any("of 3" in line for line in lines) is False


ON_A_TERMINAL = """
import time
from qharness.progress import note, phase
with phase("generate", "completions") as move:
    for done in range(8):
        move(done, 8)
        time.sleep(0.1)
    note("in between")
"""


def test_on_a_terminal_one_line_is_redrawn_and_is_gone_at_the_end() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL], stderr=theirs, env={**os.environ, "COLUMNS": "80"}
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    text = written.decode()
    assert re.search(r"\d of 8 completions, [\d.]+/s, [\d.]+ s left", text)
    assert text.count("\n") <= 3  # redrawn in place
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.rpartition("\x1b[2K")[2])
    assert "generate" not in plain and "in between" in text
