"""Files that are damaged, or not what they are taken for: one line that names them, and never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qharness
from qharness import QHarnessError, RunSpec, SamplesError, StudyError
from qharness.evaluate.interchange.sample_formats import FORMATS
from qharness.evaluate.interchange.samples import read_samples
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.evaluate.run.run_folder import read_lines
from qharness.hosting.instances import read_instances
from qharness.quantization.quantized_artifacts import quantized_dir
from qharness.quantization.quantized_models import Models
from qharness.storage.artifacts import Artifact
from qharness.storage.atomic_writer import write_lines
from qharness.storage.json_reader import MAX_DEPTH, JsonError, parse_json
from qharness.storage.whole_folder import new_folder
from qharness.study.study_file import read_study
from tests.asked import resolved
from tests.conftest import REPOSITORY
from tests.report_runs import with_passes, write_run
from tests.test_cli import Cli, in_process, one_line

__all__ = ["in_process"]

GARBAGE = {
    "binary": b"\x00\xff\x80\x81",
    "torn": b'{"spec": {"task": "tiny-py',
    "list": b"[]",
    "digits": b"9" * 5000,
    "brackets": b"[" * 100_000,
    "deep": b'{"spec": ' * 300 + b"1" + b"}" * 300,
    "spec": b'{"spec": []}',
}


@pytest.fixture
def two_runs(tmp_path: Path) -> tuple[Path, Path]:
    passes = with_passes(4, 8, 1)
    specs = (RunSpec("tiny-python", "m"), RunSpec("tiny-python", "m", "rtn:3"))
    first, second = (write_run(tmp_path / "runs", spec, passes) for spec in specs)
    return first, second


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_run_json_that_is_none(content: bytes, in_process: Cli, two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = two_runs
    (second / "run.json").write_bytes(content)
    one_line(in_process("compare", first, second), str(second / "run.json"))
    done = in_process("report", first.parent, "--output", tmp_path / "report")
    assert done.returncode == 0 and str(second / "run.json") in done.stderr, done


@pytest.mark.parametrize(
    ("field", "value"),
    [("doc_id", "0"), ("doc_id", True), ("task", 1), ("sample", None), ("passed", "yes"), ("completion", [])],
)
def test_a_field_of_another_type(
    field: str, value: Any, in_process: Cli, two_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = two_runs
    rows = read_lines(second / "samples.jsonl", [])
    rows[2][field] = value
    write_lines(second / "samples.jsonl", rows)
    one_line(in_process("compare", first, second), f"samples.jsonl, line 3: {field!r} is no")


def test_folders_where_files_are_asked_for(in_process: Cli, two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = two_runs
    (second / "samples.jsonl").unlink()
    one_line(in_process("compare", first, second), "samples.jsonl")
    (second / "samples.jsonl").mkdir()
    one_line(in_process("compare", first, second), "samples.jsonl")
    one_line(in_process("study", tmp_path), "cannot be read: Is a directory")
    one_line(in_process("score", "--task", "tiny-python", "--samples", tmp_path / "none.jsonl"), "none.jsonl")


def test_what_may_not_be_read(in_process: Cli, two_runs: tuple[Path, Path]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    first, second = two_runs
    (second / "samples.jsonl").chmod(0)
    one_line(in_process("compare", first, second), "samples.jsonl cannot be read: Permission denied")


@pytest.mark.parametrize(
    "content",
    [b"a = " + b"9" * 5000, b"a = " + b"[" * 5000, b"\xff\x80", b"a = 1\na = 2", b"tasks = ["],
    ids=["digits", "brackets", "binary", "twice", "open"],
)
def test_toml_that_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    for read, error in ((read_study, StudyError), (read_instances, QHarnessError)):
        with pytest.raises(error, match=r"a\.toml") as raised:
            read(tmp_path / "a.toml")
        assert "\n" not in str(raised.value)


def test_toml_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b'\xef\xbb\xbftasks = ["tiny-python"]\n')
    assert read_study(tmp_path / "a.toml").specs(tmp_path)[0].task == "tiny-python"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_what_they_are(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"completion": "é\u2028→"}\r\n{"completion": ""}\r\n'.encode(encoding))
    assert [row["completion"] for row in read_lines(tmp_path / "a.jsonl", ["completion"])] == ["é\u2028→", ""]


def test_depth() -> None:
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    with pytest.raises(JsonError, match="levels of brackets"):
        parse_json("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


# ------------------------------------------------------------------------------------------------- whatever lines come

TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates among them
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just(10**4400)
IDS = st.sampled_from(["tiny-python/held-out/0", "tiny-python/held-out/1"]) | TEXTS
NAMES = st.sampled_from(
    ["task_id", "completion", "solution", "name", "results", "doc_id", "doc", "resps", "filter", "program", "passed"]
)
VALUES = st.recursive(
    SCALARS | IDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5)
)
SAMPLE = st.fixed_dictionaries({"task_id": IDS, "completion": TEXTS}) | st.dictionaries(NAMES, VALUES, min_size=2)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line of JSON, sometimes torn or of bytes; numbers of too many digits among them."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        text = json.dumps(draw(SAMPLE | VALUES), ensure_ascii=draw(st.booleans()))
    finally:
        sys.set_int_max_str_digits(before)
    content = text.encode("utf-8", "surrogatepass")
    return draw(st.sampled_from([content, content, content, content[: len(content) // 2], b"\xff" + content, b"\x00"]))


@settings(max_examples=150)
@given(st.lists(lines(), max_size=4), st.sampled_from([".jsonl", ".json", ".results.json.gz"]))
def test_score_reads_samples_or_says_what_is_wrong_in_one_line(content: list[bytes], suffix: str) -> None:
    docs = {doc["task_id"]: doc for task in load().values() for doc in task.eval_docs}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{suffix}")
        path.write_bytes(b"\n".join(content))
        try:
            found = read_samples(path, FORMATS, docs, "tiny-python")
        except SamplesError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            return
        rows = [{**sample.row, "passed": True} for sample in found]
        write_lines(Path(folder, "verdicts.jsonl"), rows)
        assert len(read_lines(Path(folder, "verdicts.jsonl"), ["passed"])) == len(found)


def load(found: dict[str, Any] = {}) -> dict[str, Any]:  # noqa: B006 - loaded once
    found.update(found or load_task("tiny-python").tasks)
    return found


def test_surrogates_in_a_report(two_runs: tuple[Path, Path], in_process: Cli, tmp_path: Path) -> None:
    rows = read_lines(two_runs[1] / "samples.jsonl", [])
    for row in rows:
        row |= {"completion": "\ud83d", "detail": "\udc80", "level": "\ud800", "task_id": "x\udfff"}
    for folder in two_runs:
        write_lines(folder / "samples.jsonl", rows)
    done = in_process("report", two_runs[0].parent, "--output", tmp_path / "report")
    assert done.returncode == 0, done
    for path in (tmp_path / "report").rglob("*.[chmt]*"):
        path.read_text(encoding="utf-8")
    assert in_process("compare", *two_runs).returncode == 0


# -------------------------------------------------------------------------------------------------- caches and folders


def test_a_damaged_model_of_the_cache_is_made_again(
    random_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    spec = resolved(str(random_llama), "rtn:2")
    Models(cached_from_s=0.0).get(spec)
    (folder,) = quantized_dir().iterdir()
    for name in ("model.safetensors", "about.json"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        capsys.readouterr()
        Models(cached_from_s=0.0).get(spec)
        assert f"{folder} cannot be read and is made again" in capsys.readouterr().err
        Models().get(spec)
        assert "quantized before" in capsys.readouterr().err
    (folder / "about.json").write_bytes(b"{")
    from qharness.cli.cache import cache

    cache("ls")
    assert "damaged: made again" in capsys.readouterr().out
    assert [path.name for path in quantized_dir().iterdir()] == [folder.name]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\nfrom qharness.storage.artifacts import Artifact\n"
        "with Artifact(Path(sys.argv[1])).writing({}) as folder:\n"
        "    (folder / 'weights').write_bytes(bytes(9)); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path / "kind/key"], cwd=REPOSITORY)
    assert killed.returncode == -signal.SIGKILL and len([*(tmp_path / "kind").iterdir()]) == 1
    with Artifact(tmp_path / "kind/key").writing({"what": "this"}):
        pass
    assert [path.name for path in (tmp_path / "kind").iterdir()] == ["key"]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    for output in (tmp_path / "new", tmp_path / "there"):
        with pytest.raises(KeyboardInterrupt), new_folder(output) as folder:
            (folder / "config.json").write_text("{}")
            raise KeyboardInterrupt
        (tmp_path / "there").mkdir(exist_ok=True)
    assert [*tmp_path.rglob("*")] == [tmp_path / "there"]


def test_what_is_computed_inside_keeps_its_own_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "out"):
        (tmp_path / "nowhere").read_text()
    with pytest.raises(qharness.ModelError), new_folder(tmp_path / "out"):
        raise qharness.ModelError("that model")
    assert not [*tmp_path.iterdir()]


TWO = """
import os, sys
import qharness.cli, qharness.quantization.checkpoint_export, qharness.report  # once, and not in each
children = []
for words in sys.argv[1:]:
    child = os.fork()
    if not child:
        sys.argv = ["qharness", *words.split("\\n")]
        qharness.cli.main()
    children.append(child)
print(*[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


@pytest.mark.slow
def test_two_at_once_into_one_folder(
    random_llama: Path, two_runs: tuple[Path, Path], in_process: Cli, tmp_path: Path
) -> None:
    """Two that quantize: the second is told of the first. Two that report: it waits for it."""
    quantize = ("quantize", "--model", random_llama, "--output", tmp_path / "q", "--quant")
    report = ("report", two_runs[0].parent, "--output", tmp_path / "out", "--title")
    commands = ((*quantize, "rtn:3"), (*quantize, "rtn:4"), (*report, "First"), (*report, "Second"))
    done = subprocess.run(
        [sys.executable, "-c", TWO, *("\n".join(map(str, command)) for command in commands)],
        capture_output=True, text=True, cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    codes = [int(code) for code in done.stdout.splitlines()[-1].split()]
    assert sorted(codes[:2]) == [0, 2] and codes[2:] == [0, 0], done.stderr
    assert f"{tmp_path / 'q'} is being made by process" in done.stderr or "is there already" in done.stderr
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in (tmp_path / "q").iterdir()}
    texts = [(tmp_path / "out" / name).read_text() for name in ("index.html", "report.md")]
    assert any(all(title in text for text in texts) for title in ("First", "Second"))  # both of the same report
    assert in_process("report", two_runs[0].parent, "--output", tmp_path / "alone").returncode == 0
    names = [{path.relative_to(tmp_path / at) for path in (tmp_path / at).rglob("*")} for at in ("out", "alone")]
    assert names[0] == names[1]
    assert {path.name for path in tmp_path.iterdir()} == {"q", "out", "alone", "runs"}
