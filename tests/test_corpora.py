"""`random`, `mixed`, `code` and `codesearchnet`, drawn from a mirror of small shards."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from qharness import DataError, MissingDependencyError, SpecError, UnknownNameError, source_suffixes
from qharness.models.loading import LoadedModel
from qharness.plugins.corpora import shards
from qharness.plugins.corpora.codesearchnet import CodeSearchNet
from qharness.plugins.corpora.redpajama import Code, Mixed, Random, in_turn
from qharness.registry import get_registry
from qharness.spec import unbind
from tests.asked import calibrated
from tests.corpora import (
    WRITERS,
    functions,
    github,
    question,
    write_codesearchnet,
    write_redpajama,
    write_rows,
)
from tests.test_cli import Cli
from tests.tiny_models import make_model, save_model, tokenizer

SEQLEN = 400  # more than a short document's tokens, fewer than a long one's


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_codesearchnet(write_redpajama(tmp_path_factory.mktemp("mirror")))


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return LoadedModel(make_model("llama"), tokenizer(), "llama")


def fits(text: str) -> bool:
    return len(text) >= SEQLEN


def drawn(set_: Random, mirror: Path, seed: int = 0) -> list[tuple[str, str]]:
    return list(islice(set_.fitting(random.Random(seed), mirror, fits), set_.n))


@pytest.mark.parametrize(
    ("name", "n", "composition"),
    [
        ("code", 40, {"GitHub Python": 20, "GitHub Java": 20}),
        ("code:languages=javascript,n", 7, {"GitHub Javascript": 7}),
        ('code:languages="python javascript",n', 7, {"GitHub Python": 4, "GitHub Javascript": 3}),
        ("mixed", 40, {"GitHub Python": 10, "GitHub Java": 10, "Stack Overflow": 20}),
        ("mixed", 7, {"GitHub Python": 2, "GitHub Java": 2, "Stack Overflow": 3}),
        (
            "random",
            128,
            {"Common Crawl": 104, "C4": 9, "GitHub": 8, "arXiv": 3, "Wikipedia": 3, "Stack Exchange": 1},
        ),
    ],
)
def test_sequences_are_full_and_composed_as_in_the_paper(
    name: str, n: int, composition: dict[str, int], loaded: LoadedModel, mirror: Path
) -> None:
    spec = f"{name}{'=' if ':' in name else ':'}{n},seqlen={SEQLEN}"
    made = calibrated(loaded, spec, seed=1, data_dir=mirror)
    assert {len(sequence) for sequence in made.sequences} == {SEQLEN}
    assert made.composition == composition


def counts(n: int, shares: tuple[int, ...]) -> list[int]:
    turns = Counter(islice(in_turn(shares), n))
    return [turns[i] for i in range(len(shares))]


def test_table_2() -> None:
    sources = Random().sources
    assert dict(zip([s.label for s in sources], counts(1024, tuple(s.share for s in sources)), strict=True)) == {
        "Common Crawl": 834, "C4": 76, "GitHub": 62, "arXiv": 28, "Wikipedia": 20, "Stack Exchange": 4,
    }  # fmt: skip
    assert (Random().n, Random().seqlen) == (1024, 4096)
    assert counts(1024, (1, 1, 2)) == [256, 256, 512] and counts(1024, (1, 1)) == [512, 512]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("code:languages=golang", "unknown language 'golang'"),
        ('code:languages=""', "languages names none: write one or more of c, cpp, go"),
        ("codesearchnet:language=cpp", "must be one of go, java"),
        ('files:"*.go",languages=g', "unknown language 'g'"),
    ],
)
def test_a_language_that_there_is_not(bad: str, said: str) -> None:
    with pytest.raises((SpecError, UnknownNameError), match=said):
        get_registry().calibration_set(bad)


def test_every_language_of_ours_says_what_its_files_are_called() -> None:
    languages = get_registry().languages
    found = source_suffixes(" ".join(languages))
    assert list(found) == list(languages) and all(found.values())
    every = [suffix for suffixes in found.values() for suffix in suffixes]
    assert len(set(every)) == len(every) and all(suffix.startswith(".") for suffix in every)
    without = dataclasses.replace(get_registry().languages["go"], value=type("Other", (), {"name": "go"}))
    registry = dataclasses.replace(get_registry(), languages={"go": without})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("qharness.registry.get_registry", lambda: registry)
        with pytest.raises(SpecError, match="'go' does not say what its files' names end with"):
            source_suffixes("go")


@pytest.mark.parametrize("n", [1, 2, 3, 5, 17, 128, 1000])
def test_proportions_hold_for_any_n(n: int) -> None:
    for shares in ((1, 1, 2), (834, 76, 62, 28, 20, 4), (1,)):
        found = counts(n, shares)
        assert sum(found) == n
        assert all(abs(count - n * share / sum(shares)) < 1 for count, share in zip(found, shares, strict=True))


def test_one_document_of_a_repository(mirror: Path) -> None:
    """Over both languages; the mirror has six that would do of each of its 40 repositories."""
    documents = drawn(Code(n=40), mirror)
    repositories = [text.split()[1] for _, text in documents]
    assert len(set(repositories)) == 40
    for source, text in documents:
        assert text.split()[2].endswith(".py" if source == "GitHub Python" else ".java")
    with pytest.raises(DataError, match=r"has 19 documents for 'GitHub Java' that are long enough, and more") as raised:
        repository_short = mirror.parent / "short"
        write_redpajama(repository_short, repositories=39)
        drawn(Code(n=40), repository_short)
    assert "redpajama/github" in str(raised.value) and "\n" not in str(raised.value)


def test_questions_score_above_ten_and_name_a_language(mirror: Path) -> None:
    texts = [text for source, text in drawn(Mixed(n=60), mirror) if source == "Stack Overflow"]
    beginnings = Counter(text.split("?")[0] for text in texts)
    assert len(texts) == 30
    assert {begin.rpartition(" ")[2] for begin in beginnings} == {"11", "12", "300"}
    assert {begin[3:].partition(" of")[0] for begin in beginnings} == {"Python", "java 8", "python3"}


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        (question(random.Random(0), 11, "PYTHON"), True),
        (question(random.Random(0), "11", "a.java"), True),
        (question(random.Random(0), 10, "Python"), False),
        (question(random.Random(0), 11, "JavaScript, Jython, pythonic"), False),
        (question(random.Random(0), 11, "Python", site="es.stackoverflow.com"), False),
        (question(random.Random(0), None, "Python"), False),
    ],
)
def test_the_rule_for_questions(row: dict[str, object], counts: bool) -> None:
    assert Mixed().sources[2].meant(row) is counts


@pytest.mark.parametrize("set_", [Random(n=60), Mixed(n=20), Code(n=20)])
def test_a_seed_repeats(set_: Random, mirror: Path) -> None:
    first = drawn(set_, mirror, seed=1)
    assert first == drawn(set_, mirror, seed=1)
    assert first[:7] == drawn(type(set_)(n=7), mirror, seed=1)
    assert {text for _, text in first} != {text for _, text in drawn(set_, mirror, seed=2)}
    sources = [source for source, _ in first]
    assert sources != sorted(sources, key=sources.index)  # mixed: AQLM holds the last eighth out


def test_seeds_draw_from_all_over_the_files(mirror: Path) -> None:
    """Every long Python file is somebody's draw."""
    found = {
        text for seed in range(60) for source, text in drawn(Code(n=20), mirror, seed) if source == "GitHub Python"
    }
    assert len(found) == 80


# --------------------------------------------------------------------------------------------------- codesearchnet


def test_codesearchnet_is_the_training_split_of_python(loaded: LoadedModel, mirror: Path) -> None:
    documents = list(CodeSearchNet().documents(random.Random(0), mirror))
    assert sorted(text for _, text in documents) == sorted(row["func_code_string"] for row in functions(200))
    made = calibrated(loaded, "codesearchnet:n=50", seed=0, data_dir=mirror)
    assert made.composition == {"CodeSearchNet Python": 50} and len(made.sequences) == 50
    assert CodeSearchNet().n == 5000
    numbers = [int(text.split("_")[2].partition("(")[0]) for _, text in documents[:50]]
    assert max(numbers) > 150 > 50 > min(numbers)


def test_codesearchnet_in_another_language(mirror: Path) -> None:
    write_rows(mirror / "codesearchnet/java/train", [*functions(3, language="java"), *functions(3)])
    documents = list(CodeSearchNet(language="java").documents(random.Random(0), mirror))
    assert {source for source, _ in documents} == {"CodeSearchNet Java"}
    assert sorted(text for _, text in documents) == [row["func_code_string"] for row in functions(3, language="java")]
    with pytest.raises(DataError, match=r"put the Go training split.* DIR/codesearchnet/go/"):
        list(CodeSearchNet(language="go").documents(random.Random(0), mirror))


def test_a_smaller_codesearchnet_is_the_beginning_of_a_larger(loaded: LoadedModel, mirror: Path) -> None:
    texts = [
        [tokenizer().decode(s) for s in calibrated(loaded, f"codesearchnet:{n}", seed=seed, data_dir=mirror).sequences]
        for n, seed in ((20, 3), (80, 3), (20, 4))
    ]
    assert texts[0] == texts[1][:20] != texts[2]


def test_codesearchnet_as_first_released(tmp_path: Path) -> None:
    rows = [
        {"repo": "o/r", "code": f"def f{i}(): pass", "docstring": "", "language": "python", "partition": split}
        for i, split in enumerate(("train", "test"))
    ]
    write_rows(tmp_path / "codesearchnet/python/train/python_train_0", rows, ".jsonl.gz")
    assert list(CodeSearchNet().documents(random.Random(0), tmp_path)) == [("CodeSearchNet Python", "def f0(): pass")]


# ------------------------------------------------------------------------------------------------------------ shards


@pytest.mark.parametrize("kind", WRITERS)
def test_no_row_is_lost_or_doubled(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However lines and pieces fall."""
    expected = [{"id": i, "text": "x" * (i % 37)} for i in range(300)]
    place = str(write_rows(tmp_path / "a", expected, kind))
    for size in (10, 64, 100, 1 << 20):
        monkeypatch.setattr(shards, "_PIECE_BYTES", size)
        read = [row["id"] for _, row in shards.rows([place], random.Random(0))]
        assert read != sorted(read) and sorted(read) == list(range(300))


class _Server(http.server.SimpleHTTPRequestHandler):
    """A file server that gives byte ranges."""

    files = b""
    ranges = True

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.files)))
        self.end_headers()

    def do_GET(self) -> None:
        asked = self.headers.get("Range") if self.ranges else None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(self.files) - start))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(self.files[start:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(shards, "is_remote", lambda place: place.startswith("http://127"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_url_is_read_by_ranges(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_PIECE_BYTES", 500)
    monkeypatch.setattr(_Server, "files", b"".join(b'{"id": %d}\n' % i for i in range(300)))
    read = [row["id"] for _, row in shards.rows([f"{server}/a.jsonl"], random.Random(0))]
    assert sorted(read) == list(range(300)) != read
    monkeypatch.setattr(_Server, "ranges", False)
    with pytest.raises(DataError, match=r"a.jsonl cannot be read \(the server gives no byte ranges\)"):
        list(shards.rows([f"{server}/a.jsonl"], random.Random(0)))


def test_no_zstandard(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'qharness\[corpora\]'"):
        drawn(Random(n=20), mirror)


# -------------------------------------------------------------------------------------------------------- bad mirrors


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", b'{"text": "x", "meta": {}}\n', r"a row has no meta.repo_name, which RedPajama's github has"),
        ("a.jsonl", b'{"text": "x", "meta": "{"}\n', r"a row has no meta.repo_name"),
        ("a.jsonl", b'{"content": "x"}\n', r"a row has no text"),
        ("a.jsonl", b'{"text": \n', r"a line is no JSON"),
        ("a.jsonl", b"[1]\n", r"a row is no object"),
        ("a.jsonl", b'{"text": "\xff\xfe"}\n', r"a line is no text in UTF-8"),
        ("a.jsonl.gz", b"no gzip", r"cannot be read"),
        ("a.jsonl.zst", b"no zstandard", r"cannot be read"),
        (
            "a.csv",
            b"text\n",
            r"has no \*.jsonl, \*.jsonl.gz, \*.jsonl.zst: put files of RedPajama.* DIR/redpajama/github",
        ),
    ],
)
def test_a_bad_mirror_of_redpajama(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    folder = tmp_path / "redpajama/github"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=reason) as raised:
        drawn(Code(n=2), tmp_path)
    assert "\n" not in str(raised.value) and str(folder) in str(raised.value)


def test_a_bad_mirror_of_codesearchnet(tmp_path: Path) -> None:
    folder = tmp_path / "codesearchnet/python"
    with pytest.raises(
        DataError, match=r"has no .*\*.parquet: put the Python training split.* DIR/codesearchnet/python/"
    ):
        list(CodeSearchNet().documents(random.Random(0), tmp_path))
    folder.mkdir(parents=True)
    (folder / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"a.parquet cannot be read") as raised:
        list(CodeSearchNet().documents(random.Random(0), tmp_path))
    assert "\n" not in str(raised.value)
    (folder / "a.parquet").unlink()
    (folder / "a.jsonl").write_text('{"function": "def f(): pass"}\n')
    with pytest.raises(DataError, match=r"a.jsonl: a row has no func_code_string or code"):
        list(CodeSearchNet().documents(random.Random(0), tmp_path))


@pytest.mark.parametrize("spec", ["random:8", "codesearchnet:8"])
def test_no_network_and_no_mirror(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="--data-dir DIR") as raised:
        list(get_registry().calibration_set(spec).documents(random.Random(0), None))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("bad", ["code:0", "random:seqlen=0", "codesearchnet:n=-1", "mixed:language=python"])
def test_bad_options(bad: str) -> None:
    with pytest.raises(SpecError, match=bad.partition(":")[0]):
        get_registry().calibration_set(bad)


def test_a_spec_round_trips() -> None:
    for text in ("code:n=64,seqlen=512", "codesearchnet:500", 'code:languages="c cpp"', "codesearchnet:9,language=go"):
        made = get_registry().calibration_set(text)
        assert get_registry().calibration_set(str(unbind(made))) == made


# ------------------------------------------------------------------------------------------------------------- cache


def test_what_was_drawn_is_kept(loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_redpajama(tmp_path / "data")
    spec = f"code:20,seqlen={SEQLEN}"
    first = calibrated(loaded, spec, seed=0, data_dir=data)
    with monkeypatch.context() as patched:
        patched.setattr(Code, "fitting", lambda *_: pytest.fail("drawn again"))
        again = calibrated(loaded, spec, seed=0, data_dir=data)
    assert again.composition == first.composition
    assert all(a.equal(b) and a.dtype == b.dtype for a, b in zip(first.sequences, again.sequences, strict=True))
    kept = tmp_path / "cache/calibration"
    assert len(list(kept.iterdir())) == 1
    calibrated(loaded, spec, seed=1, data_dir=data)
    calibrated(loaded, f"code:20,seqlen={SEQLEN + 1}", seed=0, data_dir=data)
    rng = random.Random(5)
    write_rows(data / "redpajama/github/more", [github(rng, "new/one", "a.py")])
    calibrated(loaded, spec, seed=0, data_dir=data)
    other = tokenizer()
    other.add_tokens(["ab"])
    calibrated(LoadedModel(loaded.model, other, "llama"), spec, seed=0, data_dir=data)
    assert len(list(kept.iterdir())) == 5


@pytest.mark.long
def test_the_command_line_uses_them_and_the_cache_lists_them(cli: Cli, mirror: Path, tmp_path: Path) -> None:
    model = save_model("llama", tmp_path / "model")
    environment = {"QHARNESS_CACHE_DIR": str(tmp_path / "cache"), "QHARNESS_DATA_DIR": str(mirror)}
    arguments = ("quantize", "--model", model, "--quant", "aqlm:codebooks=1,nbits=2,group=8,finetune=none", "--calib")
    done = cli(*arguments, f"mixed:8,seqlen={SEQLEN}", "--output", tmp_path / "out", **environment)
    assert done.returncode == 0, done.stderr
    assert '{"Stack Overflow": 4, "GitHub Java": 2, "GitHub Python": 2}' in done.stderr.replace("\n", " ")
    listed = cli("cache", "ls", **environment, COLUMNS="400")
    assert f"mixed:8,{SEQLEN} of" in listed.stdout, listed.stdout


def test_list_shows_them(cli: Cli) -> None:
    rows = {
        row["name"]: row for row in json.loads(cli("list", "calibration-sets", "--json").stdout)["calibration-sets"]
    }
    for name, n, seqlen, *more in (
        ("random", 1024, 4096),
        ("mixed", 1024, 4096),
        ("code", 1024, 4096, ("languages", "python java")),
        ("codesearchnet", 5000, 2048, ("language", "python")),
    ):
        assert [(o["name"], o["default"]) for o in rows[name]["options"]] == [("n", n), ("seqlen", seqlen), *more]
        assert rows[name]["summary"] and rows[name]["plugin"] == "qharness.plugins.corpora"
