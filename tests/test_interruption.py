"""Ctrl-C and SIGTERM: real processes end with one line that says what is kept, and the same command goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from qharness.cli.interruption import StoppedCommand, TerminatedError, sigterm_interrupts
from qharness.progress import kept_when_stopped
from tests.conftest import still_running

QHARNESS = str(Path(sys.executable).with_name("qharness"))
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def stopped(
    number: signal.Signals,
    when: str,
    arguments: Sequence[object],
    folder: Path,
    ready: Callable[[], object] = lambda: True,
) -> str:
    """Start a command, signal it once it has written what matches `when` and is `ready`, and return its last line."""
    process = subprocess.Popen(
        [QHARNESS, *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "QHARNESS_CACHE_DIR": str(folder / "cache"), "QHARNESS_VERBOSITY": "verbose"},
    )
    assert process.stderr
    seen = ""
    for line in process.stderr:
        seen += line
        if re.search(when, line):
            break
    else:
        raise AssertionError(f"it ended with {process.wait()}: {seen}")
    while not ready():
        assert process.poll() is None
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == STATUS[number], seen + rest
    assert "Traceback" not in rest, rest
    assert not still_running(children)
    return rest.splitlines()[-1]


def test_the_notes_of_an_interruption_are_told_inner_first() -> None:
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        kept_when_stopped(lambda: "2 of 3 runs done"),
        kept_when_stopped(lambda: ""),
        kept_when_stopped(lambda: "5 of 9 completions are kept in r"),
    ):
        raise KeyboardInterrupt
    told = StoppedCommand(caught.value)
    assert (
        told.line == "stopped: 5 of 9 completions are kept in r; 2 of 3 runs done; the same command goes on from there"
    )
    assert told.status == 130
    assert StoppedCommand(TerminatedError()).status == 143
    assert "nothing is kept: the same command begins again" in StoppedCommand(KeyboardInterrupt()).line


def test_sigterm_goes_the_way_of_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.long
@pytest.mark.parametrize("number", STATUS)
def test_a_run_says_what_is_kept_and_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    command = ["run", "--task", "tiny-python", "--quant", "rtn:3", "--no-baseline", "--limit", 2, "--samples", 20]
    command += ["--batch-size", 4]  # so that completions are written as they come

    def begun() -> bool:
        return any(path.stat().st_size for path in tmp_path.glob("runs/*/journal.jsonl"))

    line = stopped(number, "running rtn:3", command, tmp_path, begun)
    found = re.fullmatch(
        r"qharness: stopped: (\d+) of 40 completions of rtn:3 on tiny-python are kept in (runs/\S+); "
        r"the same command goes on from there",
        line,
    )
    assert found, line
    journal = tmp_path / found[2] / "journal.jsonl"
    kept = set(journal.read_text().splitlines()) if journal.exists() else set()
    assert len(kept) == int(found[1]) > 0
    if number is signal.SIGTERM:
        done = subprocess.run([QHARNESS, *map(str, command), "--json"], cwd=tmp_path, capture_output=True, text=True)
        document = json.loads(done.stdout)
        assert document["timings"]["completions"] == 40 - len(kept)  # the rest alone was made


@pytest.mark.slow
def test_a_study_says_how_many_jobs_are_done(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('quants = ["none", "rtn:3"]\ntasks = ["tiny-python"]\nlimit = 2\nsamples = 20\n')
    line = stopped(signal.SIGTERM, "running rtn:3", ["study", "s.toml"], tmp_path)
    assert line.startswith("qharness: stopped: 1 of 2 jobs are done, and completions of the others are kept")


@pytest.mark.slow
def test_a_search_says_what_is_judged(tmp_path: Path) -> None:
    command = ["choose", "--task", "tiny-python", "--quant", "rtn:3", "rtn:4", "--samples", 2]
    line = stopped(signal.SIGINT, "64 of 200 pairs", command, tmp_path)
    assert re.match(r"qharness: stopped: \d of 2 candidates are judged, and \d+ completions are kept in runs;", line)


@pytest.mark.slow
def test_a_quantization_says_which_blocks_are_kept(tmp_path: Path) -> None:
    command = ["quantize", "--quant", "aqlm:2,finetune=none", "--output", "q"]
    line = stopped(signal.SIGTERM, "block 1 of 4", command, tmp_path)
    assert re.match(r"qharness: stopped: aqlm: [123] of 4 blocks are kept in \S+; the same command goes on", line)
    assert not (tmp_path / "q").exists() and not list(tmp_path.glob(".q*"))
    done = subprocess.run(
        [QHARNESS, *command, "-v"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "QHARNESS_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.returncode == 0 and "block 1 of 4 was done before" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", STATUS)
def test_a_profile_keeps_nothing_and_leaves_no_process(number: signal.Signals, tmp_path: Path) -> None:
    line = stopped(number, "profiling", ["profile", "--quant", "rtn:3", "--repeats", 50], tmp_path)
    assert line == "qharness: stopped: nothing is kept: the same command begins again"
