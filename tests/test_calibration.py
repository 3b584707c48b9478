from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from qharness import DataError, UnknownNameError, registry
from qharness.models.loading import LoadedModel
from qharness.quantization import resolution
from tests.asked import calibrated
from tests.test_registry import entry_point
from tests.tiny_models import CONTEXT, make_model, tokenizer


@dataclass(frozen=True)
class Counting:
    """Numbers, in random order."""

    name: ClassVar[str] = "counting"
    n: int = 3
    seqlen: int = 20

    def documents(self, rng: random.Random, data_dir: Path | None) -> Iterable[tuple[str, str]]:
        numbers = list(range(40))
        rng.shuffle(numbers)
        yield "nothing", ""
        for number in numbers:
            yield ("even", "odd")[number % 2], " ".join(str(number) for _ in range(400))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    found = registry.build_registry(entry_points=[entry_point("p_count", qharness_calibration_sets=lambda: [Counting])])
    monkeypatch.setattr(resolution, "get_registry", lambda: found)
    return LoadedModel(make_model("llama"), tokenizer(), "llama")


def test_cuts_n_sequences_and_counts_their_sources(loaded: LoadedModel) -> None:
    made = calibrated(loaded, "counting:5", seed=1)
    assert [len(s) for s in made.sequences] == [20] * 5
    assert sum(made.composition.values()) == 5 and set(made.composition) <= {"even", "odd"}


def test_a_seed_repeats(loaded: LoadedModel) -> None:
    texts = [[tokenizer().decode(s) for s in calibrated(loaded, "counting", seed=seed).sequences] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_no_sequence_is_longer_than_the_context(loaded: LoadedModel) -> None:
    made = calibrated(loaded, "counting:seqlen=100000", seed=0)
    assert {len(s) for s in made.sequences} == {CONTEXT}


def test_too_few_documents(loaded: LoadedModel) -> None:
    with pytest.raises(DataError, match="has 40 documents, 41 were asked for"):
        calibrated(loaded, "counting:41", seed=0)


def test_an_unknown_set(loaded: LoadedModel) -> None:
    with pytest.raises(UnknownNameError, match="unknown calibration set 'countin': did you mean counting"):
        calibrated(loaded, "countin", seed=0)
