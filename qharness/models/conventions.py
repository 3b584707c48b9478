"""Applies the conventions of presets to models, tokenizers and prompts.

A model's configuration holds its preset's name, so that checkpoints made of it are prompted as the model itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qharness.errors import ModelError
from qharness.models.presets import PLAIN, Convention, convention_of, preset_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

KEY = "qharness_preset"


def mark(config: PretrainedConfig, model: str) -> None:
    """Write the preset of a model's name or id into its configuration, if it has one."""
    if preset := preset_of(model):
        setattr(config, KEY, preset.name)


def marked(config: PretrainedConfig) -> Convention:
    """The convention of the preset that a configuration names, the plain one if it names none."""
    name = getattr(config, KEY, None)
    return convention_of(name) if isinstance(name, str) else PLAIN


def follow(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Set the tokenizer's options and the decoder's start token. Raises ModelError for a token that is missing."""
    convention = marked(model.config)
    for option, value in convention.tokenizer.items():
        setattr(tokenizer, option, value)
    if convention.bos_token:
        token_id(tokenizer, convention.bos_token)
    if convention.decoder_start_token and model.generation_config is not None:
        model.generation_config.decoder_start_token_id = token_id(tokenizer, convention.decoder_start_token)


def with_bos_token(ids: list[int], convention: Convention, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """A prompt's tokens, after the convention's bos token if they do not begin with it already."""
    if not convention.bos_token:
        return ids
    bos_token_id = token_id(tokenizer, convention.bos_token)
    return ids if ids[:1] == [bos_token_id] else [bos_token_id, *ids]


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The number of a token; raise ModelError if the tokenizer has none of that text."""
    number = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(number, int) or number == tokenizer.unk_token_id:
        raise ModelError(f"the tokenizer has no token {token}, which this model's preset asks for")
    return number
