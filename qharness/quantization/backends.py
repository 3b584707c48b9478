"""The backends that make a run's completions, a row each: our own generation on transformers, and vLLM.

Light: `--backend` and a study's file take their choices from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qharness.errors import UnknownNameError

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

    The number is how many completions the user wants at a time; None where that is open. `coupled`: whether completions
    are drawn from our counter-based noise, so that two runs of one seed draw with common random numbers. `tokenizer`
    loads the one whose chat template renders a chat; it returns None where a server renders it.
    """

    check: Callable[[ResolvedModel], None]
    make: Callable[[Models, ResolvedModel, int | None], Made]
    coupled: bool = False
    tokenizer: Callable[[ResolvedModel], PreTrainedTokenizerBase | None] = _own_tokenizer


def _check_vllm(model: ResolvedModel) -> None:
    from qharness.models import vllm

    vllm.check(model.spec, model.checkpoint)


def _make_vllm(models: Models, model: ResolvedModel, batch_size: int | None) -> Made:
    from qharness.models import vllm

    given = vllm.arguments(model.spec, model.checkpoint, batch_size)
    return models.reuse(f"vllm {given}", lambda: vllm.serve(model.spec, model.checkpoint, given))


BACKENDS: Mapping[str, Backend] = {
    "hf": Backend(lambda _: None, lambda models, model, _: models.get(model), coupled=True),
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
