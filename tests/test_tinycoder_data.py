"""The problems that tinycoder is trained and tested on."""

from __future__ import annotations

import random
import re
import sys
from itertools import islice
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "tinycoder"))
from tinycoder import benchmark, cases, english, problems, texts, tokens
from tinycoder.filters import FILTERS
from tinycoder.maps import FINISHERS, MAPS
from tinycoder.sinks import SINKS
from tinycoder.snippets import negated
from tinycoder.sources import SOURCES

from qharness.filters import run_programs

TABLES = (*SOURCES, *FILTERS, *MAPS, *SINKS, *FINISHERS)


@pytest.fixture(scope="module")
def many():
    return list(islice(problems.training(random.Random(7)), 6000))


@pytest.fixture(scope="module")
def tokenizer():
    pieces = islice(texts.training_texts(random.Random(3)), 300)
    return tokens.trained((part for text in pieces for part in (text.prompt, text.completion)), 600)


def test_every_step_has_its_own_name():
    assert len({step.name for step in TABLES}) == len(TABLES)


def test_every_step_occurs_in_training(many):
    occurring = {name for problem in many for name in problem.composition}
    assert occurring == {step.name for step in TABLES}


def test_held_out_compositions_never_occur_in_training(many):
    tested = {tuple(document["composition"]) for document in benchmark.documents("python")}
    assert len(tested) == 100
    assert all(problems.held_out(composition) for composition in tested)
    assert not any(problems.held_out(problem.composition) for problem in many)


def test_both_languages_have_the_same_problems_and_summaries_too():
    compositions = [document["composition"] for document in benchmark.documents("python", count=20)]
    assert [document["composition"] for document in benchmark.documents("java", count=20)] == compositions
    assert [document["composition"] for document in benchmark.summaries(20)] == compositions


def test_seen_problems_have_compositions_that_were_trained_on():
    trained = {text.composition for text in texts.pool(benchmark.TRAINING_SEED, 0)}
    assert trained >= {tuple(each["composition"]) for each in benchmark.documents("java", trained=True, count=20)}


def test_a_composition_can_be_built_again(many):
    for problem in many[:200]:
        again = problems.of(problem.composition, random.Random(1))
        assert (again.composition, again.gives) == (problem.composition, problem.gives)


@pytest.mark.parametrize("language", ["python", "java"])
def test_a_seed_repeats(language):
    assert benchmark.documents(language, count=5) == benchmark.documents(language, count=5)
    first, second = (list(islice(texts.training_texts(random.Random(1)), 20)) for _ in range(2))
    assert first == second
    assert first != list(islice(texts.training_texts(random.Random(2)), 20))


def test_python_in_every_style_gives_what_the_reference_gives(many):
    rng = random.Random(5)
    for problem in many[:250]:
        drawn = cases.draw(problem, rng, 5)
        for _ in range(3):
            text = texts.python_text(problem, rng)
            namespace: dict = {}
            exec(text.prompt + text.completion, namespace)
            for case in drawn:
                assert namespace[problem.name](*case.arguments) == case.result, text.prompt + text.completion


def failures(documents):
    verdicts = run_programs([[document["canonical_solution"]] for document in documents], documents)
    return [verdict["detail"] for (verdict,) in verdicts if not verdict["passed"]]


@pytest.mark.parametrize(("language", "count"), [("python", 20), ("java", 3)])
def test_references_pass_their_own_tests(language, count):
    assert failures(benchmark.documents(language, count=count)) == []


def test_java_references_in_one_program_pass_their_own_tests():
    """Forty methods, compiled at once, which is faster than one by one."""
    classes, calls = "", ""
    for n, document in enumerate([*benchmark.documents("java", count=20), *benchmark.documents("java", True, 20)]):
        source = document["prompt"] + document["canonical_solution"] + document["tests"]
        classes += source.split(texts.JAVA_IMPORTS)[1].replace("class Problem", f"class Problem{n}", 1)
        calls += f"        Problem{n}.main(arguments);\n"
    head = texts.JAVA_IMPORTS + classes + "class Problem {\n    public static void main(String[] arguments) {\n"
    document = {"task_id": "all", "prompt": head, "language": "java", "tests": "}\n", "entry_class": "Problem"}
    assert failures([{**document, "canonical_solution": calls + "    }\n"}]) == []


def test_tests_tell_right_from_wrong():
    documents = benchmark.documents("python", count=20)
    constant = [["    return None\n"] for _ in documents]
    assert not any(verdict["passed"] for (verdict,) in run_programs(constant, documents))


def test_a_prompt_alone_is_tokenized_as_in_training(tokenizer):
    for text in islice(texts.training_texts(random.Random(11)), 200):
        prompt = tokenizer(text.prompt)["input_ids"]
        whole = tokenizer(text.prompt + text.completion)["input_ids"]
        assert whole[: len(prompt)] == prompt
        assert prompt + tokenizer(text.completion)["input_ids"] == whole
        assert tokenizer.decode(whole) == text.prompt + text.completion


def test_wordings_vary(many):
    problem, rng = many[0], random.Random(0)
    assert len({english.describe(problem, rng) for _ in range(300)}) > 150
    assert len({texts.python_text(problem, rng).completion for _ in range(100)}) > 10
    assert len({problem.composition for problem in many}) > 5000


def test_the_canonical_summary_is_one_sentence_and_the_same_each_time(many):
    for problem in many[:200]:
        summary = english.canonical(problem)
        assert summary == english.canonical(problem)
        assert re.fullmatch(r"Return [^\n]+\.", summary)


@pytest.mark.parametrize(
    ("condition", "opposite"),
    [
        ("x > 3", "x <= 3"),
        ("-3 <= x <= 3", "not (-3 <= x <= 3)"),
        ("w not in seen", "w in seen"),
        ("not w", "w"),
        ("a > 1 or b", "not (a > 1 or b)"),
    ],
)
def test_negations(condition, opposite):
    assert negated(condition, "python") == opposite
