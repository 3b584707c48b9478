"""What a preset says of a model's prompts, applied. A model keeps its preset's name in its configuration, so that
quantized checkpoints, and copies in a folder, are prompted as the model itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qharness.errors import ModelError
from qharness.presets import Preset, find_preset

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

KEY = "qharness_preset"


def mark(config: PretrainedConfig, name: str) -> None:
    """Note the preset of a name or an id in the configuration; it may be noted there already."""
    if preset := find_preset(name):
        setattr(config, KEY, preset.name)


def preset_of(config: PretrainedConfig) -> Preset | None:
    """The preset that a configuration names."""
    name = getattr(config, KEY, None)
    return find_preset(name) if isinstance(name, str) else None


def apply_conventions(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Set the language of an encoder-decoder's input, and the token its output begins with.

    Raises ModelError if the tokenizer lacks a token that the preset names.
    """
    preset = preset_of(model.config)
    if preset is None:
        return
    for token in filter(None, (preset.begin, preset.source_language, preset.decoder_start)):
        if tokenizer.convert_tokens_to_ids(token) in (None, tokenizer.unk_token_id):
            raise ModelError(f"the tokenizer has no {token}, with which preset {preset.name!r} prompts its model")
    if preset.source_language:
        tokenizer.src_lang = preset.source_language
    if preset.decoder_start and model.generation_config is not None:
        model.generation_config.decoder_start_token_id = tokenizer.convert_tokens_to_ids(preset.decoder_start)


def begun(ids: list[int], preset: Preset | None, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """A prompt's tokens, with the one that begins it if it is missing."""
    if preset is None or not preset.begin:
        return ids
    begin = tokenizer.convert_tokens_to_ids(preset.begin)
    assert isinstance(begin, int)
    return ids if ids[:1] == [begin] else [begin, *ids]
