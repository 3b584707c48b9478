"""What makes a run's completions: a row each for our own generation on transformers, and for vLLM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from qharness.errors import UnknownNameError
from qharness.models import vllm
from qharness.specs import RunSpec

if TYPE_CHECKING:
    from qharness.models.lm import Completion, Key
    from qharness.models.untouched import Untouched
    from qharness.quantization.quantized_models import Models


@dataclass(frozen=True)
class Facts:
    """What a run's document says of what made it. Bytes are None where they are not known."""

    device: str
    dtype: str
    resident_bytes: int | None = None
    weight_bytes: int | None = None
    layers: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


class RunLM(Protocol):
    """A model as lm-eval asks it, that takes completions which are known already and tells those that it makes.

    `seconds`: spent on generation. `at_a_time`, `batches`: completions together, where that is ours to say.
    """

    known: dict[Key, str]
    on_batch: Callable[[Sequence[Completion]], None]
    batch_dependent: bool
    seconds: float
    at_a_time: int | None
    batches: list[list[tuple[int, int]]]

    def facts(self) -> Facts:
        """What it ran on, once it has run."""
        ...


class Made(Protocol):
    """A model that is ready to run, and what is known of its quantization."""

    @property
    def composition(self) -> Mapping[str, int] | None:
        """Sequences by source."""
        ...

    @property
    def log(self) -> Sequence[str]:
        """What its quantizer said."""
        ...

    @property
    def untouched(self) -> Untouched | None:
        """What its quantizer left in full precision; None where nothing was quantized."""
        ...

    def lm(self, spec: RunSpec) -> Any:
        """A RunLM, which is an LM of lm-eval's too, for one run."""
        ...


@dataclass(frozen=True)
class Backend:
    """`check` raises, before anything is made, what keeps a spec from running; `make` makes a definite spec's model."""

    check: Callable[[RunSpec], None]
    make: Callable[[Models, RunSpec], Made]


BACKENDS = {
    "hf": Backend(lambda _: None, lambda models, spec: models.get(spec)),
    "vllm": Backend(vllm.check, vllm.make),
}


def backend_of(spec: RunSpec) -> Backend:
    """The backend a spec names; raise UnknownNameError."""
    if spec.backend not in BACKENDS:
        raise UnknownNameError("backend", spec.backend, BACKENDS)
    return BACKENDS[spec.backend]
