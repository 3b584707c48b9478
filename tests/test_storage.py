"""Files: one reader, one writer, one way a folder becomes whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qharness.errors import DiskError, QHarnessError, SamplesError
from qharness.evaluate.run.run_folder import Journal, read_lines, read_run
from qharness.report.page.report_output import make_folder
from qharness.storage.artifacts import cached_folder
from qharness.storage.atomic_writer import append_lines, whole_file, write_lines, write_text
from qharness.storage.whole_folder import new_folder
from tests.conftest import REPOSITORY

FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
from pathlib import Path
import qharness.cli as cli
from qharness.storage.{module} import {function}
cli._command = lambda: lambda **_: {function}(Path(sys.argv[1]), {rows})
cli.main()
"""


def on_a_full_disk(path: Path, function: str) -> subprocess.CompletedProcess[str]:
    code = FULL.format(module="atomic_writer", function=function, rows=[{"text": "x" * 100}])
    return subprocess.run([sys.executable, "-c", code, str(path)], cwd=REPOSITORY, capture_output=True, text=True)


def test_lone_surrogates_are_written_as_escapes(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    rows = [{"completion": "é \ud83d"}, {"completion": "\\\ud83d"}]
    write_lines(path, rows)
    assert "é \\ud83d" in path.read_text(encoding="utf-8")
    assert read_lines(path, ["completion"]) == rows
    write_text(tmp_path / "table.csv", "a,\ud83d\n")
    assert (tmp_path / "table.csv").read_text(encoding="utf-8") == "a,\\ud83d\n"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"1" * 5000, "line 2"),
        (b"[" * 100_000, "line 2"),
        (b'"\xff"', "line 2"),
        (b"\x00\x01\x02", "line 2"),
        (b"{", "line 2"),
    ],
)
def test_a_bad_line_is_named(bad: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(b'{"a": 1}\n' + bad + b"\n")
    with pytest.raises(SamplesError) as caught:
        read_lines(path, ["a"])
    assert str(path) in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


def test_a_byte_order_mark_and_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    assert read_lines(path, ["a"]) == [{"a": 1}]
    with pytest.raises(SamplesError, match="directory"):
        read_lines(tmp_path, ["a"])
    (tmp_path / "run.json").write_bytes(b"[" * 100_000)
    assert read_run(tmp_path) is None


def test_a_journal_goes_on_past_a_bad_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append([(0, 0, "sha", "first")])
    with path.open("ab") as file:
        file.write(b'{"doc_id"\n\xff\n[]\n{"doc_id": [], "sample": 0, "prompt_sha": "s", "completion": "c"}\n')
    journal.append([(1, 0, "sha", "last \ud83d")])
    with path.open("ab") as file:
        file.write(b'{"torn')
    again = Journal(path)
    again.append([(2, 0, "sha", "more")])
    expected = {(0, 0, "sha"): "first", (1, 0, "sha"): "last \ud83d", (2, 0, "sha"): "more"}
    capsys.readouterr()
    assert Journal(path).completions == expected
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{path}: 4 damaged lines are left out (the first is line 2)" in said


@pytest.mark.parametrize("function", ["write_lines", "append_lines"])
def test_a_full_disk_is_one_line(function: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n')
    ended = on_a_full_disk(path, function)
    assert ended.returncode == 2 and str(path) in ended.stderr and len(ended.stderr.splitlines()) == 1
    assert [each.name for each in tmp_path.iterdir()] == [path.name] and path.read_text().startswith('{"a": 1}\n')
    append_lines(path, [{"a": 2}])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": 1}, {"a": 2}]


def test_a_folder_is_whole_or_as_it_was(tmp_path: Path) -> None:
    output = tmp_path / "report"
    output.mkdir()
    with make_folder(output) as folder:
        (folder / "tables").mkdir()
        (folder / "tables/old.csv").write_text("old")
        (folder / "report.md").write_text("first")
    with pytest.raises(DiskError, match="report cannot be written: the disk is full"), make_folder(output) as folder:
        (folder / "report.md").write_text("second")
        raise OSError(28, "No space left on device")
    assert (output / "report.md").read_text() == "first"
    with make_folder(output) as folder:
        (folder / "report.md").write_text("third")
    assert (output / "report.md").read_text() == "third"
    assert sorted(each.name for each in output.rglob("*")) == ["report.md", "tables"]
    assert [each.name for each in tmp_path.iterdir()] == ["report"]


def test_two_processes_do_not_fill_one_folder(tmp_path: Path) -> None:
    output = tmp_path / "out"
    code = (
        "import sys; from pathlib import Path\nfrom qharness.storage.whole_folder import new_folder\n"
        "with new_folder(Path(sys.argv[1])):\n    print('in', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    ) as other:
        assert other.stdout and other.stdout.readline() == b"in\n"
        with pytest.raises(QHarnessError, match=f"process {other.pid}"), new_folder(output):
            pass
        other.communicate()
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_the_cache_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path))
    made = []

    def fill(folder: Path) -> None:
        made.append(folder)
        (folder / "a").mkdir(mode=0o700)
        (folder / "a/b").write_text("b")

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match="kind/key cannot be written: the disk is full"):
        cached_folder("kind", "key", fail)

    def fail_otherwise(folder: Path) -> None:
        (folder / "no/such/file").read_text()

    with pytest.raises(FileNotFoundError):  # what is read for it is no fault of the cache's disk
        cached_folder("kind", "key", fail_otherwise)
    assert not [*(tmp_path / "kind").iterdir()]
    folder = cached_folder("kind", "key", fill)
    assert cached_folder("kind", "key", fail) == folder == tmp_path / "kind/key" and len(made) == 1
    assert (folder / "a/b").read_text() == "b" and (folder / "a").stat().st_mode & 0o777 == 0o755


def test_of_two_that_make_a_folder_of_the_cache_the_faster_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path))

    def fill(folder: Path) -> None:
        (folder / "mine").write_text("")
        (tmp_path / "kind/key").mkdir()
        (tmp_path / "kind/key/theirs").write_text("")

    assert [path.name for path in cached_folder("kind", "key", fill).iterdir()] == ["theirs"]
    assert [path.name for path in (tmp_path / "kind").iterdir()] == ["key"]


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match=r"No space left on device: '.*/file'"), whole_file(path) as scratch:
        scratch.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    with whole_file(path) as scratch:
        scratch.write_text("new")
    assert path.read_text() == "new" and [each.name for each in tmp_path.iterdir()] == ["file"]
