"""Real transformations of NL-Augmenter, from a checkout: the same texts in each process, other ones for other seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.peers import peer

pytestmark = pytest.mark.slow

# Those that need no package of their own, no model and no download: those that draw, and those that do not.
RANDOM = (
    "azerty_qwerty_chars_swap", "butter_fingers_perturbation", "change_char_case", "concat_monolingual",
    "discourse_marker_substitution", "filler_word_augmentation", "german_gender_swap", "greetings_and_farewells",
    "leet_letters", "random_deletion", "random_upper_transformation", "replace_spelling",
    "speech_disfluency_perturbation", "swap_characters", "underscore_trick", "visual_attack_letters",
    "whitespace_perturbation",
)  # fmt: skip
ALIKE = (
    "contraction_expansions", "country_state_abbreviation_transformation", "diacritic_removal",
    "emoji_icon_transformation", "insert_abbreviation", "noun_compound_paraphraser", "simple_ciphers",
    "use_acronyms", "weekday_month_abbreviation",
)  # fmt: skip
TEXTS = [
    "Write a function that returns the larger of two numbers, and he says on Monday it is good for John and his mother.",
    "Hello, find whether the given list of integers is sorted because it is used in the United States of America.",
    "It will not work, but a café in Texas should have been asked whether 3 strings are equal. Bye!",
]
_APPLY = """
import json, random, sys
import numpy as np
from qharness.plugins.perturbations.nlaugmenter import NlAugmenter
random.seed(sys.argv[1]); np.random.seed(int(sys.argv[1]))
names, texts = json.loads(sys.stdin.read())
before = random.getstate(), np.random.get_state()[1].tolist()
found = {n: [[NlAugmenter(n)(t, random.Random(seed)) for t in texts] for seed in range(4)] for n in names}
assert (random.getstate(), np.random.get_state()[1].tolist()) == before
sys.stdout.write(json.dumps(found))
"""


def applied(names: tuple[str, ...], number: int) -> dict[str, list[list[str]]]:
    """Each operation's outputs in a process of its own: for four seeds, of all texts."""
    path = os.pathsep.join(map(str, (peer("NL-Augmenter", "nlaugmenter"), REPOSITORY)))
    around = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(number), "HF_HUB_OFFLINE": "1"}
    asked = json.dumps([names, TEXTS])
    command = [sys.executable, "-c", _APPLY, str(number)]
    done = subprocess.run(command, input=asked, env=around, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, list[list[str]]] = json.loads(done.stdout)
    return found


def test_an_operation_draws_alike_in_each_process_and_otherwise_for_each_seed() -> None:
    first, second = (applied(RANDOM + ALIKE, number) for number in (1, 2))
    assert len(first) == 26
    assert {name for name in first if first[name] != second[name]} == set()
    drawing = {name for name, outputs in first.items() if any(each != outputs[0] for each in outputs)}
    assert sorted(drawing) == sorted(RANDOM)
    assert all(isinstance(text, str) and text for outputs in first.values() for each in outputs for text in each)
