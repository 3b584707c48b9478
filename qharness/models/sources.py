"""What a document says of how an encoder is to read it: how much of it, and in which languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Source:
    """A task's documents may say this; decoder-only models ignore it.

    `max_tokens`: what follows is cut off, special tokens counted in. `language`, `target_language`: for tokenizers
    that mark them, as PLBART's does; others ignore them.
    """

    max_tokens: int | None = None
    language: str | None = None
    target_language: str | None = None

    @classmethod
    def of(cls, doc: Mapping[str, Any]) -> Source:
        """Read a document's `max_source_tokens`, `source_language` and `target_language`."""
        return cls(*(doc.get(name) for name in ("max_source_tokens", "source_language", "target_language")))

    def encode(self, tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[list[int], bool]:
        """Token ids of a prompt, and whether they are of its beginning only, for it is longer than the task reads."""
        if _code(tokenizer, self.language) is not None:
            tokenizer.src_lang = self.language
        ids = list(tokenizer(text)["input_ids"])
        if self.max_tokens is None or len(ids) <= self.max_tokens:
            return ids, False
        return list(tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"]), True

    def first(self, tokenizer: PreTrainedTokenizerBase) -> int | None:
        """The token that a decoder begins with to write the target language; None: the model's own."""
        return _code(tokenizer, self.target_language)


def _code(tokenizer: PreTrainedTokenizerBase, language: str | None) -> int | None:
    """A language's token, by its name or by PLBART's form of it."""
    codes: Mapping[str, int] = getattr(tokenizer, "lang_code_to_id", None) or {}
    forms = (language, f"__{language}__") if language else ()
    return next((int(codes[form]) for form in forms if form in codes), None)
