from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qharness.metrics import smoothed_bleu_4


def evaluator() -> Any:
    """CodeXGLUE's evaluator, as lm-eval ships it."""
    path = Path(lm_eval.__file__).parent / "tasks/code_x_glue/code-text/bleu.py"
    spec = importlib.util.spec_from_file_location("codexglue_bleu", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ORACLE = evaluator()

# Computed with CodeXGLUE's evaluator (code-to-text/evaluator), in percent.
GOLDEN = [
    ("Returns the sum of two numbers .", "Returns the sum of two numbers .", 100.0),
    ("Returns the sum of two numbers .", "Return the sum of numbers", 38.10725529057199),
    ("sort a list", "", 4.978706836786395),
    ("sort a list", "open the file", 0.0),
]


@pytest.mark.parametrize(("reference", "candidate", "score"), GOLDEN)
def test_golden(reference: str, candidate: str, score: float) -> None:
    assert 100 * smoothed_bleu_4(reference, candidate) == pytest.approx(score, abs=1e-9)
    assert ORACLE.smoothed_bleu_4([reference], [candidate]) == pytest.approx(score, abs=1e-9)


words = st.lists(
    st.sampled_from(["sum", "the", "a-b", "3.14", "x.y", "&lt;", "don't", "Ünï", "(", "1,000", "-5", "list"]),
    max_size=12,
)


@given(words.filter(bool), words)
def test_equals_it_on_random_texts(reference: list[str], candidate: list[str]) -> None:
    one, other = " ".join(reference), " ".join(candidate)
    expected = ORACLE.smoothed_bleu_4([one], [other])
    assert 100 * smoothed_bleu_4(one, other) == pytest.approx(expected, abs=1e-9)


def test_identity_is_one_and_nothing_alike_is_next_to_zero() -> None:
    assert smoothed_bleu_4("return the largest value", "return the largest value") == pytest.approx(1.0)
    assert smoothed_bleu_4("return the largest value", "print something else entirely") < 1e-9
