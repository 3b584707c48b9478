"""The tokenizer of a GGUF file: transformers' reading of it, cut into words as the file says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qharness.models.gguf_header import GgufHeader
from qharness.progress import note

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer
    from transformers import PreTrainedTokenizerBase

_DIGIT_BY_DIGIT = {"codeshell", "command-r", "exaone", "minerva-7b", "refact", "smollm", "starcoder"}
_AS_GPT2 = {"gpt-2", "jais", "jina-de", "jina-es", "mellum", "mpt", "olmo", "phi-2", "trillion"}
_DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+")


def cut_as_stated(tokenizer: PreTrainedTokenizerBase, header: GgufHeader) -> None:
    """Make a byte-level tokenizer cut text into words as `tokenizer.ggml.pre` says, where transformers does not.

    Where neither knows the name, text is cut as GPT-2 does, and a note says so.
    """
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    name = str(header.settings.get("tokenizer.ggml.pre", "default"))
    if header.settings.get("tokenizer.ggml.model") != "gpt2" or name in GGUF_PRE_TOKENIZER_SPLITS or name in _AS_GPT2:
        return
    backend = getattr(tokenizer, "backend_tokenizer", None)
    found = _pre_tokenizer(name)
    if backend is None or found is None:
        note(f"{header.path}: text is cut into words as GPT-2 does, for {name!r}, which the file names, is not known")
        return
    backend.pre_tokenizer = found


def _pre_tokenizer(name: str) -> PreTokenizer | None:
    """The way of cutting text that llama.cpp knows by this name; None where it is not known here."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

    digits = Digits(individual_digits=True)
    if name in _DIGIT_BY_DIGIT:
        return Sequence([digits, ByteLevel(add_prefix_space=False, use_regex=True)])
    if name == "deepseek-coder":
        splits = [Split(Regex(each), behavior="isolated") for each in _DEEPSEEK_CODER]
        return Sequence([*splits, digits, ByteLevel(add_prefix_space=False, use_regex=False)])
    return None
