"""Texts as tokens, with tokenizers as checkpoints bring them: with end tokens, two begin tokens, or neither."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers
from lm_eval.api.instance import Instance
from tokenizers import processors
from transformers import PreTrainedTokenizerBase

from qharness import ModelError, RunSpec, run
from qharness.models.checkpoint import locate
from qharness.models.decoding import Decoding
from qharness.models.encoding import AddedTokens, encode_text
from qharness.models.engine import Prompt
from qharness.models.generation import Generation
from qharness.models.lm import LoadedLM
from qharness.models.loading import LoadedModel, load_model
from qharness.models.sampling import SampleKey
from tests.asked import calibrated
from tests.tiny_models import make_model, save_model, tokenizer
from tests.tiny_tokenizers import gemma, llama, t5, tokens_of

CODE = "def f(a, b):\n    return a"


def template(words: PreTrainedTokenizerBase, single: str) -> PreTrainedTokenizerBase:
    """The tokenizer, with special tokens put round each text."""
    tokens = [(text, words.convert_tokens_to_ids(text)) for text in ("<s>", "</s>") if text in single]
    words.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=f"{single} $B", special_tokens=tokens
    )
    return words


def bare() -> PreTrainedTokenizerBase:
    """The byte tokenizer, with no special token that it knows to be one."""
    backend = tokenizer().backend_tokenizer
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend)


def completions(lm: LoadedLM, *texts: str, **options: object) -> list[str]:
    given = {"max_gen_toks": 12, "until": [], **options}
    return lm.generate_until([Instance("generate_until", {}, (text, given), n) for n, text in enumerate(texts)])


@pytest.mark.parametrize("single", ["$A </s>", "<s> $A </s>", "<s> <s> $A", "<s> <s> $A </s>"])
def test_what_a_causal_model_reads_has_one_begin_and_no_end(single: str) -> None:
    words = template(tokenizer(), single)
    begin = [words.bos_token_id] if "<s>" in single else []
    body = list(tokens_of(words, CODE))
    assert encode_text(words, CODE, encoder=False) == begin + body
    assert encode_text(words, CODE, encoder=False, special=False) == body
    assert encode_text(words, "", encoder=False) == begin
    if begin:  # as a chat template writes it
        assert encode_text(words, "<s>" + CODE, encoder=False) == begin + body


def test_options_of_tokenizer_classes() -> None:
    for words in (llama(add_eos_token=True), llama(), gemma()):
        ids = encode_text(words, CODE, encoder=False)
        assert ids == [words.bos_token_id, *tokens_of(words, CODE)]
        assert encode_text(words, words.bos_token + CODE, encoder=False).count(words.bos_token_id) == 1
    assert AddedTokens.of(llama(add_eos_token=True)).after == (llama().eos_token_id,)


def test_an_encoder_reads_its_own_end_token_once() -> None:
    words = t5()
    ids = encode_text(words, "return a", encoder=True)
    assert ids == words("return a")["input_ids"] and ids[-1] == words.eos_token_id
    assert encode_text(words, "return a</s>", encoder=True) == ids
    assert encode_text(words, "return a", encoder=True, max_length=2) == [ids[0], ids[-1]]


def test_an_end_token_after_each_text_changes_no_completion(tmp_path: Path) -> None:
    """The bundled model passes 67% of its problems, and 0% where its prompts end so."""
    folder = tmp_path / "model"
    shutil.copytree(locate("tinycoder"), folder)
    words = template(transformers.AutoTokenizer.from_pretrained(folder), "$A </s>")
    words.save_pretrained(folder)
    assert transformers.AutoTokenizer.from_pretrained(folder)("x")["input_ids"][-1] == words.eos_token_id
    theirs, ours = (
        run(RunSpec("tiny-python", model, limit=4, output=tmp_path / str(number)))
        for number, model in enumerate(["tinycoder", str(folder)])
    )
    fields = ("doc_id", "completion", "status")
    rows = [[tuple(row[name] for name in fields) for row in _rows(each.folder)] for each in (theirs, ours)]
    assert rows[0] == rows[1] and any(status == "passed" for _, _, status in rows[0])


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_log_likelihoods_read_no_end_token() -> None:
    pair = Instance("loglikelihood", {}, ("def f(x):", " return"), 0)
    plain, ended = (
        LoadedLM(LoadedModel(make_model("llama"), words, "llama"))
        for words in (tokenizer(), template(tokenizer(), "$A </s>"))
    )
    assert ended.loglikelihood([pair]) == plain.loglikelihood([pair])


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_tokenizers_that_name_no_special_token(architecture: str) -> None:
    """Prompts of several lengths are padded, and an empty one begins somehow; the tokenizer stays as it was."""
    model, words = make_model(architecture, sharp=True), bare()
    if architecture == "llama":
        model.generation_config.eos_token_id = None
    lm = LoadedLM(LoadedModel(model, words, architecture))
    together = completions(lm, "def f(x):\n", "a", "")
    assert together == [completions(lm, text)[0] for text in ("def f(x):\n", "a", "")]
    assert completions(lm, "def f(x):\n", "a", num_beams=2)
    assert len(words) == len(bare()) and words.pad_token_id is None
    assert lm.loglikelihood([Instance("loglikelihood", {}, ("", "x"), 0)])[0][0] < 0


def test_calibration_texts_end_for_encoders_only(tmp_path: Path) -> None:
    """Short ones, which are taken whole."""
    (tmp_path / "a.py").write_text(CODE)
    words = template(tokenizer(), "$A </s>")
    (text,), (source,) = (
        calibrated(LoadedModel(make_model(name), words, name), f'files:"{tmp_path}/*.py",n=1', seed=0).sequences
        for name in ("llama", "t5")
    )
    assert text.tolist() == tokens_of(words, CODE)
    assert source.tolist() == [*tokens_of(words, CODE), words.eos_token_id]


def test_a_prompt_that_is_cut_keeps_its_begin_token() -> None:
    words = template(tokenizer(), "<s> $A")
    generation = Generation(make_model("llama"), words, 100, 0)
    ids = encode_text(words, "x" * 150, encoder=False)
    assert generation.truncate_prompt(ids, Decoding(0.0, 1.0, 20, (), 1)) == (words.bos_token_id, *ids[-79:])
    assert generation.truncate_prompt(ids[1:], Decoding(0.0, 1.0, 20, (), 1)) == tuple(ids[-80:])


def test_a_token_that_the_model_lacks_is_said_in_one_line() -> None:
    words = tokenizer()
    words.add_tokens("<fim>")
    generation = Generation(make_model("llama"), words, 100, 0)
    prompt = Prompt(tuple(encode_text(words, "a<fim>", encoder=False)), (SampleKey(0, 0),))
    with pytest.raises(ModelError, match=r"a prompt holds '<fim>', token 260, and the model knows 260 tokens"):
        list(generation([prompt], Decoding(0.0, 1.0, 5, (), 1), 1))


def test_a_padding_token_that_the_model_lacks_is_not_fed_to_it() -> None:
    """A tokenizer may have got one that the embeddings were not resized for."""
    words = tokenizer()
    words.add_special_tokens({"pad_token": "<padding>"})
    lm = LoadedLM(LoadedModel(make_model("llama", sharp=True), words, "llama"))
    assert completions(lm, "def f(x):\n", "a") == [completions(lm, text)[0] for text in ("def f(x):\n", "a")]


def test_a_loaded_checkpoint_of_such_a_tokenizer(tmp_path: Path) -> None:
    folder = save_model("llama", tmp_path / "m")
    for path in folder.glob("*token*"):
        path.unlink()
    bare().save_pretrained(folder)
    assert len(completions(LoadedLM(load_model(str(folder))), "a", "bcd")) == 2
