"""The commands that the documentation shows: found in it, read, and told whether they are complete."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.conftest import REPOSITORY

PAGES = (
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").glob("**/*.md")),
    *sorted((REPOSITORY / "examples").glob("*/README.md")),
    *(path for path in (REPOSITORY / "CONTRIBUTING.md",) if path.is_file()),
)
_PROGRAM = re.compile(r"(?<![\w/.-])(?:\.venv/bin/)?qharness(?= +(?:[a-z]|--version|--help))")
_REMARK = re.compile(r"\s+#\s.*$")
_ENDS = re.compile(r"""\s*(?:&&|\|\||;|>|\|(?=\s)|\)"|`)""")


@dataclass(frozen=True)
class Command:
    """`qharness` with these words, as a page shows it; `block`: in a block of code, not in a sentence."""

    page: Path
    text: str
    block: bool

    @property
    def is_form(self) -> bool:
        """A form rather than a command: options in brackets, choices, dots."""
        return bool(re.search(r"\[[^\]\"']*[a-zA-Z.]|\.\.\.|\w\|\w", re.sub(r"'[^']*'", "", self.text)))

    @property
    def words(self) -> list[str]:
        """Its words after `qharness`, as a shell would split them."""
        return shlex.split(self.text)

    @property
    def flags(self) -> set[str]:
        """The options that it names."""
        return set(re.findall(r"(?<![\w-])--[a-z][a-z_-]*", self.text))

    @property
    def name(self) -> str:
        """The command's name, `run` say."""
        return self.text.split()[0]


@cache
def commands() -> list[Command]:
    """All of them, in the order of the pages."""
    return [command for page in PAGES for command in _of_page(page)]


def _of_page(page: Path) -> Iterator[Command]:
    blocks, sentences = split(page.read_text(encoding="utf-8"))
    for line in blocks.replace("\\\n", " ").split("\n"):
        for text in _of_line(line):
            yield Command(page, text, block=True)
    for code in re.findall(r"`([^`]+)`", sentences):
        for text in _of_line(" ".join(code.split())):
            yield Command(page, text, block=False)


def _of_line(line: str) -> Iterator[str]:
    """What follows each `qharness` of a line, up to a remark or the shell's next command."""
    if line.startswith(("from ", "import ", "#")):
        return
    for found in _PROGRAM.finditer(line):
        rest = _REMARK.sub("", line[found.end() :])
        end = _ENDS.search(rest)
        yield " ".join((rest[: end.start()] if end else rest).split())


def split(text: str) -> tuple[str, str]:
    """A page's blocks of code, fenced or indented, and the rest; lines of the one are empty in the other."""
    blocks, sentences, fenced = [], [], False
    for line in text.split("\n"):
        fence = line.startswith("```")
        fenced ^= fence
        code = not fence and (fenced or line.startswith("    "))
        blocks.append(line.strip() if code else "")
        sentences.append("" if code or fence else line)
    return "\n".join(blocks), "\n".join(sentences)
