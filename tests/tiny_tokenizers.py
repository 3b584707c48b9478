"""Tokenizers of the classes that checkpoints name, each trained on a few lines of code."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache

import transformers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase

LINES = ("def f(a, b):", "    return a + b", "class Problem:", "    pass", "        x = 1  # twice", "if x:")
_BYTES = [f"<0x{number:02X}>" for number in range(256)]
Vocabulary = tuple[dict[str, int], list[tuple[str, str]]]


@cache
def _byte_fallback(*specials: str) -> Vocabulary:
    """Llama's kind of BPE: a space is ▁, words may begin or end with it, other characters are bytes."""
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token=specials[0], fuse_unk=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(vocab_size=360, special_tokens=[*specials, *_BYTES], show_progress=False)
    backend.train_from_iterator(LINES * 3, trainer)
    return _parts(backend)


@cache
def _byte_level(*specials: str) -> Vocabulary:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(LINES * 3, trainer)
    vocabulary, merges = _parts(backend)
    vocabulary["Ġð"] = len(vocabulary)  # a space and the first byte of many characters, as large vocabularies have
    return vocabulary, [("Ġ", "ð"), *merges]


def _parts(backend: Tokenizer) -> Vocabulary:
    model = json.loads(backend.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def llama(**options: object) -> PreTrainedTokenizerBase:
    """Llama 2's, Mistral's: its decoder drops the first space."""
    vocabulary, merges = _byte_fallback("<unk>", "<s>", "</s>")
    return transformers.LlamaTokenizer(vocab=vocabulary, merges=merges, **{"add_bos_token": True, **options})


def code_llama() -> PreTrainedTokenizerBase:
    """With the special tokens of infilling."""
    marks = ("▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>")
    vocabulary, merges = _byte_fallback("<unk>", "<s>", "</s>", *marks)
    return transformers.CodeLlamaTokenizer(vocab=vocabulary, merges=merges)


def phi3() -> PreTrainedTokenizerBase:
    """Llama's class, with added special tokens that take the spaces after them."""
    tokenizer = llama(add_bos_token=False)
    tokenizer.add_tokens([AddedToken(text, special=True, rstrip=True) for text in ("<|end|>", "<|user|>")])
    return tokenizer


def gemma() -> PreTrainedTokenizerBase:
    """Byte fallback, and nothing dropped; runs of white space are added tokens, and text."""
    vocabulary, merges = _byte_fallback("<unk>", "<pad>", "<eos>", "<bos>", "<mask>", "<start_of_turn>")
    tokenizer = transformers.GemmaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True)
    tokenizer.add_tokens([AddedToken("<start_of_turn>", special=True)])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("\n", "\n\n", "\t")])
    return tokenizer


def gpt2() -> PreTrainedTokenizerBase:
    """Bytes as letters; one token begins, ends and stands for what is unknown. StarCoder2's marks are added."""
    vocabulary, merges = _byte_level("<|endoftext|>", "<file_sep>", "<fim_prefix>")
    tokenizer = transformers.GPT2Tokenizer(vocab=vocabulary, merges=merges)
    tokenizer.add_tokens([AddedToken("<file_sep>", special=True), AddedToken("<fim_prefix>", special=True)])
    tokenizer.add_tokens([AddedToken("        ", normalized=False)])
    return tokenizer


def t5() -> PreTrainedTokenizerBase:
    """A unigram model, which has no token for a character that it has not met. It ends every text."""
    letters = sorted({letter for line in LINES for letter in line if letter != " "})
    pieces = ["▁", *letters, "▁return", "▁a", "▁def", "▁+"]
    marks = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return transformers.T5Tokenizer(vocab=[*marks, *((piece, -3.0) for piece in pieces)], extra_ids=2)


ALL: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "llama": llama,
    "code-llama": code_llama,
    "phi-3": phi3,
    "gemma": gemma,
    "gpt-2": gpt2,
    "t5": t5,
}


def tokens_of(tokenizer: PreTrainedTokenizerBase, text: str) -> Sequence[int]:
    """A text's tokens and no others."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
