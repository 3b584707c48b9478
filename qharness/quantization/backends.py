"""The backends that make a run's completions, a row each: our own generation on transformers, llama.cpp, servers, vLLM.

Light: `--backend` and a study's file take their choices from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qharness.bounds import shortened
from qharness.errors import ModelError, UnknownNameError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from qharness.models.lm_interface import Made
    from qharness.quantization.quantized_models import Models
    from qharness.quantization.resolution import ResolvedModel


def _own_tokenizer(model: ResolvedModel) -> PreTrainedTokenizerBase:
    from qharness.models.loading import load_tokenizer

    return load_tokenizer(model.checkpoint, model.spec.parent)


@dataclass(frozen=True)
class Backend:
    """`check` raises, before anything is made, for a model that it does not run; `make` makes a model ready to run.

    The number is how many completions the user wants at a time; None where that is open. `baseline_backend`: the
    backend that makes the run to compare with; None: the same. `at_address`: its models are a server's at --base-url.
    `tokenizer` loads the tokenizer whose chat template renders a chat; it returns None where a server renders it.
    `coupled`: whether completions are drawn from our counter-based noise, so that two runs of one seed draw with common
    random numbers.
    """

    check: Callable[[ResolvedModel], None]
    make: Callable[[Models, ResolvedModel, int | None], Made]
    baseline_backend: str | None = None
    at_address: bool = False
    coupled: bool = False
    tokenizer: Callable[[ResolvedModel], PreTrainedTokenizerBase | None] = _own_tokenizer


def _check_vllm(model: ResolvedModel) -> None:
    from qharness.models import vllm

    vllm.check(model.spec, model.checkpoint)


def _make_vllm(models: Models, model: ResolvedModel, batch_size: int | None) -> Made:
    from qharness.models import vllm

    given = vllm.arguments(model.spec, model.checkpoint, batch_size)
    return models.reuse(f"vllm {given}", lambda: vllm.serve(model.spec, model.checkpoint, given))


def _check_llamacpp(model: ResolvedModel) -> None:
    from qharness.models import llamacpp

    llamacpp.check(model.spec, model.checkpoint)


def _make_llamacpp(models: Models, model: ResolvedModel, _: int | None) -> Made:
    from qharness.models import llamacpp

    key = f"llamacpp {model.source.identity} {model.spec.device}"
    return models.reuse(key, lambda: llamacpp.LlamaCppModel(model.checkpoint, model.spec.device))


def _check_openai(model: ResolvedModel) -> None:
    from qharness.models import openai_server

    openai_server.connect(model.spec, model.source)


def _make_openai(models: Models, model: ResolvedModel, _: int | None) -> Made:
    from qharness.models import openai_server

    return models.reuse(f"openai {model.source.identity}", lambda: openai_server.connect(model.spec, model.source))


BACKENDS: Mapping[str, Backend] = {
    "hf": Backend(lambda _: None, lambda models, model, _: models.get(model), coupled=True),
    "llamacpp": Backend(_check_llamacpp, _make_llamacpp, baseline_backend="hf"),
    "openai": Backend(_check_openai, _make_openai, at_address=True, tokenizer=lambda _: None),
    "vllm": Backend(_check_vllm, _make_vllm),
}

if TYPE_CHECKING:
    BackendName = str
else:
    BackendName = Literal[tuple(BACKENDS)]
"""The names in the table: the choices of `--backend`, and of `backend` in a study's file."""


def find_backend(name: str) -> Backend:
    """The backend of that name. Raises UnknownNameError."""
    if name not in BACKENDS:
        raise UnknownNameError("backend", name, BACKENDS)
    return BACKENDS[name]


def check_address(name: str, base_url: str | None, api_key_env: str | None = None) -> None:
    """Raise ModelError where a backend lacks its server's address, or has an address or a key and asks no server."""
    needed = find_backend(name).at_address
    if needed and base_url is None:
        raise ModelError(f"--backend {name} asks a server: say where, as with --base-url http://localhost:8080/v1")
    if api_key_env is not None and not needed:
        raise ModelError(
            f"--api-key-env {shortened(api_key_env)}: --backend {name} asks no server; --backend openai does"
        )
    if base_url is not None and not needed:
        raise ModelError(f"--base-url {base_url}: --backend {name} asks no server; --backend openai does")
