"""Small shards of RedPajama and CodeSearchNet in their upstream's schema, as a mirror holds them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

LONG, SHORT = 150, 20  # words of a document; a word is 6 bytes, and the tests' tokenizers make a token of each byte
Write = Callable[[Path, bytes], object]
WRITERS: dict[str, Write] = {
    ".jsonl": lambda path, data: path.write_bytes(data),
    ".jsonl.gz": lambda path, data: path.write_bytes(gzip.compress(data)),
    ".jsonl.zst": lambda path, data: path.write_bytes(zstandard.compress(data)),
}


def words(rng: random.Random, count: int) -> str:
    return " ".join("".join(rng.choices("abcdefghij", k=5)) for _ in range(count))


def write_rows(path: Path, rows: Sequence[Any], kind: str = ".jsonl") -> Path:
    path = path.with_name(path.name + kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[kind](path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    return path


def github(rng: random.Random, repository: str, path: str, length: int = LONG) -> dict[str, Any]:
    meta = {
        "content_hash": "0", "timestamp": "", "source": "github", "line_count": 9, "repo_name": repository, "path": path,
        "license": "mit", "language": [{"name": "Python", "bytes": "100"}, {"name": "Java", "bytes": "100"}],
    }  # fmt: skip
    return {"text": f"# {repository} {path}\n{words(rng, length)}", "meta": meta}


def question(rng: random.Random, score: object, word: str, length: int = LONG, site: str = "stackoverflow.com") -> Any:
    meta = {
        "language": "en", "url": f"https://{site}/questions/{rng.randrange(10**6)}", "timestamp": "2023-03-29",
        "source": "stackexchange", "question_score": score,
    }  # fmt: skip
    return {"text": f"Q: {word} of {score}? {words(rng, length)}\nA: {words(rng, 3)}", "meta": meta}


def write_redpajama(mirror: Path, repositories: int = 40) -> Path:
    """Each subset in another form: objects and texts for `meta`, all compressions, files in folders."""
    rng = random.Random(0)
    folder = mirror / "redpajama"
    code = [
        github(rng, f"owner/{number}", f"src/{name}.{suffix}", length)
        for number in range(repositories)
        for suffix in ("py", "java", "js")
        for name, length in (("long", LONG), ("other", LONG), ("short", SHORT))
    ]
    rng.shuffle(code)
    half = len(code) // 2
    write_rows(folder / "github/filtered_0", code[:half])
    as_sampled = [{**row, "meta": str(row["meta"])} for row in code[half:]]  # RedPajama-Data-1T-Sample's form
    write_rows(folder / "github/filtered_1", as_sampled, ".jsonl.gz")
    questions = [
        *(question(rng, score, word) for score in (11, "12", 300) for word in ("Python", "java 8", "python3") * 9),
        *(question(rng, score, "Python") for score in (10, "-3", 0) * 9),
        *(question(rng, 50, word) for word in ("JavaScript", "Haskell") * 9),
        *(question(rng, 50, "Java", SHORT) for _ in range(9)),
        *(question(rng, 50, "Python", site="superuser.com") for _ in range(9)),
    ]
    rng.shuffle(questions)
    write_rows(folder / "stackexchange/stackexchange", questions)
    crawled = [{"text": words(rng, LONG), "pred_label": "__label__wiki", "source": "cc/2019-30/x"} for _ in range(120)]
    write_rows(folder / "common_crawl/2019-30/en_head_0000.json.gz.dedup.classifier", crawled[:60], ".jsonl.zst")
    write_rows(folder / "common_crawl/2023-06/en_middle_0001.json.gz.dedup.classifier", crawled[60:], ".jsonl.zst")
    for subset in ("c4", "arxiv", "wikipedia"):
        meta = {"url": "", "timestamp": "", "source": subset, "language": "en"}
        plain = [{"text": words(rng, length), "meta": meta} for length in (LONG, SHORT) * 20]
        write_rows(folder / subset / f"{subset}-0", plain)
    return mirror


def functions(count: int, split: str = "train", language: str = "python") -> list[dict[str, Any]]:
    """Rows as the Hub has them."""
    return [
        {
            "repository_name": f"o/{i}", "func_path_in_repository": "a.py", "func_name": f"f{i}", "language": language,
            "whole_func_string": "", "func_code_string": f"def {split}_{language}_{i}(x):\n    return x + {i}\n",
            "func_documentation_string": "Adds.", "split_name": split, "func_code_url": "",
        }
        for i in range(count)
    ]  # fmt: skip


def write_codesearchnet(mirror: Path) -> Path:
    """Parquet of several row groups, with rows that are not of the training split or not Python."""
    folder = mirror / "codesearchnet/python"
    folder.mkdir(parents=True)
    rows = [*functions(200), *functions(30, "test"), *functions(30, language="java")]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet", row_group_size=40)
    return mirror
