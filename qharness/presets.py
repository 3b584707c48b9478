"""Presets: short names of the papers' models, with their precision and what their prompts begin with."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Preset:
    """A model of a paper: an id of the Hub's, and how it was run.

    `parameters`: as the paper counts them. `dtype`: of full precision. `begin`: the token that a prompt begins with,
    put there if the tokenizer does not. `prefixes`: what stands before a prompt, by the document's programming
    language. `source_language`, `decoder_start`: language tokens of an encoder-decoder, of its input and of what its
    output begins with.
    """

    name: str
    id: str
    parameters: str
    dtype: str
    paper: str
    begin: str = ""
    prefixes: Mapping[str, str] = field(default_factory=dict)
    source_language: str = ""
    decoder_start: str = ""

    def prefixed(self, prompt: str, language: object) -> str:
        """A prompt with what stands before it in a document of this programming language."""
        return self.prefixes.get(str(language), "") + prompt


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by name, in the file's order."""
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {name: Preset(name, **fields) for name, fields in table.items()}


def model_id(name: str) -> str:
    """The id that a preset's name stands for; any other name is returned as it is."""
    return presets()[name].id if name in presets() else name


def preset_dtype(name: str) -> str:
    """The dtype that a preset's name stands for; `auto` for any other name, an id among them."""
    return presets()[name].dtype if name in presets() else "auto"


def find_preset(name: str) -> Preset | None:
    """The preset of a name or an id, if there is one."""
    return presets().get(name) or next((preset for preset in presets().values() if preset.id == name), None)
