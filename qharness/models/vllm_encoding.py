"""lm-eval's VLLM with the tokens of `--backend hf`, and stop sequences that vLLM accepts."""

from __future__ import annotations

from typing import Any

from lm_eval.models.vllm_causallms import VLLM

from qharness.models.conventions import with_bos_token
from qharness.models.encoding import encode_text
from qharness.models.presets import Convention


class EncodingVLLM(VLLM):  # type: ignore[misc]
    """VLLM that tokenizes as this package does, also with tokenizers that name no end token."""

    convention = Convention()

    def tok_encode(
        self, string: str | list[str], add_special_tokens: bool | None = None, **_: Any
    ) -> list[int] | list[list[int]]:
        """A text's tokens, or those of several; no end token after them."""
        special = add_special_tokens is not False
        if isinstance(string, str):
            return self._encode(string, special)
        return [self._encode(each, special) for each in string]

    def _encode(self, text: str, special: bool) -> list[int]:
        ids = encode_text(self.tokenizer, text, encoder=False, special=special) if text else []
        return with_bos_token(ids, self.convention, self.tokenizer) if special and ids else ids

    @property
    def eot_token_id(self) -> int | list[int]:
        """The end token; no tokens, which decode to nothing, where the tokenizer has none."""
        token = self.tokenizer.eos_token_id
        return [] if token is None else int(token)

    @staticmethod
    def modify_gen_kwargs(
        gen_kwargs: dict[str, Any], eos: str | list[str] | None = None, default_max_gen_toks: int = 256
    ) -> tuple[dict[str, Any], list[str], int]:
        """lm-eval's options without the empty stop sequence that a missing end token gives."""
        options, until, most = VLLM.modify_gen_kwargs(gen_kwargs, eos=eos, default_max_gen_toks=default_max_gen_toks)
        return options, [stop for stop in until if stop], most
