"""Short names and prompt conventions of the two papers' models. Written from memory of the Hub; untried."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

_WEI, _GIAGNORIO = "Wei et al. 2023", "Giagnorio et al. 2025"


@dataclass(frozen=True)
class Convention:
    """The parts of a model's input that its tokenizer does not add by itself.

    `bos_token`: the token that begins every prompt. `prefixes`: the text before a prompt, by its document's language.
    `tokenizer`: options to load the tokenizer with. `decoder_start_token`: the token that a decoder begins with.
    """

    bos_token: str = ""
    prefixes: Mapping[str, str] = field(default_factory=dict)
    tokenizer: Mapping[str, str] = field(default_factory=dict)
    decoder_start_token: str | None = None


PLAIN = Convention()
# A file's name is metadata in InCoder's training: `--prefix` in bigcode-evaluation-harness, which names this one.
_INCODER = Convention("<|endoftext|>", {"python": "<| file ext=.py |>\n"})
_CODELLAMA = Convention("<s>")
_DEEPSEEK = Convention("<｜begin▁of▁sentence｜>")  # noqa: RUF001 - so it is written
# Its encoder reads `code </s> __python__`, and its decoder starts with the language to write in.
_PLBART = Convention(tokenizer={"src_lang": "python", "tgt_lang": "en_XX"}, decoder_start_token="__en_XX__")  # noqa: S106 - no password


@dataclass(frozen=True)
class Preset:
    """A model of a paper: its id on the Hub, its number of parameters, and the dtype that the paper calls full."""

    name: str
    id: str
    parameters: str
    dtype: str
    paper: str
    convention: Convention = PLAIN
    task: str = "code"


_TABLE = (
    Preset("codegen-350m", "Salesforce/codegen-350M-mono", "350M", "float32", _WEI),
    Preset("codegen-2b", "Salesforce/codegen-2B-mono", "2B", "float32", _WEI),
    Preset("codegen-6b", "Salesforce/codegen-6B-mono", "6B", "float32", _WEI),
    Preset("codegen-16b", "Salesforce/codegen-16B-mono", "16B", "float32", _WEI),
    Preset("incoder-1b", "facebook/incoder-1B", "1.3B", "float32", _WEI, _INCODER),
    Preset("incoder-6b", "facebook/incoder-6B", "6.7B", "float32", _WEI, _INCODER),
    Preset("codet5-sum", "Salesforce/codet5-base-multi-sum", "220M", "float32", _WEI, task="summary"),
    Preset("codet5-sum-python", "Salesforce/codet5-base-codexglue-sum-python", "220M", "float32", _WEI, task="summary"),
    Preset("plbart-sum-python", "uclanlp/plbart-python-en_XX", "140M", "float32", _WEI, _PLBART, "summary"),
    Preset("codellama-7b", "codellama/CodeLlama-7b-hf", "7B", "float16", _GIAGNORIO, _CODELLAMA),
    Preset("codellama-13b", "codellama/CodeLlama-13b-hf", "13B", "float16", _GIAGNORIO, _CODELLAMA),
    Preset("codellama-34b", "codellama/CodeLlama-34b-hf", "34B", "float16", _GIAGNORIO, _CODELLAMA),
    Preset("deepseek-coder-1.3b", "deepseek-ai/deepseek-coder-1.3b-base", "1.3B", "float16", _GIAGNORIO, _DEEPSEEK),
    Preset("deepseek-coder-6.7b", "deepseek-ai/deepseek-coder-6.7b-base", "6.7B", "float16", _GIAGNORIO, _DEEPSEEK),
    Preset("deepseek-coder-33b", "deepseek-ai/deepseek-coder-33b-base", "33B", "float16", _GIAGNORIO, _DEEPSEEK),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _TABLE}
_BY_ID = {preset.id: preset for preset in _TABLE}


def preset_of(model: str) -> Preset | None:
    """The preset of a name or an id; None if there is none."""
    return PRESETS.get(model) or _BY_ID.get(model)


def convention_of(model: str) -> Convention:
    """The convention of a model of the table, by its name or its id; the plain one of any other model."""
    preset = preset_of(model)
    return preset.convention if preset else PLAIN


def hint(name: str) -> str:
    """The end of an error message that names presets like `name`; empty for an id or a path, and if none is like it."""
    near = [] if "/" in name else difflib.get_close_matches(name.lower(), PRESETS, n=3)
    return f"; did you mean {', '.join(near)}?" if near else ""
