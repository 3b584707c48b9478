"""What models expect of their input, applied.

A model keeps its preset's name in its configuration, so that checkpoints made of it are prompted as it is itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qharness.errors import ModelError
from qharness.models.presets import PLAIN, Convention, convention_of, preset_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

KEY = "qharness_preset"


def mark(config: PretrainedConfig, model: str) -> None:
    """Note the preset of a name or an id in the configuration, where a folder may have noted it already."""
    if preset := preset_of(model):
        setattr(config, KEY, preset.name)


def marked(config: PretrainedConfig) -> Convention:
    """The convention of the preset that a configuration names."""
    name = getattr(config, KEY, None)
    return convention_of(name) if isinstance(name, str) else PLAIN


def follow(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Set the tokenizer's options, and the token that a decoder starts with. Raises ModelError for no token."""
    convention = marked(model.config)
    for option, value in convention.tokenizer.items():
        setattr(tokenizer, option, value)
    if convention.begin:
        token_id(tokenizer, convention.begin)
    if convention.decoder_start and model.generation_config is not None:
        model.generation_config.decoder_start_token_id = token_id(tokenizer, convention.decoder_start)


def begun(ids: list[int], convention: Convention, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """A prompt's tokens, with the one that begins it if the tokenizer has not put it there."""
    if not convention.begin:
        return ids
    begin = token_id(tokenizer, convention.begin)
    return ids if ids[:1] == [begin] else [begin, *ids]


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """A token's number; raise ModelError where the tokenizer has no such token."""
    number = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(number, int) or number == tokenizer.unk_token_id:
        raise ModelError(f"the tokenizer has no token {token}, which this model's preset asks for")
    return number
