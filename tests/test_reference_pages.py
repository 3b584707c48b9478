"""The API page and the glossary hold what the code does: every exported name, every name of the output."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import qharness
from qharness import Comparison, Status
from qharness.cli.listing import ListedKind
from qharness.results import RunRecord, SampleRow
from qharness.study.axes import AXES
from tests.conftest import REPOSITORY

API = (REPOSITORY / "docs/api.md").read_text(encoding="utf-8")
GLOSSARY = (REPOSITORY / "docs/glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^\| ([^|`]+) \| (`[^|]+`) \|", GLOSSARY, re.MULTILINE)
NAMES = {name for _, names in TERMS for name in re.findall(r"`([^`]+)`", names)}


def test_the_api_page_has_every_exported_name_once_and_run_first() -> None:
    listed = re.findall(r"^::: qharness\.(\w+)$", API, re.MULTILINE)
    assert sorted(listed) == sorted(qharness.__all__)
    assert listed[:2] == ["run", "RunSpec"]


@pytest.mark.parametrize("name", [each for each in qharness.__all__ if inspect.isclass(getattr(qharness, each))])
def test_every_exported_class_has_a_docstring_of_its_own(name: str) -> None:
    doc = inspect.getdoc(getattr(qharness, name)) or ""
    assert doc and not doc.startswith(f"{name}("), "a dataclass without a docstring has its signature there"


@pytest.mark.long
def test_the_example_of_the_api_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", API, re.DOTALL)
    exec(compile(example, "docs/api.md", "exec"), {})
    folder, rate, difference = capsys.readouterr().out.splitlines()
    assert (tmp_path / folder / "run.json").is_file()
    assert 0 <= float(rate) <= 1 and -1 <= float(difference) <= 1


def test_the_glossary_is_sorted_and_its_names_occur_in_the_code() -> None:
    terms = [term for term, _ in TERMS]
    assert terms == sorted(terms, key=str.casefold) and len(terms) == len(set(terms))
    files = (path for room in ("qharness", "plugins", "tasks") for path in (REPOSITORY / room).rglob("*.py"))
    code = set(re.findall(r"\w+", "\n".join(path.read_text(encoding="utf-8") for path in files)))
    assert not {name for name in NAMES if name not in code}


def test_the_glossary_has_the_names_of_the_output() -> None:
    fields = {field.name for kind in (RunRecord, SampleRow, Comparison) for field in dataclasses.fields(kind)}
    axes = {axis.name for axis in AXES}
    kinds = {kind.value.replace("-", "_") for kind in ListedKind}
    assert not (fields | axes | kinds) - NAMES - {"a", "b"}  # the two runs of a comparison
    assert re.findall(r"^\| `([\w-]+)` \|", GLOSSARY, re.MULTILINE) == [str(each) for each in Status]
