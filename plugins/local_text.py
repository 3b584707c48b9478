"""Calibration text that is already on the machine: code and prose of the standard library, and the user's own files.

Nothing is fetched. A long text is cut into documents of about `seqlen` tokens, so that one text can give several
sequences, drawn from all of it.
"""

from __future__ import annotations

import ast
import dataclasses
import glob
import os
import random
import re
import sys
import sysconfig
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePath
from typing import ClassVar

from qharness import (
    CalibrationSet,
    CheckedOptions,
    DataError,
    JsonError,
    hookimpl,
    option,
    parse_json,
    source_suffixes,
)

_CHARACTERS = 4  # to a token: rather too many, so that a document fills its sequence under most tokenizers
_N, _SEQLEN = 128, 2048  # GPTQ's; AQLM's 1024 sequences of 4096 are more text than a standard library has

FileText = tuple[PurePath, str]

# ------------------------------------------------------------------------------------------------ the standard library

# Other people's packages, and tests, which are as large as the library itself and repeat it.
_SKIPPED_FOLDERS = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
# Written by the build or by the machine's owner: not the same everywhere.
_NOT_THE_LIBRARYS = re.compile(r"_sysconfigdata.*|config-.*|sitecustomize\.py|usercustomize\.py")
# Character tables and pydoc's manual are data in the form of modules; the manual is prose's.
_TABLES = {"encodings", "pydoc_data"}
_DOCTEST = re.compile(r"^[ \t]*>>>(?:.*\S.*(?:\n|\Z))*\n*", re.MULTILINE)  # an example ends at an empty line


def _library(suffix: str) -> Iterator[FileText]:
    """Yield the library's files of this suffix, sorted by path, with their text; skip those that are not UTF-8."""
    root = Path(sysconfig.get_path("stdlib"))
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED_FOLDERS and not _NOT_THE_LIBRARYS.fullmatch(f))
        for name in sorted(names):
            if name.endswith(suffix) and not _NOT_THE_LIBRARYS.fullmatch(name):
                path = Path(folder, name)
                try:
                    yield path.relative_to(root), path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue


def _code() -> Iterator[FileText]:
    return ((path, text) for path, text in _library(".py") if path.parts[0] not in _TABLES)


def _prose() -> Iterator[FileText]:
    for path, source in _library(".py"):
        if tree := _parse(source):
            texts = _manual(tree) if path.parts[0] == "pydoc_data" else _docstrings(tree)
            yield path, "\n\n".join(filter(None, map(_without_code, texts)))
    yield from ((path, text) for path, text in _library(".txt") if not path.stem.endswith("Grammar"))


def _parse(source: str) -> ast.Module | None:
    """Return the syntax tree; None for text that is no Python, or Python of another version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in old modules
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError):
            return None


def _docstrings(tree: ast.Module) -> list[str]:
    """Return a module's docstrings, in the order of its lines."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                found[node.body[0].lineno] = text
    return [found[line] for line in sorted(found)]


def _manual(tree: ast.Module) -> list[str]:
    """Return the strings of several lines of a module that holds texts."""
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" in node.value
    ]


def _without_code(text: str) -> str:
    """Remove examples with prompts, and paragraphs that are statements of Python."""
    paragraphs = re.split(r"\n(?:[ \t]*\n)+", _DOCTEST.sub("", text))
    return "\n\n".join(part for part in paragraphs if not _is_code(part)).strip()


def _is_code(paragraph: str) -> bool:
    """Tell whether it parses as more than an expression, which one or two English words may be too."""
    if paragraph.rstrip().endswith((".", ",", ":")):  # as prose ends; saves most of the parsing
        return False
    tree = _parse(textwrap.dedent(paragraph))
    return tree is not None and any(not isinstance(statement, ast.Expr) for statement in tree.body)


def _package(text: FileText) -> str:
    """Return the package of a file of the library; `modules` for a module that belongs to none."""
    return text[0].parts[0] if len(text[0].parts) > 1 else "modules"


def _library_documents(texts: Iterable[FileText], rng: random.Random, seqlen: int) -> Iterator[tuple[str, str]]:
    """Yield documents in random order; a package's files are joined, so that short files fill sequences too."""
    documents = [
        (package, document)
        for package, files in groupby(sorted(texts, key=_package), key=_package)  # sorting is stable
        for document in _cut("\n\n".join(text for _, text in files if text.strip()), seqlen)
    ]
    if not documents:
        raise DataError(
            f'{sys.executable} has no standard library to read in {sysconfig.get_path("stdlib")}: use files:"GLOB"'
        )
    rng.shuffle(documents)
    yield from documents


def _cut(text: str, seqlen: int) -> list[str]:
    """Cut a text at ends of lines into documents of at least about `seqlen` tokens; a shorter text is one document."""
    size = seqlen * _CHARACTERS
    parts, start, end = [], 0, 0
    for line in text.splitlines(keepends=True):
        end += len(line)
        if end - start >= size and len(text) - end >= size:  # what is left over belongs to the last document
            parts.append(text[start:end])
            start = end
    return [*parts, text[start:]] if text.strip() else []


# ------------------------------------------------------------------------------------------------- the user's files


def _own_documents(pattern: str, seqlen: int, suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield documents cut from files, sorted by path, and each text of JSON lines. Raises DataError for a bad file.

    With `suffixes`, files whose names do not end with one of them are left out.
    """
    # pathlib fails on an absolute pattern and on an unknown user
    hits = glob.glob(os.path.expanduser(pattern), recursive=True)  # noqa: PTH111, PTH207
    paths = sorted({Path(hit) for hit in hits if Path(hit).is_file()}, key=lambda path: path.parts)
    if not paths:
        advice = "write FOLDER/**/* for the files of a folder" if hits else "correct it; ** goes through folders"
        raise DataError(f"{pattern!r} matches no file, seen from {Path.cwd()}: {advice}")
    paths = [path for path in paths if not suffixes or path.suffix.lower() in suffixes]
    if not paths:
        raise DataError(f"{pattern!r} matches no {', '.join(f'*{each}' for each in suffixes)}: correct it or languages")
    for path in paths:
        try:
            if path.suffix == ".jsonl":
                for text in _json_lines(path):
                    yield path.as_posix(), text
            else:
                source = (path.parent / f"*{path.suffix}").as_posix()
                for text in _cut(path.read_text(encoding="utf-8-sig"), seqlen):
                    yield source, text
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not text in UTF-8 ({error.reason}): leave it out, or convert it") from None
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}): leave it out, or mend that") from None


def _json_lines(path: Path) -> Iterator[str]:
    """Yield the field `text` of each line of a file. Raises DataError for a line without one."""
    advice = "each line of a .jsonl must be an object with a string in its field 'text'"
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except JsonError as error:
                raise DataError(f"{path}, line {number} {error}: {advice}") from None
            if not isinstance(row, dict) or not isinstance(row.get("text"), str):
                raise DataError(f"{path}, line {number} has no text: {advice}")
            yield row["text"]


# ----------------------------------------------------------------------------------------------------------- the sets


@dataclass(frozen=True)
class Stdlib(CheckedOptions):
    """The source of the running Python's standard library, without its tests; nothing is fetched."""

    name: ClassVar[str] = "stdlib"

    n: int = option(_N, "sequences", least=1)
    seqlen: int = option(_SEQLEN, "most tokens of a sequence", least=1)

    def documents(self, rng: random.Random, data_dir: Path | None) -> Iterator[tuple[str, str]]:
        """Yield pieces of source, each with its package."""
        return _library_documents(_code(), rng, self.seqlen)


@dataclass(frozen=True)
class Prose(Stdlib):
    """The natural language of the running Python's standard library: docstrings, pydoc's manual, texts."""

    name: ClassVar[str] = "prose"

    def documents(self, rng: random.Random, data_dir: Path | None) -> Iterator[tuple[str, str]]:
        """Yield pieces of prose, each with its package."""
        return _library_documents(_prose(), rng, self.seqlen)


@dataclass(frozen=True)
class Files(CheckedOptions):
    """Files of your own: text, code, or JSON lines with a field `text`; all, or those of some languages."""

    name: ClassVar[str] = "files"

    glob: str = option(dataclasses.MISSING, "which files, in double quotes; ** goes through folders")
    n: int = option(_N, "sequences", least=1)
    seqlen: int = option(_SEQLEN, "most tokens of a sequence", least=1)
    languages: str | None = option(None, "only files in these languages, with spaces between them")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._suffixes()

    def _suffixes(self) -> tuple[str, ...]:
        """The endings of names of files in the languages; none where all files are meant."""
        found = {} if self.languages is None else source_suffixes(self.languages)
        return tuple(suffix for suffixes in found.values() for suffix in suffixes)

    def documents(self, rng: random.Random, data_dir: Path | None) -> Iterator[tuple[str, str]]:
        """Yield pieces of files, each with folder and kind (`corpus/*.py`); texts of a .jsonl, each with its file."""
        documents = list(_own_documents(self.glob, self.seqlen, self._suffixes()))
        rng.shuffle(documents)
        yield from documents


@hookimpl
def qharness_calibration_sets() -> list[type[CalibrationSet]]:
    """Offer `stdlib`, `prose` and `files`."""
    return [Stdlib, Prose, Files]
