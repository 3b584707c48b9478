"""Short names of models and their prompt conventions: the two papers' models, and instruct models that people use."""

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
    """A model by a short name: its id on the Hub, its number of parameters, and the dtype that is called full.

    `paper`: that measures the model; of other models it is empty, and `family` is the name of their series. `chat`:
    whether the model was trained to answer, and is to be asked through its chat template. `tried`: what was done with
    it here; empty for nothing.
    """

    name: str
    id: str
    parameters: str
    dtype: str
    paper: str
    convention: Convention = PLAIN
    task: str = "code"
    family: str = ""
    chat: bool = False
    tried: str = ""


def _chat(
    family: str, name: str, hub_id: str, parameters: str, convention: Convention = PLAIN, tried: str = ""
) -> Preset:
    """An instruct model, which is published in bfloat16."""
    return Preset(name, hub_id, parameters, "bfloat16", "", convention, family=family, chat=True, tried=tried)


_QWEN, _DS, _CODE_LLAMA, _STARCODER = "Qwen2.5-Coder", "DeepSeek-Coder", "Code Llama", "StarCoder2"
_QWEN3, _GRANITE_CODE, _GRANITE = "Qwen3", "Granite Code", "Granite 3.3"
_PHI, _SMOLLM, _GEMMA, _LLAMA = "Phi", "SmolLM2", "Gemma", "Llama 3"
_FROM_GGUF = "these weights, from a GGUF file of 8 bits: problems of HumanEval by hf and vllm"
_PAPERS = (
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
_INSTRUCT = (
    _chat(_QWEN, "qwen2.5-coder-0.5b-instruct", "Qwen/Qwen2.5-Coder-0.5B-Instruct", "0.5B"),
    _chat(_QWEN, "qwen2.5-coder-1.5b-instruct", "Qwen/Qwen2.5-Coder-1.5B-Instruct", "1.5B"),
    _chat(_QWEN, "qwen2.5-coder-3b-instruct", "Qwen/Qwen2.5-Coder-3B-Instruct", "3B"),
    _chat(_QWEN, "qwen2.5-coder-7b-instruct", "Qwen/Qwen2.5-Coder-7B-Instruct", "7B"),
    _chat(_QWEN, "qwen2.5-coder-14b-instruct", "Qwen/Qwen2.5-Coder-14B-Instruct", "14B"),
    _chat(_QWEN, "qwen2.5-coder-32b-instruct", "Qwen/Qwen2.5-Coder-32B-Instruct", "32B"),
    _chat(_QWEN3, "qwen3-4b-instruct", "Qwen/Qwen3-4B-Instruct-2507", "4B"),
    _chat(_QWEN3, "qwen3-coder-30b-a3b-instruct", "Qwen/Qwen3-Coder-30B-A3B-Instruct", "30B"),
    _chat(_DS, "deepseek-coder-1.3b-instruct", "deepseek-ai/deepseek-coder-1.3b-instruct", "1.3B", _DEEPSEEK),
    _chat(_DS, "deepseek-coder-6.7b-instruct", "deepseek-ai/deepseek-coder-6.7b-instruct", "6.7B", _DEEPSEEK),
    _chat(_DS, "deepseek-coder-33b-instruct", "deepseek-ai/deepseek-coder-33b-instruct", "33B", _DEEPSEEK),
    _chat(_DS, "deepseek-coder-v2-lite-instruct", "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct", "16B", _DEEPSEEK),
    _chat(_CODE_LLAMA, "codellama-7b-instruct", "codellama/CodeLlama-7b-Instruct-hf", "7B", _CODELLAMA),
    _chat(_CODE_LLAMA, "codellama-13b-instruct", "codellama/CodeLlama-13b-Instruct-hf", "13B", _CODELLAMA),
    _chat(_CODE_LLAMA, "codellama-34b-instruct", "codellama/CodeLlama-34b-Instruct-hf", "34B", _CODELLAMA),
    _chat(_STARCODER, "starcoder2-15b-instruct", "bigcode/starcoder2-15b-instruct-v0.1", "15B"),
    _chat("Codestral", "codestral-22b", "mistralai/Codestral-22B-v0.1", "22B"),
    _chat(_GRANITE_CODE, "granite-3b-code-instruct", "ibm-granite/granite-3b-code-instruct-2k", "3B"),
    _chat(_GRANITE_CODE, "granite-8b-code-instruct", "ibm-granite/granite-8b-code-instruct-4k", "8B"),
    _chat(_GRANITE_CODE, "granite-20b-code-instruct", "ibm-granite/granite-20b-code-instruct-8k", "20B"),
    _chat(_GRANITE_CODE, "granite-34b-code-instruct", "ibm-granite/granite-34b-code-instruct-8k", "34B"),
    _chat(_GRANITE, "granite-3.3-2b-instruct", "ibm-granite/granite-3.3-2b-instruct", "2B"),
    _chat(_GRANITE, "granite-3.3-8b-instruct", "ibm-granite/granite-3.3-8b-instruct", "8B"),
    _chat(_PHI, "phi-3.5-mini-instruct", "microsoft/Phi-3.5-mini-instruct", "3.8B"),
    _chat(_PHI, "phi-4-mini-instruct", "microsoft/Phi-4-mini-instruct", "3.8B"),
    _chat(_SMOLLM, "smollm2-135m-instruct", "HuggingFaceTB/SmolLM2-135M-Instruct", "135M", tried=_FROM_GGUF),
    _chat(_SMOLLM, "smollm2-360m-instruct", "HuggingFaceTB/SmolLM2-360M-Instruct", "360M"),
    _chat(_SMOLLM, "smollm2-1.7b-instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct", "1.7B"),
    _chat(_GEMMA, "gemma-2-2b-it", "google/gemma-2-2b-it", "2.6B"),
    _chat(_GEMMA, "gemma-2-9b-it", "google/gemma-2-9b-it", "9B"),
    _chat(_GEMMA, "gemma-3-270m-it", "google/gemma-3-270m-it", "270M"),
    _chat(_GEMMA, "gemma-3-1b-it", "google/gemma-3-1b-it", "1B"),
    _chat(_LLAMA, "llama-3.2-1b-instruct", "meta-llama/Llama-3.2-1B-Instruct", "1.2B"),
    _chat(_LLAMA, "llama-3.2-3b-instruct", "meta-llama/Llama-3.2-3B-Instruct", "3.2B"),
    _chat(_LLAMA, "llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B-Instruct", "8B"),
)
_TABLE = (*_PAPERS, *_INSTRUCT)
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
