"""CodeXGLUE's code-to-text, on a few rows in its schema: what models read, in whichever file the rows are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from qharness import BenchmarkFile, DataError
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.tasks import code2text

CODE = '''def save(self, path, text="""none"""):
        """Write text to
        a file."""
        # as UTF-8
        if path:
            return open(path, 'w').write(text)
'''
ROWS: list[dict[str, Any]] = [
    {
        "id": 0,
        "repo": "a/b",
        "path": "b/c.py",
        "func_name": "C.save",
        "original_string": CODE,
        "language": "python",
        "code": CODE,
        "code_tokens": ["def", "save", "(", "self", ",", "path", ",", "text", "=", '"""none"""', ")", ":", "if", "path", ":",
                        "return", "open", "(", "path", ",", "'w'", ")", ".", "write", "(", "text", ")"],
        "docstring": "Write text to\n        a file.",
        "docstring_tokens": ["Write", "text", "to", "a", "file", "."],
        "sha": "0" * 40,
        "url": "https://github.com/a/b",
    },
    {
        "id": 1,
        "code": "def old ( x ) :\n\t'''Print\n it.'''\n\tprint `x`, \"\u2028</s>\"\n  return\n",
        "code_tokens": ["def", "old", "(", "x", ")", ":", "print", "`", "x", "`", ",", '"</s>\n"', "return"],
        "docstring": "Print\n it.",
        "docstring_tokens": ["Print", "\n", "it", "."],
    },
]  # fmt: skip


def write_mirror(folder: Path, suffix: str = ".jsonl") -> Path:
    (folder / "code2text").mkdir(parents=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
    (folder / f"code2text/python-test{suffix}").write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    return folder


def docs_of(task: str, mirror: Path) -> list[dict[str, Any]]:
    return list(load_task(task, mirror).tasks[task].eval_docs)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_codet5_reads_tokens(suffix: str, tmp_path: Path) -> None:
    first, second = docs_of("code2text-python", write_mirror(tmp_path, suffix))
    assert first["prompt"] == (
        'def save ( self , path , text = """none""" ) : if path : return open ( path , \'w\' ) . write ( text )'
    )
    assert first["summary"] == "Write text to a file ."
    assert second["prompt"] == 'def old ( x ) : print ` x ` , "<unk> " return'  # its own end would end the text
    assert second["summary"] == "Print it ."
    assert first["max_source_tokens"] == 256


def test_plbart_reads_layout(tmp_path: Path) -> None:
    first, second = docs_of("code2text-python-plbart", write_mirror(tmp_path))
    assert first["prompt"] == (
        'def save ( self , path , text = """none""" ) : NEW_LINE INDENT NEW_LINE if path : NEW_LINE INDENT '
        "return open ( path , 'w' ) . write ( text ) NEW_LINE DEDENT DEDENT"
    )  # the docstring goes, the end of its line stays, as in PLBART's scripts
    assert second["prompt"].startswith("def old ( x ) : print ` x `")  # Python's tokenizer refuses its last line
    assert first["max_source_tokens"] == 258


def test_causal_models_continue_a_comment(tmp_path: Path) -> None:
    first, second = docs_of("code2text-python-comment", write_mirror(tmp_path))
    assert first["prompt"] == (
        'def save(self, path, text="""none"""):\n        # as UTF-8\n        if path:\n'
        "            return open(path, 'w').write(text)\n\n# Summary:"
    )
    assert "Print" not in second["prompt"] and "print" in second["prompt"]
    assert first["max_source_tokens"] is None


def test_no_prompt_holds_the_docstring(tmp_path: Path) -> None:
    for task in ("code2text-python", "code2text-python-plbart", "code2text-python-comment"):
        for doc, row in zip(docs_of(task, write_mirror(tmp_path / task)), ROWS, strict=True):
            assert row["docstring"] not in doc["prompt"] and "Write text" not in doc["prompt"]


def test_code_whose_docstring_cannot_be_made_out_is_given_as_tokens() -> None:
    row = {"code": "def f(x):\n    return x\n", "code_tokens": ["def", "f", "(", "x", ")", ":", "return", "x"]}
    assert code2text.without_docstring(row) == "def f ( x ) : return x"
    row = {"code": 'def f(x):\n    """Only this."""\n', "code_tokens": []}
    assert code2text.without_docstring(row) == "def f(x):"


def test_parquet(tmp_path: Path) -> None:
    """Read as the Hub has it; one that is not the pinned file is refused."""
    import pyarrow
    from pyarrow import parquet

    (tmp_path / "code2text").mkdir()
    columns = ("code", "code_tokens", "docstring_tokens")
    table = pyarrow.Table.from_pylist([{name: row[name] for name in columns} for row in ROWS])
    parquet.write_table(table, tmp_path / "code2text/python-test.parquet")
    rows = BenchmarkFile(code2text.FILE.path, code2text.FILE.url).rows(tmp_path)
    assert rows == [{name: row[name] for name in columns} for row in ROWS]
    with pytest.raises(DataError, match=r"not 0c12bf0b.*resolve/052dd9a1"):
        code2text.FILE.rows(tmp_path)
    (tmp_path / "code2text/python-test.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"python-test\.parquet cannot be read"):
        BenchmarkFile(code2text.FILE.path, code2text.FILE.url).rows(tmp_path)


def test_rows_of_something_else_are_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"python-test\.parquet is missing: fetch https"):
        code2text.dataset(str(tmp_path))
    (tmp_path / "code2text").mkdir()
    (tmp_path / "code2text/python-test.jsonl").write_text('{"code": "x", "code_tokens": []}\n')
    with pytest.raises(DataError, match="rows without 'docstring_tokens'"):
        code2text.dataset(str(tmp_path))
    (tmp_path / "code2text/python-test.jsonl").rename(tmp_path / "code2text/python-test.jsonl.gz")
    with pytest.raises(DataError, match=r"python-test\.jsonl\.gz cannot be read"):
        code2text.dataset(str(tmp_path))
