"""The built-in perturbations: that they do what was asked, as often as was asked, and the same again by seed."""

from __future__ import annotations

import random
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from qharness import DiskError, MissingDependencyError, ModelError, QHarnessError, SpecError, UnknownNameError
from qharness.plugins.perturbations import nlaugmenter, translation
from qharness.plugins.perturbations.tagging import CLOSED, WORD, Pos, rule_tags
from qharness.plugins.perturbations.word import synonyms
from qharness.plugins.perturbations.wordnet import LEXNAMES, WordNet, load_wordnet
from qharness.registry import get_registry
from tests.conftest import REPOSITORY

TEXT = "Write a function to find the largest number of a given list, then quickly return whether it is a small prime."


@pytest.fixture(scope="module")
def wordnet() -> WordNet:
    try:
        return load_wordnet()
    except MissingDependencyError as error:
        pytest.skip(str(error))


def within(successes: int, trials: int, p: float) -> bool:
    """Whether a binomial count is within four standard deviations."""
    return abs(successes - p * trials) <= 4 * (trials * p * (1 - p)) ** 0.5


@pytest.mark.parametrize("p", [0.1, 0.35])
def test_char_changes_the_case_of_as_many_letters_as_asked(p: float) -> None:
    text = TEXT * 100
    perturbed = get_registry().perturbation(f"char:{p}")(text, random.Random(1))
    assert perturbed.lower() == text.lower()
    letters = sum(c.isalpha() for c in text)
    assert within(sum(a != b for a, b in zip(text, perturbed, strict=True)), letters, p)


def test_char_by_default_and_at_its_ends() -> None:
    char = get_registry().perturbation
    assert char("char") == char("char:0.1")
    assert char("char:0")(TEXT, random.Random(0)) == TEXT
    assert char("char:1")("Straße, 1st ǆ", random.Random(0)) == "sTRAßE, 1ST Ǆ"


@pytest.mark.parametrize("spec", ["char:0.3", "word:0.5"])
def test_seeds_repeat_and_differ(spec: str, wordnet: WordNet) -> None:
    perturbation = get_registry().perturbation(spec)
    first = [perturbation(TEXT, random.Random(seed)) for seed in range(20)]
    assert first == [perturbation(TEXT, random.Random(seed)) for seed in range(20)]
    assert len(set(first)) > 15


@pytest.mark.parametrize("p", [0.5, 0.2])
def test_word_replaces_as_many_words_as_asked(p: float, wordnet: WordNet) -> None:
    """Of those that have synonyms; and each replacement is one of them, of the part of speech that the word was."""
    words = [word[0] for word in WORD.finditer(TEXT)]
    text = " | ".join(words)  # a synonym may be several words
    tags = rule_tags(text, wordnet)
    options = [synonyms(word, tag, wordnet) for word, tag in zip(words, tags, strict=True)]
    assert sum(map(bool, options)) >= 8
    replaced = eligible = 0
    perturbation = get_registry().perturbation(f"word:{p}")
    for seed in range(300):
        found = perturbation(text, random.Random(seed)).split(" | ")
        for word, new, allowed in zip(words, found, options, strict=True):
            assert new == word or new in allowed
            replaced += new != word
            eligible += bool(allowed)
    assert within(replaced, eligible, p)


def test_words_are_replaced_by_table_viii_s_kind_of_synonyms(wordnet: WordNet) -> None:
    """Those that the paper's examples show, as NL-Augmenter has them: first words of synsets, not inflected."""
    assert "unlike" in synonyms("different", Pos.ADJECTIVE, wordnet)
    assert "minimal" in synonyms("minimum", Pos.ADJECTIVE, wordnet)
    assert "give" in synonyms("given", Pos.VERB, wordnet)
    assert "equal" in synonyms("is", Pos.VERB, wordnet)
    assert "phone number" in synonyms("number", Pos.NOUN, wordnet)
    assert synonyms("the", None, wordnet) == []
    assert all(each.lower() != "list" for each in synonyms("List", Pos.NOUN, wordnet))


def test_closed_classes_stay(wordnet: WordNet) -> None:
    text = " ".join(sorted(CLOSED))
    assert get_registry().perturbation("word:1")(text, random.Random(0)) == text


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("Write a function to sort the given list", "v . n . v . v n"),
        ("Return whether it is a small number", "v . . . . a n"),
        ("The sort is stable. Sort quickly", ". n . a v r"),
        ("each of the returns", ". . . n"),
    ],
)
def test_parts_of_speech(text: str, tags: str, wordnet: WordNet) -> None:
    assert [str(tag or ".") for tag in rule_tags(text, wordnet)] == tags.split()


def test_lexnames_are_those_of_the_data(wordnet: WordNet) -> None:
    """nltk reads `lexnames` from its data; ours stands in for Debian's, which has none. Checked by what synsets say."""
    assert len(LEXNAMES) == 45 and len(set(LEXNAMES)) == 45
    names = {
        "dog": "noun.animal",
        "run": "noun.act",
        "happiness": "noun.state",
        "oak": "noun.plant",
        "inch": "noun.quantity",
    }
    for word, name in names.items():
        found = {synset.lexname() for synset in wordnet._reader.synsets(word, "n")}
        assert name in found, (word, found)
    assert "verb.weather" in {synset.lexname() for synset in wordnet._reader.synsets("snow", "v")}
    assert {synset.lexname() for synset in wordnet._reader.synsets("quickly", "r")} == {"adv.all"}


@pytest.mark.parametrize("spec", ["char:1.5", "word:-1", "back-translation:beams=0", "word:tagger=none", "nlaugmenter"])
def test_options_that_cannot_be(spec: str) -> None:
    with pytest.raises(SpecError):
        get_registry().perturbation(spec)


def test_nltk_s_tagger_names_the_data_it_lacks(monkeypatch: pytest.MonkeyPatch, wordnet: WordNet) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(MissingDependencyError, match="averaged_perceptron_tagger_eng"):
        get_registry().perturbation("word:tagger=nltk")(TEXT, random.Random(0))


def test_no_wordnet_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QHARNESS_WORDNET", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="apt-get install wordnet-base"):
        load_wordnet.__wrapped__()


# ------------------------------------------------------------------------------------------------------- translation


@pytest.fixture(scope="module")
def random_fsmt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two small random FSMT models with a real tokenizer: letters are its tokens."""
    pytest.importorskip("sacremoses")
    from tests.tiny_models import save_fsmt

    folder = tmp_path_factory.mktemp("fsmt")
    return save_fsmt(folder / "en-de", seed=0), save_fsmt(folder / "de-en", seed=1)


@pytest.mark.long
def test_back_translation_by_small_random_models(
    random_fsmt: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real path end to end: batches equal single texts, what was translated is not translated again."""
    there, back = random_fsmt
    perturbation = get_registry().perturbation(f'back-translation:"{there}","{back}",batch=3')
    texts = ["find a number", "return the list of all words in it", "no", "write it down", "find a number"]
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "one"))
    together = perturbation.perturb_all(texts, [random.Random(0)] * len(texts))
    assert together[2] == "no" and together[0] == together[4] != texts[0]
    by_hand = translation.translate(translation.translate([texts[1]], str(there), None, 1), str(back), 2, 1)
    assert together[1] == by_hand[0]
    monkeypatch.setattr(translation, "translate", lambda *_: pytest.fail("translated again"))
    assert perturbation.perturb_all(texts, [random.Random(1)] * len(texts)) == together
    monkeypatch.undo()
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "two"))
    assert [perturbation(text, random.Random(0)) for text in texts] == together


def test_a_translation_model_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path))
    perturbation = get_registry().perturbation(f'back-translation:"{tmp_path}/none"')
    with pytest.raises(ModelError, match=r"translation model .* cannot be loaded") as error:
        perturbation("two words", random.Random(0))
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------------------ NL-Augmenter


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with NL-Augmenter's interface and layout, with operations of our own. `test_real_nlaugmenter.py` has its."""
    root = tmp_path / "nlaugmenter"
    sources = {
        "interfaces/SentenceOperation.py": """
            class Operation:
                def __init__(self, seed=0, verbose=False, max_outputs=1):
                    self.seed, self.verbose, self.max_outputs = seed, verbose, max_outputs
            class SentenceOperation(Operation):
                def generate(self, sentence):
                    raise NotImplementedError
            """,
        "transformations/shuffle_words/transformation.py": """
            import random
            import numpy
            from nlaugmenter.interfaces.SentenceOperation import SentenceOperation
            class WordShuffle(SentenceOperation):
                def __init__(self, seed=0, max_outputs=1):
                    super().__init__(seed, max_outputs=max_outputs)
                def generate(self, sentence):
                    random.seed(self.seed)
                    numpy.random.seed(self.seed % 2**32)
                    words = sentence.split()
                    random.shuffle(words)
                    return [" ".join(words)] * self.max_outputs
            """,
        "transformations/unseeded/transformation.py": """
            import random
            import numpy
            from nlaugmenter.interfaces.SentenceOperation import SentenceOperation
            class Unseeded(SentenceOperation):
                def __init__(self):
                    super().__init__()
                    self.first = random.random()
                def generate(self, sentence):
                    print("says something")
                    order = "".join({"ab", "cd", "ef", "gh", "ij", "kl"})
                    return [f"{self.first} {random.random()} {numpy.random.random()} {order}"]
            """,
        "transformations/failing/transformation.py": """
            import sys
            from nlaugmenter.interfaces.SentenceOperation import SentenceOperation
            class Failing(SentenceOperation):
                def generate(self, sentence):
                    if sentence == "end":
                        sys.exit("no server")
                    if sentence == "file":
                        open("/no/such/file")
                    if sentence == "data":
                        raise LookupError("\\n*****\\n  Resource wordnet not found.\\n")
                    return sentence.split()[len(sentence)]
            class Unmade(SentenceOperation):
                def __init__(self):
                    raise ConnectionError("HTTPSConnectionPool: no route")
            """,
        "transformations/of_pairs/transformation.py": """
            class OfPairs:
                pass
            """,
        "transformations/silent/transformation.py": """
            from nlaugmenter.interfaces.SentenceOperation import SentenceOperation
            class Silent(SentenceOperation):
                def generate(self, sentence):
                    return []
            """,
        "transformations/needy/transformation.py": """
            import no_such_module_anywhere
            from nlaugmenter.interfaces.SentenceOperation import SentenceOperation
            class Needy(SentenceOperation):
                pass
            """,
    }
    for name, source in sources.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        for folder in (path.parent, path.parent.parent, root):
            (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    nlaugmenter._load.cache_clear()
    yield
    nlaugmenter._load.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "nlaugmenter"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["WordShuffle", "shuffle_words"])
def test_operations_of_nl_augmenter(name: str, stand_in: None) -> None:
    perturbation = get_registry().perturbation(f"nlaugmenter:{name}")
    random.seed(3)
    expected = random.random()
    random.seed(3)
    shuffled = [perturbation(TEXT, random.Random(seed)) for seed in (0, 1, 0)]
    assert random.random() == expected  # the process's own generator goes on as if nothing had happened
    assert shuffled[0] == shuffled[2] != shuffled[1]
    assert sorted(shuffled[0].split()) == sorted(TEXT.split())


def test_nl_augmenter_s_corner_cases(stand_in: None) -> None:
    perturbation = get_registry().perturbation
    assert perturbation("nlaugmenter:Silent")(TEXT, random.Random(0)) == TEXT
    with pytest.raises(MissingDependencyError, match="no_such_module_anywhere"):
        perturbation("nlaugmenter:Needy")(TEXT, random.Random(0))
    with pytest.raises(UnknownNameError, match="did you mean WordShuffle"):
        perturbation("nlaugmenter:WordShufle")(TEXT, random.Random(0))


def test_operations_that_do_not_seed_themselves(
    stand_in: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    perturbation = get_registry().perturbation("nlaugmenter:Unseeded")
    drawn = []
    for state in (3, 4):  # the state of the process must not matter, and must not change
        random.seed(state)
        np.random.seed(state)
        before = random.getstate(), np.random.get_state()[1].tolist()
        monkeypatch.setenv("PYTHONHASHSEED", str(state))  # which changes the order of sets
        nlaugmenter._load.cache_clear()
        drawn.append([perturbation(TEXT, random.Random(seed)) for seed in (0, 1, 0)])
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert drawn[0] == drawn[1]
    assert drawn[0][0] == drawn[0][2] != drawn[0][1]
    assert len(set(drawn[0][0].split()[1:3] + drawn[0][1].split()[1:3])) == 4
    assert capfd.readouterr().out == ""


def test_what_operations_raise_is_one_line(stand_in: None) -> None:
    cases = {
        ("Failing", "two words"): "operation 'Failing' of NL-Augmenter failed on 'two words': IndexError: list index",
        ("Failing", "end"): "failed on 'end': SystemExit: no server",
        ("Failing", "file"): r"failed on 'file': FileNotFoundError: .* '/no/such/file'",
        ("Failing", "data"): "failed on 'data': LookupError: Resource wordnet not found",
        ("Unmade", "text"): "cannot be made: ConnectionError: HTTPSConnectionPool: no route; it wants the network",
        ("of_pairs", "text"): "'of_pairs' of NL-Augmenter is no SentenceOperation",
    }
    for (name, text), complaint in cases.items():
        with pytest.raises(QHarnessError, match=complaint) as raised:
            get_registry().perturbation(f"nlaugmenter:{name}")(text, random.Random(0))
        assert "\n" not in str(raised.value) and not isinstance(raised.value, DiskError)


def test_without_nl_augmenter() -> None:
    nlaugmenter._load.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"NL-Augmenter is needed: git clone .* PYTHONPATH"):
        get_registry().perturbation("nlaugmenter:ChangeCharCase")(TEXT, random.Random(0))


# ---------------------------------------------------------------------------------------------------------- Apertium


def test_apertium_paraphrases() -> None:
    """The example plugin, by the real program."""
    import shutil

    if shutil.which("apertium") is None:
        pytest.skip("needs apertium and apertium-eng-spa")
    perturbation = get_registry().perturbation("apertium")
    texts = ["Write a function to find the largest number.", "and return the  list", "Zzyzx qwrtp"]
    paraphrases = perturbation.perturb_all(texts, [random.Random(0)] * 3)
    assert paraphrases[0] != texts[0] and paraphrases[0].endswith(".") and "function" in paraphrases[0]
    assert paraphrases[1][0].islower() and paraphrases[2] == texts[2]
    assert [perturbation(text, random.Random(0)) for text in texts] == paraphrases
    with pytest.raises(Exception, match="apertium eng-xxx failed"):
        get_registry().perturbation("apertium:there=eng-xxx")("one two", random.Random(0))
    assert (REPOSITORY / "examples/qharness-apertium/README.md").is_file()
