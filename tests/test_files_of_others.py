"""Files as they come: byte order marks, lone surrogates, damaged lines, and disks that take no more."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qharness import SamplesError
from qharness.evaluate.run.run_folder import Journal, read_lines, read_run
from qharness.storage.atomic_writer import write_lines
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]

TASK = ("score", "--task", "tiny-python")


def sample(completion: str = "    return 0\n") -> str:
    return json.dumps({"task_id": "tiny-python/held-out/0", "completion": completion})


def test_a_lone_surrogate_loses_no_verdict(in_process: Cli, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(sample("    return '\ud83d'\n") + "\n" + sample() + "\n")
    done = in_process(*TASK, "--samples", tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["n_samples"] == 2, done
    rows = read_lines(tmp_path / "out.jsonl", ("completion", "status"))
    assert rows[0]["completion"] == "    return '\ud83d'\n" and len(rows) == 2


def test_a_byte_order_mark_is_no_mistake(in_process: Cli, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + sample().encode() + b"\n")
    assert in_process(*TASK, "--samples", tmp_path / "in.jsonl").returncode == 0


@pytest.mark.parametrize(
    "line",
    [b"9" * 5000, b"[" * 100_000, b'{"task_id": ' * 500, b"\xff\xfe\x00", b"{", b"null", b"\x00\x01\x02", b"[]"],
    ids=["digits", "brackets", "objects", "utf-16", "open", "null", "binary", "list"],
)
def test_what_is_no_sample_is_one_line(in_process: Cli, tmp_path: Path, line: bytes) -> None:
    (tmp_path / "in.jsonl").write_bytes(sample().encode() + b"\n" + line + b"\n")
    done = in_process(*TASK, "--samples", tmp_path / "in.jsonl")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done
    assert "in.jsonl" in done.stderr


def test_a_damaged_line_of_a_journal_costs_its_completion_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append([(0, 0, "sha", "one"), (1, 0, "sha", "two")])
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_bytes(lines[0] + b'{"doc_id": 3, "sam\n\xff\xfe\n[]\n' + lines[1] + b'{"torn')
    assert Journal(tmp_path / "journal.jsonl").completions == {(0, 0, "sha"): "one", (1, 0, "sha"): "two"}
    assert "3 damaged lines" in capsys.readouterr().err


def test_a_run_that_cannot_be_read_is_no_run(tmp_path: Path) -> None:
    for content in (b"\xff", b"[" * 100_000, b"[]", b'{"a": ' + b"9" * 5000 + b"}"):
        (tmp_path / "run.json").write_bytes(content)
        assert read_run(tmp_path) is None
    with pytest.raises(SamplesError, match="cannot be read"):
        read_lines(tmp_path, ())


def test_lines_are_written_whole(tmp_path: Path) -> None:
    write_lines(tmp_path / "x.jsonl", [{"text": "\ud800"}])
    assert json.loads((tmp_path / "x.jsonl").read_bytes()) == {"text": "\ud800"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KB; skips where none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs a disk to fill: only root mounts one")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.long
def test_a_full_disk_is_one_line_and_loses_no_figure(in_process: Cli, tmp_path: Path, small_disk: Path) -> None:
    lines = [sample(f"    return {number}\n" + "    # long\n" * 600) for number in range(20)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    done = in_process(*TASK, "--samples", tmp_path / "in.jsonl", "--output", small_disk / "out.jsonl", "--json")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done
    assert "out.jsonl cannot be written: the disk is full" in done.stderr.splitlines()[-1]
    assert json.loads(done.stdout)["n_samples"] == 20
    assert not [*small_disk.iterdir()]
    run = in_process("run", "--task", "tiny-python", "--limit", "60", "--no-baseline", "--output", small_disk / "runs")
    assert run.returncode == 2 and "the disk is full" in run.stderr.splitlines()[-1], run
    report = in_process("report", small_disk / "runs", "--output", small_disk / "report")
    assert report.returncode == 2 and "Traceback" not in report.stderr, report
