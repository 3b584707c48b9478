"""`--backend llamacpp`: a GGUF file in this process, at the file's own width, by llama.cpp.

Prompts are tokenized here, by the file's tokenizer, so that they are those of `--backend hf`. The package xllamacpp
brings llama.cpp; it computes as many completions together as there are slots.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from qharness.errors import MissingDependencyError, ModelError, first_line
from qharness.models.chat_template import render_chat
from qharness.models.checkpoint import Checkpoint
from qharness.models.completion_keys import CompletionRequest
from qharness.models.concurrent_lm import ConcurrentLM
from qharness.models.conventions import marked, with_bos_token
from qharness.models.decoding import cut_at_stop
from qharness.models.encoding import AddedTokens, cut_prompt, encode_text, longest_prompt
from qharness.models.lm_interface import Facts
from qharness.models.loading import load_tokenizer
from qharness.models.special_tokens import SpecialTokens
from qharness.specs import ModelSpec
from qharness.storage.json_values import JsonObject

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AT_A_TIME = 4
"""Slots, where the user has not said how many: completions that are computed together."""
_SILENT = -1  # llama.cpp's log level for nothing
_ALL_LAYERS = 10_000


def check(spec: ModelSpec, checkpoint: Checkpoint) -> None:
    """Raise ModelError for a model that llama.cpp cannot run, MissingDependencyError where it is not installed."""
    if checkpoint.gguf_file is None:
        raise ModelError(f"--backend llamacpp runs GGUF files, and model {spec.model!r} is none: --backend hf runs it")
    if spec.quant != "none":
        raise ModelError(
            f"--backend llamacpp runs a GGUF file as it is, and --quant {spec.quant} would have no effect: quantize "
            "with --backend hf, or give a file of that width as --model and its parent as --baseline"
        )
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingDependencyError("xllamacpp", "pip install 'qharness[llamacpp]'")


class LlamaCppModel:
    """A GGUF file that llama.cpp has loaded, or will load when it is known how long the texts are."""

    composition: Mapping[str, int] | None = None
    log: Sequence[str] = ()
    untouched: None = None

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        self.checkpoint, self.device = checkpoint, device
        self.tokenizer = load_tokenizer(checkpoint)
        self._server: _Server | None = None

    def lm(self, seed: int, batch_size: int | None) -> LlamaCppRun:
        """The model for one run."""
        return LlamaCppRun(self, seed, batch_size or AT_A_TIME)

    @cached_property
    def max_length(self) -> int:
        """The most tokens that a text of the model may have."""
        return int(getattr(self.checkpoint.config.get_text_config(), "max_position_embeddings", None) or 2048)

    def server(self, slots: int, length: int) -> _Server:
        """llama.cpp with at least that many tokens for each of that many slots; a smaller one is let go first."""
        if self._server is None or self._server.slots != slots or self._server.length < length:
            self._server = None
            self._server = _Server(self, slots, length)
        return self._server


class _Server:
    """llama.cpp's engine on one file, asked by any number of threads."""

    def __init__(self, model: LlamaCppModel, slots: int, length: int) -> None:
        import xllamacpp

        self.slots, self.length = slots, length
        params = xllamacpp.CommonParams()
        params.model.path = str(model.checkpoint.gguf_file)
        params.verbosity = _SILENT
        params.n_parallel, params.n_ctx = slots, slots * length
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
        params.n_gpu_layers = 0 if model.device == "cpu" else _ALL_LAYERS
        params.special = True  # special tokens are written, so that they end a completion as they do with `hf`
        params.cache_prompt = False  # or a completion would depend on those before it, by rounding
        try:
            self._engine = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ModelError(f"llama.cpp does not run {model.checkpoint.gguf_file}: {first_line(error)}") from None

    def complete(self, question: Mapping[str, object], until: Sequence[str], stopping: threading.Event) -> str:
        """The text that llama.cpp writes, cut at its stop sequences. Raises ModelError, also if `stopping` is set.

        The sequences are looked for here: llama.cpp holds back text that may begin one, and drops it at the end.
        """
        text, error = "", ""

        def take(chunk: JsonObject) -> bool:
            """Collect a part of the answer; True ends it."""
            nonlocal text, error
            if "error" in chunk:
                error = str(chunk["error"].get("message", "")).partition("\n")[0] or "it fails"
            else:
                text += chunk["choices"][0]["text"]
            return bool(error) or stopping.is_set() or cut_at_stop(text, until) != text

        self._engine.handle_completions({**question, "stream": True}, take)
        if error or stopping.is_set():
            raise ModelError(f"llama.cpp: {error or 'interrupted'}")
        return cut_at_stop(text, until)


class LlamaCppRun(ConcurrentLM):
    """One run of a GGUF file by llama.cpp."""

    backend = "llamacpp"
    ends_when_stopped = True

    def __init__(self, model: LlamaCppModel, seed: int, at_a_time: int) -> None:
        super().__init__(seed, at_a_time)
        self._model = model
        self.tokenizer: PreTrainedTokenizerBase = model.tokenizer
        special = sorted(SpecialTokens(self.tokenizer).ids)
        self._ends = [text for text in self.tokenizer.convert_ids_to_tokens(special) if text]
        self._prompts: dict[int, list[int]] = {}
        self._truncated = 0
        self.chat_template_args: dict[str, bool] = {}

    @property
    def tokenizer_name(self) -> str:
        """The tokenizer's name, for lm-eval."""
        return str(self.tokenizer.name_or_path)

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The template of the file's tokenizer, for lm-eval's record."""
        return str(self.tokenizer.get_chat_template()) if chat_template else ""

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The messages in the tokenizer's template; without a generation prompt the last one is left open."""
        return render_chat(self.tokenizer, chat_history, self.chat_template_args, begun=not add_generation_prompt)

    def prepare(self, requests: Sequence[CompletionRequest]) -> None:
        """Tokenize the prompts, and load the file with room for the longest text."""
        self._prompts = {request.place: self._encode(request) for request in requests}
        longest = max(len(self._prompts[request.place]) + request.decoding.max_new_tokens for request in requests)
        self._engine = self._model.server(self._threads, min(longest + 1, self._model.max_length))

    def _encode(self, request: CompletionRequest) -> list[int]:
        """A prompt's tokens, cut from the left where less than `max_new_tokens` and half of the context is left."""
        convention = marked(self._model.checkpoint.config)
        text = convention.prefixes.get(request.language, "") + request.prompt
        ids = with_bos_token(encode_text(self.tokenizer, text, encoder=False), convention, self.tokenizer)
        begin = with_bos_token(list(AddedTokens.of(self.tokenizer).before), convention, self.tokenizer)
        longest = longest_prompt(self._model.max_length, request.decoding.max_new_tokens)
        self._truncated += len(ids) > longest
        return list(cut_prompt(ids, begin, longest))

    def complete(self, request: CompletionRequest, stopping: threading.Event) -> str:
        """Draw a completion with its own seed, or the likeliest tokens at temperature 0; no token is penalized."""
        decoding = request.decoding
        question = {
            "prompt": self._prompts[request.place],
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": 0 if decoding.temperature > 0 else 1,
            "min_p": 0.0,
            "repeat_penalty": 1.0,
            "seed": request.seed,
        }
        return self._engine.complete(question, [*decoding.until, *self._ends], stopping)

    def facts(self) -> Facts:
        """The bytes of the file, which llama.cpp maps into memory, and the width of its weights."""
        from importlib.metadata import version

        file = self._model.checkpoint.gguf_file
        size = file.stat().st_size if file else None
        notes = [f"completions are llama.cpp's (xllamacpp {version('xllamacpp')}), each with a seed of its own"]
        if self._truncated:
            notes.append(f"{self._truncated} prompts were cut from the left to fit {self._model.max_length} tokens")
        return Facts(self._model.device, None, size, size, notes=notes, storage_bytes=size)
