"""Disks that fill up in the middle of each command: one line, nothing half written, and the next try goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qharness import RunSpec, SandboxError, run
from qharness.evaluate.run.run_folder import read_lines
from qharness.registry import get_registry
from tests.conftest import REPOSITORY
from tests.report_runs import discordant, with_passes, write_run
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]

FULL = "cannot be written: the disk is full; make room and run the command again"


class Disk:
    """A disk of its own, of few kilobytes until it is told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", folder], capture_output=True).returncode:
            pytest.skip("needs a disk to fill: only root mounts one")

    def grow(self) -> None:
        subprocess.run(["mount", "-o", "remount,size=64m", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    try:
        yield made
    finally:
        subprocess.run(["umount", made.folder], check=True)


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    for part in parts:
        assert part in done.stderr.splitlines()[-1], done.stderr


@pytest.mark.long
def test_a_run_goes_on_once_there_is_room(in_process: Cli, random_llama: Path, disk: Disk, tmp_path: Path) -> None:
    few = {"samples": 6, "temperature": 1.0, "max_new_tokens": 60, "limit": 10, "batch_size": 6, "compare": False}
    arguments = ("--samples", 6, "--temperature", 1.0, "--max-new-tokens", 60, "--limit", 10, "--batch-size", 6)
    command = ("run", "--task", "tiny-python", "--model", random_llama, *arguments, "--output", disk.folder / "runs")
    (disk.folder / "filling").write_bytes(bytes(36 << 10))
    refused(in_process(*command), FULL, "journal.jsonl")
    (folder,) = (disk.folder / "runs").iterdir()
    made = (folder / "journal.jsonl").read_bytes()
    whole = made[: made.rindex(b"\n") + 1]
    assert whole and not (folder / "run.json").exists()
    disk.grow()
    assert in_process(*command).returncode == 0
    assert (folder / "journal.jsonl").read_bytes().startswith(whole)
    other = run(RunSpec("tiny-python", str(random_llama), output=tmp_path / "other", **few))
    rows = [read_lines(place / "samples.jsonl", ["completion"]) for place in (folder, other.folder)]
    assert [row["completion"] for row in rows[0]] == [row["completion"] for row in rows[1]]


def test_a_checkpoint_is_written_whole_or_not_at_all(in_process: Cli, random_llama: Path, disk: Disk) -> None:
    command = ("quantize", "--model", random_llama, "--quant", "rtn:3", "--output")
    refused(in_process(*command, disk.folder / "q"), f"--output {disk.folder / 'q'} {FULL}")
    assert not [*disk.folder.iterdir()]
    refused(in_process(*command, disk.folder), FULL)  # a folder that is there already is filled, not replaced
    assert not [*disk.folder.iterdir()]
    disk.grow()
    assert in_process(*command, disk.folder).returncode == 0
    assert (disk.folder / "config.json").is_file() and not [*disk.folder.glob(".*")]


def test_a_report_leaves_the_one_before_or_nothing(in_process: Cli, disk: Disk, tmp_path: Path) -> None:
    passes = with_passes(10, 10, 2)
    base = write_run(tmp_path / "runs", RunSpec("tiny-python", "m"), passes)
    write_run(tmp_path / "runs", RunSpec("tiny-python", "m", "rtn:3"), discordant(passes, 4, 1), baseline=base)
    output = disk.folder / "report"
    refused(in_process("report", tmp_path / "runs", "--output", output), f"--output {output} {FULL}")
    assert not [*disk.folder.iterdir()]
    disk.grow()
    assert in_process("report", tmp_path / "runs", "--output", output, "--title", "First").returncode == 0
    with (disk.folder / "all the rest").open("ab", buffering=0) as rest, pytest.raises(OSError, match="No space"):
        while True:
            rest.write(bytes(1 << 16))
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    refused(in_process("report", tmp_path / "runs", "--output", output, "--title", "Second"), FULL)
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_a_report_in_folders_that_are_empty(in_process: Cli, tmp_path: Path) -> None:
    """What a report that was not finished may have left."""
    write_run(tmp_path / "runs", RunSpec("tiny-python", "m"), with_passes(2, 4, 1))
    for name in ("tables", "figures"):
        (tmp_path / "report" / name).mkdir(parents=True)
    assert in_process("report", tmp_path / "runs", "--output", tmp_path / "report").returncode == 0
    (tmp_path / "other/figures").mkdir(parents=True)
    (tmp_path / "other/figures/mine.png").write_text("not of a report")
    refused(in_process("report", tmp_path / "runs", "--output", tmp_path / "other"), "holds something else")
    assert (tmp_path / "other/figures/mine.png").exists()


def test_verdicts_stand_where_they_cannot_be_kept(
    in_process: Cli, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(disk.folder))
    sample = {"task_id": "tiny-python/held-out/0"}
    rows = [{**sample, "completion": f"    raise ValueError('{number:02}' * 100)\n"} for number in range(80)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = in_process("score", "--task", "tiny-python", "--samples", tmp_path / "in.jsonl", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["n_samples"] == 80
    assert "the verdicts could not be cached for other runs" in done.stderr
    (disk.folder / "verdicts/verdicts.sqlite").write_bytes(b"no database " * 100)
    again = in_process("score", "--task", "tiny-python", "--samples", tmp_path / "in.jsonl", "--json")
    assert again.returncode == 0 and "verdicts" in again.stderr


@pytest.mark.long
def test_javas_harness_is_compiled_or_named(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("javac"):
        pytest.skip("needs a JDK")
    from qharness.plugins.languages import java

    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(disk.folder))
    java._compiled_harness.cache_clear()
    language = get_registry().language("java")
    try:
        with pytest.raises(SandboxError, match=r"toolchains/java-\w+ cannot be written: .*QHARNESS_CACHE_DIR"):
            language.toolchain(language.limits)
        assert not [*(disk.folder / "toolchains").iterdir()]
        disk.grow()
        assert language.toolchain(language.limits).command
    finally:
        java._compiled_harness.cache_clear()


def test_a_block_of_a_quantization_is_named(disk: Disk) -> None:
    import torch

    from qharness.plugins.aqlm.block_progress import PartCache

    finished, part = PartCache(disk.folder / "aqlm"), {"codes": torch.zeros(100_000)}
    with pytest.raises(OSError, match=r"No space left on device.*block-0000\.safetensors"):
        finished.write("block-0000", part)
    assert not [*finished.folder.iterdir()]
    disk.grow()
    finished.write("block-0000", part)
    assert finished.read("block-0000") is not None


def test_a_quantized_model_that_fits_nowhere_is_said_to_be_lost(
    in_process: Cli, random_llama: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qharness.quantization import quantized_models as store

    monkeypatch.setattr(store, "CACHED_FROM_S", 0.0)
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(disk.folder / "cache"))
    command = ("quantize", "--model", random_llama, "--quant", "rtn:3", "--output", disk.folder / "q")
    done = in_process(*command)
    refused(done, f"--output {disk.folder / 'q'} cannot be written: the disk is full; the quantized model is lost")
    assert "could not be cached for other runs" in done.stderr and "what is finished is kept" not in done.stderr
    assert not [*(disk.folder / "cache/quantized").iterdir()] and not (disk.folder / "q").exists()
    disk.grow()
    assert in_process(*command).returncode == 0


def test_a_plugin_and_standard_output(in_process: Cli, disk: Disk, tmp_path: Path) -> None:
    (disk.folder / "filling").write_bytes(bytes(40 * 1024))
    refused(in_process("new-plugin", "mine", "--output", disk.folder), FULL)
    assert [path.name for path in disk.folder.iterdir()] == ["filling"]
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "qharness", "list", "quantizers"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert done.returncode == 2 and FULL in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
