"""What counts as prose in the benchmarks' prompts, and that perturbing it leaves everything else byte for byte."""

from __future__ import annotations

import ast
import random
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from qharness import PluginError, Span
from qharness.evaluate.perturb.prose_changes import ProseChange, perturb
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.registry import get_registry
from qharness.tasks import humaneval, mceval
from qharness.tasks.prose import sentence_spans

TASKS = ["humaneval", "mbpp", "multiple-py", "multiple-java", "mceval-python", "mceval-java"]


@dataclass(frozen=True)
class Shout:
    """Everything to upper case: the strongest change of letters there is."""

    name: ClassVar[str] = "shout"

    def __call__(self, text: str, rng: random.Random) -> str:
        return text.upper()


@dataclass(frozen=True)
class Rewrite:
    """Every sentence another one, longer or shorter; by sentence or not."""

    name: ClassVar[str] = "rewrite"
    whole_sentences: bool
    words: int

    def __call__(self, text: str, rng: random.Random) -> str:
        kept = re.findall(r"\S+", text) if self.whole_sentences else []
        return " ".join(kept + ["word"] * self.words)


def docs_of(task: str, data_dir: Path) -> list[dict[str, Any]]:
    (loaded,) = load_task(task, data_dir).tasks.values()
    return list(loaded.eval_docs)


def changes_of(task: str, data_dir: Path, *perturbations: Any, seed: int = 0) -> list[ProseChange]:
    return perturb(docs_of(task, data_dir), get_registry().tasks[task].value.source.prose_spans, perturbations, seed)


def skeleton(prompt: str, language: str) -> list[str]:
    """What must not change, found without looking for prose: all lines of code, doctests with their output, values."""
    comment = re.compile(r'("""|\'\'\').*?(\1|\Z)' if language == "python" else r"/\*.*?\*/|//[^\n]*", re.DOTALL)
    code = comment.sub("<comment>", prompt)
    kept = [code]
    for match in comment.finditer(prompt):
        kept += re.findall(r"^.*(?:>>>|->|==|=>|➞|^\s*assert ).*$", match[0], re.MULTILINE)  # examples' lines
        kept += re.findall(r">>>[^\n]*\n([^\n]*)", match[0])  # their output
        kept += re.findall(r"\[[^\]\[\n]*\]|\d[\w.]*|\w+_\w+|@\w+", match[0])  # values, names, tags
        kept += re.findall(r"\"[^\"\n]*\"", match[0].strip('"')) + re.findall(r"`[^`\n]*`", match[0])
        kept.append(str(match[0].count("\n")))
    return kept


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("perturbation", [Shout(), Rewrite(False, 1), Rewrite(True, 3)], ids=["shout", "one", "three"])
def test_code_signatures_and_doctests_stay_byte_for_byte(task: str, perturbation: Any, data_dir: Path) -> None:
    """On all documents, under changes far worse than any real perturbation's."""
    changes = changes_of(task, data_dir, perturbation)
    assert sum(change.before == change.after for change in changes) <= 2
    for change in changes:
        before, after = change.before["prompt"], change.after["prompt"]
        language = change.before["language"]
        assert skeleton(after, language) == skeleton(before, language), change.before["task_id"]
        assert {**change.after, "prompt": ""} == {**change.before, "prompt": ""}
        if language == "python":
            assert tree_without_docstrings(before) == tree_without_docstrings(after)


def tree_without_docstrings(prompt: str) -> str:
    """The syntax of a prompt, which must parse: a docstring that ends too early is a syntax error or another tree."""
    closed = prompt if prompt.rstrip().endswith(('"""', "'''")) else prompt + '"""'
    tree = ast.parse(closed + "\n" if "def " not in prompt else textwrap.dedent(closed).rstrip() + "\n    pass\n")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


@pytest.mark.parametrize("task", TASKS)
def test_most_words_of_comments_are_prose(task: str, data_dir: Path) -> None:
    """Not so few that a perturbation does nothing: well over half of the words outside examples."""
    changes = changes_of(task, data_dir, Shout())
    counted = changed = 0
    for change in changes:
        before, after = change.before["prompt"], change.after["prompt"]
        counted += len(re.findall(r"\b[a-z]{3,}\b", before))
        changed += sum(a != b for a, b in zip(re.findall(r"\w+", before), re.findall(r"\w+", after), strict=True))
    assert changed > 0.45 * counted


@pytest.mark.parametrize(
    ("sentence", "prose"),
    [
        ("Add x to y, then return 'Yes' or None.", ["Add", "to", "then return", "or"]),
        ("Given lst_A and camelCase, call range(1, n) once.", ["Given", "and", "call", "once."]),
        ("Don't change `numbers`, [1, 2] or (a, b) (in any order).", ["Don't change", "or", "(in any order)."]),
        ("3 < 4 and 1e6", ["and"]),
        ("prefix: the prefix", ["the prefix"]),
        ("A list", ["A list"]),
        ("x = y", []),
    ],
)
def test_names_and_values_are_no_prose(sentence: str, prose: list[str]) -> None:
    assert [sentence[start:end] for _, start, end in sentence_spans(sentence, 0, len(sentence))] == prose


def spans(*parts: tuple[int, int]) -> Callable[[Any], list[Span]]:
    return lambda _: [("prompt", start, end) for start, end in parts]


def test_a_sentence_goes_on_over_lines_and_names() -> None:
    """It is perturbed whole, and put back on its lines, round its names."""
    prompt = 'def f(n):\n    """Return the sum of\n    all whole numbers up to n, the\n    last one too.\n    """\n'
    seen = []

    @dataclass(frozen=True)
    class Spy(Rewrite):
        def __call__(self, text: str, rng: random.Random) -> str:
            seen.append(text)
            return text.replace("whole numbers", "integers").replace("last", "final")

    doc = {"task_id": "t", "prompt": prompt}
    (by_stretch,) = perturb([doc], humaneval.prose_spans, [Spy(False, 0)], 0)
    assert seen == ["Return the sum of all whole numbers up to", "the last one too."]
    seen.clear()
    (by_sentence,) = perturb([doc], humaneval.prose_spans, [Spy(True, 0)], 0)
    assert seen == ["Return the sum of all whole numbers up to n, the last one too."]
    assert by_sentence.after == by_stretch.after
    after = by_sentence.after["prompt"]
    words = 'def f(n): """Return the sum of all integers up to n, the final one too. """'
    assert after.split() == words.split()
    assert after.count("\n") == prompt.count("\n")


def test_a_sentence_that_loses_its_names_is_perturbed_between_them() -> None:
    doc = {"task_id": "t", "prompt": '"""Add the number x to y and\nreturn it."""'}

    @dataclass(frozen=True)
    class Lossy(Rewrite):
        def __call__(self, text: str, rng: random.Random) -> str:
            return "lost" if "x" in text else text.upper()

    (change,) = perturb([doc], humaneval.prose_spans, [Lossy(True, 0)], 0)
    assert change.after["prompt"] == '"""ADD THE NUMBER x TO y AND\nRETURN IT."""'


@pytest.mark.parametrize("ending", ['"""', "\\", "*/", "'''", '"', "", "  ", "'"])
def test_what_would_break_the_code_is_not_taken(ending: str) -> None:
    @dataclass(frozen=True)
    class Breaking(Rewrite):
        def __call__(self, text: str, rng: random.Random) -> str:
            return ending if not ending.strip() else f"ended {ending}"

    doc = {"task_id": "t", "prompt": '"""Add numbers."""'}
    (change,) = perturb([doc], humaneval.prose_spans, [Breaking(False, 0)], 0)
    assert change.after == doc and change.kept == 1


def test_line_breaks_in_a_result_become_spaces() -> None:
    @dataclass(frozen=True)
    class Breaking(Rewrite):
        def __call__(self, text: str, rng: random.Random) -> str:
            return "one\n\n  two"

    doc = {"task_id": "t", "prompt": "class P {\n    // Add numbers.\n    int f() {"}
    (change,) = perturb([{**doc, "language": "java"}], mceval.prose_spans, [Breaking(False, 0)], 0)
    assert change.after["prompt"] == "class P {\n    // one two\n    int f() {"


def test_chains_go_from_left_to_right() -> None:
    doc = {"task_id": "t", "prompt": "some prose"}
    rewritten = perturb([doc], spans((0, 10)), [Shout(), Rewrite(False, 2)], 0)[0].after["prompt"]
    assert rewritten == "word word"
    assert perturb([doc], spans((0, 10)), [Rewrite(False, 2), Shout()], 0)[0].after["prompt"] == "WORD WORD"


def test_a_prompt_without_prose_is_left_alone() -> None:
    docs = [{"prompt": "x = 1"}, {"prompt": "some prose"}]
    changes = perturb(docs, lambda doc: [] if "=" in doc["prompt"] else [("prompt", 0, 4)], [Shout()], 0)
    assert [(change.after["prompt"], change.stretches) for change in changes] == [("x = 1", 0), ("SOME prose", 1)]


@pytest.mark.parametrize("bad", [((0, 99),), ((3, 2),), ((0, 4), (2, 6)), ((-1, 2),)])
def test_spans_of_no_text_are_a_plugins_mistake(bad: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(PluginError, match=r"prose_spans gave .* for document t"):
        perturb([{"task_id": "t", "prompt": "some prose"}], spans(*bad), [Shout()], 0)
