from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from qharness import DataError, SpecError
from qharness.models.loading import LoadedModel
from qharness.plugins.local_text import Files, Prose, Stdlib
from qharness.quantization.resolution import DEFAULT_SET
from qharness.registry import get_registry
from qharness.spec import unbind
from tests.asked import calibrated
from tests.test_cli import Cli
from tests.tiny_models import CONTEXT, make_model, tokenizer


@pytest.fixture
def loaded() -> LoadedModel:
    return LoadedModel(make_model("llama"), tokenizer(), "llama")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small standard library."""
    root = tmp_path / "lib"
    for name, text in {
        "one.py": '"""One."""\nx = 1\n',
        "mail/__init__.py": '"""Mail.\n\n>>> send()\nsent\n\nFor example:\n\n    x = f(1)\n    import y\n\nEnd of it.\n"""\n',
        "mail/send.py": 'class Sender:\n    def f(self):\n        """Sends."""\n        return "nothing"\n',
        "mail/old.py": "print 'no Python 3'\n",
        "mail/test/test_mail.py": '"""A test."""',
        "mail/NEWS.txt": "News of mail.",
        "pydoc_data/topics.py": 'topics = {"if": "The if statement\\nis used so."}',
        "encodings/cp1.py": "table = '0123'\n",
        "site-packages/theirs.py": '"""Theirs."""',
        "config-3.11-linux/config.py": "built = 'here'\n",
        "_sysconfigdata_linux.py": "built = 'here'\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "latin.py").write_bytes(b"# \xe9\n")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(root))
    return root


def drawn(calibration_set: Stdlib | Prose | Files, seed: int = 0) -> list[tuple[str, str]]:
    return list(calibration_set.documents(random.Random(seed), None))


def test_stdlib_is_code_without_tests_and_tables(library: Path) -> None:
    documents = dict(drawn(Stdlib()))
    assert set(documents) == {"modules", "mail"}
    assert documents["modules"] == '"""One."""\nx = 1\n'
    assert "class Sender" in documents["mail"] and "no Python 3" in documents["mail"]
    assert not any(word in "".join(documents.values()) for word in ("A test", "0123", "Theirs", "here", "News", "if "))


def test_prose_is_docstrings_manual_and_texts(library: Path) -> None:
    assert dict(drawn(Prose())) == {
        "modules": "One.",
        "mail": "Mail.\n\nFor example:\n\nEnd of it.\n\nSends.\n\nNews of mail.",
        "pydoc_data": "The if statement\nis used so.",
    }


def test_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"has no standard library to read in .*none: use files"):
        drawn(Stdlib())


@pytest.mark.parametrize("calibration_set", [Stdlib(seqlen=512), Prose(seqlen=512)])
def test_the_real_library(calibration_set: Stdlib | Prose) -> None:
    """Enough for the default number, all of it long enough or all that its package has, spread over packages."""
    documents = drawn(calibration_set)
    sources = [source for source, _ in documents]
    assert len(documents) > calibration_set.n and 5 < len(set(sources)) < 60
    assert all(len(text) >= 512 * 4 or sources.count(source) == 1 for source, text in documents)
    assert len(set(sources[: calibration_set.n])) > 5
    lines = [line for _, text in documents for line in text.splitlines() if line.strip()]
    imports = sum(line.strip().startswith(("import ", "from __future__", ">>>")) for line in lines)
    assert (imports < len(lines) / 1000) == isinstance(calibration_set, Prose)


@pytest.mark.parametrize("spec", ["stdlib:12,seqlen=100", "prose:12,seqlen=100", 'files:"f/**/*",12,100'])
def test_a_seed_repeats_and_sequences_are_cut(
    spec: str, loaded: LoadedModel, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (library / "mail", library / "f/g"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "long.py").write_text("".join(f'def f{i}():\n    """Gives {i}."""\n' for i in range(1000)))
    monkeypatch.chdir(library)
    made = [calibrated(loaded, spec, seed=seed) for seed in (1, 1, 2)]
    texts = [[tokenizer().decode(s) for s in each.sequences] for each in made]
    assert texts[0] == texts[1] != texts[2] and made[0].composition == made[1].composition
    assert len(texts[0]) == 12 and max(map(len, made[0].sequences)) == 100
    assert sum(made[0].composition.values()) == 12


def test_stdlib_is_the_default(loaded: LoadedModel) -> None:
    made = calibrated(loaded, None, seed=0)
    assert Stdlib.name == DEFAULT_SET and len(made.sequences) == Stdlib().n
    assert {len(s) for s in made.sequences} == {CONTEXT}
    assert {"modules", "asyncio"} <= set(made.composition)


def test_directory_order_is_of_no_account(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    def backwards(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for folder, folders, names in walk(top):
            folders.sort(reverse=True)
            names.sort(reverse=True)
            yield folder, folders, names

    first, walk = drawn(Stdlib()), os.walk
    monkeypatch.setattr("os.walk", backwards)
    assert drawn(Stdlib()) == first


# ----------------------------------------------------------------------------------------------------------- files


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus/deep").mkdir(parents=True)
    (tmp_path / "corpus/a.py").write_text("a = 1\n")
    (tmp_path / "corpus/b.py").write_text("b = 2\n")
    (tmp_path / "corpus/deep/C.java").write_text("class C {}\n")
    rows = [{"text": "first\u2028line"}, {"text": "second", "id": 2}]
    (tmp_path / "corpus/rows.jsonl").write_text("\n\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n")
    return tmp_path / "corpus"


def test_files_and_their_kinds(corpus: Path) -> None:
    assert sorted(drawn(Files("corpus/**/*"))) == [
        ("corpus/*.py", "a = 1\n"),
        ("corpus/*.py", "b = 2\n"),
        ("corpus/deep/*.java", "class C {}\n"),
        ("corpus/rows.jsonl", "first\u2028line"),
        ("corpus/rows.jsonl", "second"),
    ]
    assert {text for _, text in drawn(Files("corpus/*.py"))} == {"a = 1\n", "b = 2\n"}


def test_files_of_some_languages(corpus: Path) -> None:
    """A folder of anything: what has another ending is not read, be it text or not."""
    (corpus / "image.bin").write_bytes(b"\xff\xfe\x00\xd8")
    (corpus / "deep/b.CPP").write_text("int b;\n")
    (corpus / "deep/b.hpp").write_text("extern int b;\n")
    assert {source for source, _ in drawn(Files("corpus/**/*", languages="java"))} == {"corpus/deep/*.java"}
    found = drawn(Files("corpus/**/*", languages="cpp python"))
    assert sorted(text for _, text in found) == ["a = 1\n", "b = 2\n", "extern int b;\n", "int b;\n"]
    with pytest.raises(DataError, match=r"'corpus/\*\*/\*' matches no \*\.go: correct it or languages"):
        drawn(Files("corpus/**/*", languages="go"))


def test_home_expands(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(corpus.parent))
    monkeypatch.setenv("USERPROFILE", str(corpus.parent))
    assert [text for _, text in drawn(Files("~/corpus/deep/*"))] == ["class C {}\n"]


def test_a_long_file_gives_several_documents_and_loses_nothing(corpus: Path) -> None:
    whole = "".join(f"line {i}\n" for i in range(1000))
    (corpus / "long.txt").write_text(whole)
    parts = [text for _, text in drawn(Files("corpus/long.txt", seqlen=50))]
    assert all(200 <= len(part) < 500 and part.endswith("\n") for part in parts)
    assert "".join(sorted(parts, key=lambda part: int(part.split()[1]))) == whole


def test_a_quoted_glob_is_a_spec() -> None:
    for text, expected in (
        ('files:"corpus/*.py"', Files("corpus/*.py")),
        ('files:"a b/**/*.jsonl",16,seqlen=64', Files("a b/**/*.jsonl", 16, 64)),
    ):
        made = get_registry().calibration_set(text)
        assert made == expected and get_registry().calibration_set(str(unbind(made))) == expected


@pytest.mark.parametrize("bad", ["stdlib:0", "prose:seqlen=0", 'files:"x",n=-1', "files", "stdlib:length=3"])
def test_bad_options(bad: str) -> None:
    with pytest.raises(SpecError, match=bad.partition(":")[0]):
        get_registry().calibration_set(bad)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"text": "fine"}\n{"body": "x"}\n', "line 2 has no text"),
        ('{"text": "fine"}\n\n{"text": 7}\n', "line 3 has no text"),
        ('["text"]\n', "line 1 has no text"),
        ('{"text": \n', "line 1 is no JSON"),
    ],
)
def test_a_bad_json_line(content: str, reason: str, corpus: Path) -> None:
    (corpus / "bad.jsonl").write_text(content)
    with pytest.raises(DataError, match=rf"bad.jsonl, {reason}.*field 'text'") as raised:
        drawn(Files("corpus/*.jsonl"))
    assert "\n" not in str(raised.value)


def test_what_is_not_there_or_no_text(corpus: Path) -> None:
    (corpus / "image.bin").write_bytes(b"\xff\xfe\x00\xd8")
    for pattern, message in (
        ("corpus/*.rs", r"'corpus/\*.rs' matches no file, seen from .*: correct it"),
        ("~no-such-user/*", "matches no file"),
        ("corpus", r"'corpus' matches no file.*FOLDER/\*\*/\*"),
        ("corpus/*.bin", "image.bin is not text in UTF-8 .*: leave it out"),
    ):
        with pytest.raises(DataError, match=message) as raised:
            drawn(Files(pattern))
        assert "\n" not in str(raised.value)


def test_too_few_files(corpus: Path, loaded: LoadedModel) -> None:
    with pytest.raises(DataError, match="'files' has 2 documents, 128 were asked for: lower n"):
        calibrated(loaded, 'files:"corpus/*.py"', seed=0)


def test_list_shows_them(cli: Cli) -> None:
    done = cli("list", "calibration-sets", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["calibration-sets"]}
    assert {"stdlib", "prose", "files"} <= set(rows)
    assert [(o["name"], o["required"]) for o in rows["files"]["options"]] == [
        ("glob", True), ("n", False), ("seqlen", False), ("languages", False),
    ]  # fmt: skip
    assert all(row["summary"] and all(o["help"] for o in row["options"]) for row in rows.values())
