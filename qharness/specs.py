"""What a user asks for: a run, a model, a task, how to sample. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from qharness.bounds import Bound, check_fields, shortened
from qharness.errors import SettingError

DEFAULT_MODEL = "tinycoder"  # bundled; `./tinycoder` is a folder of that name
RAW = "raw"
"""The prompts of a run that is no chat: the benchmark's own texts."""
_MARGIN = Bound(float, 0, 99, above=True)  # percent, or percent points


@dataclass(frozen=True)
class ModelSpec:
    """A model, how it is quantized and where it runs, as the user spells it; `bind_model` makes the plugins it names.

    `quant`, `calib`: spec strings; `calib` None is the default set. `parent`: the model whose tokenizer is taken where
    the checkpoint has none. `data_dir`: a local mirror of the calibration sets' data. `allow_untouched`: also where
    more than half of the blocks' parameters stays in full precision. `trust_remote_code`: run the Python code that a
    checkpoint brings. `base_url`: the OpenAI-compatible server that holds the model, which then has no checkpoint here;
    `api_key_env`: the environment variable with the key to it.
    """

    model: str = DEFAULT_MODEL
    quant: str = "none"
    calib: str | None = None
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    data_dir: Path | None = None
    allow_untouched: bool = False
    trust_remote_code: bool = False
    base_url: str | None = None
    api_key_env: str | None = None
    parent: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn, and how many of each problem; None means the task's own default."""

    samples: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None

    @property
    def first_option(self) -> str | None:
        """The command-line option of the first field that is given; None where all are the task's own."""
        given = (name for name, value in vars(self).items() if value is not None)
        return next((f"--{name.replace('_', '-')}" for name in given), None)


@dataclass(frozen=True)
class TaskName:
    """A task's name, `BASE` or `BASE@PERTURBATION[+PERTURBATION]`; `perturbation` is empty for none."""

    base: str
    perturbation: str = ""

    @classmethod
    def of(cls, name: str) -> TaskName:
        """Split a name at its first `@`; nothing is checked."""
        base, _, perturbation = name.partition("@")
        return cls(base, perturbation)

    def __str__(self) -> str:
        return f"{self.base}@{self.perturbation}" if self.perturbation else self.base


@dataclass(frozen=True)
class MaxLoss:
    """The greatest loss of pass@1 that the user can bear: points, or with `relative` percent of full precision's."""

    amount: float = 2.0
    relative: bool = False

    def __post_init__(self) -> None:
        if complaint := _MARGIN.complaint(self.amount):
            raise SettingError(f"--max-loss {complaint}")

    @classmethod
    def of(cls, text: str) -> MaxLoss:
        """Parse `POINTS` or `PERCENT%`. Raises SettingError for anything else."""
        number = text.strip().removesuffix("%")
        try:
            amount = float(number)
        except ValueError:
            raise SettingError(f"--max-loss must be points, as 2, or percent, as 5%, not {text!r}") from None
        return cls(amount, text.strip().endswith("%"))

    def __str__(self) -> str:
        return f"{self.amount:g}%" if self.relative else f"{self.amount:g}"

    @property
    def unit(self) -> str:
        """What losses are counted in, for a heading."""
        return "% of full precision's" if self.relative else "points"

    @property
    def fraction(self) -> float:
        """The amount as a fraction, 0 to 1."""
        return self.amount / 100


@dataclass(frozen=True)
class Drawn:
    """The part of a run that `choose` makes: the first `pairs` of its completions in the random order of a seed."""

    order: int
    pairs: int = 0


@dataclass(frozen=True)
class RunSpec:
    """One run: a model, quantized, on a task. None means the task's own default.

    `backend`: what makes the completions, `hf` (ours, on transformers), `llamacpp`, `openai` (the server at `base_url`,
    with the key in the environment variable `api_key_env`) or `vllm`. `allow_untouched`: also where more than half of
    what is to be quantized stays in full precision. `trust_remote_code`: run the Python code that a checkpoint brings.
    `baseline`: the model to compare with; or `baseline_run`: a finished run's folder. `chat`: put the problems to the
    model through its tokenizer's chat template, after the `system` text if there is one; without `think`, with the
    template's switch for thinking off. `language`: the spec string of a language, with whose options programs in it are
    run. `max_loss`: the margin of the verdict, which decides no completion. `drawn`: of runs that `choose` makes in
    part.
    """

    task: str
    model: str = DEFAULT_MODEL
    quant: str = "none"
    calib: str | None = None
    samples: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    limit: int | None = None
    seed: int = 0
    batch_size: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    backend: str = "hf"
    allow_unsandboxed: bool = False
    allow_untouched: bool = False
    trust_remote_code: bool = False
    base_url: str | None = None
    api_key_env: str | None = None
    data_dir: Path | None = None
    output: Path = Path("runs")
    baseline: str | None = None
    baseline_run: Path | None = None
    compare: bool = True
    chat: bool = False
    system: str | None = None
    think: bool = True
    language: str | None = None
    max_loss: MaxLoss = MaxLoss()
    drawn: Drawn | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.chat and (self.system is not None or not self.think):
            raise SettingError(f"{'--no-think' if self.system is None else '--system'} is for a chat: add --chat")

    def settled(self, model: ModelSpec, sampling: Sampling) -> RunSpec:
        """The same request with this model, but for `parent`, and this sampling."""
        shared = {name: value for name, value in vars(model).items() if name != "parent"}
        return dataclasses.replace(self, **shared, **vars(sampling))

    @property
    def model_spec(self) -> ModelSpec:
        """The model that is run; its tokenizer may be the baseline's."""
        return ModelSpec(
            self.model,
            self.quant,
            self.calib,
            self.seed,
            self.device,
            self.dtype,
            self.data_dir,
            self.allow_untouched,
            self.trust_remote_code,
            self.base_url,
            self.api_key_env,
            parent=self.baseline,
        )

    @property
    def sampling(self) -> Sampling:
        """How completions are drawn."""
        return Sampling(self.samples, self.temperature, self.top_p, self.max_new_tokens)

    @property
    def prompting(self) -> str:
        """The form of the prompts, for tables: `raw`, or `chat` with its settings other than the default."""
        if not self.chat:
            return RAW
        system = [] if self.system is None else [f"system {shortened(self.system)}"]
        return ", ".join(["chat", *([] if self.think else ["no thinking"]), *system])

    def with_prompting(self, name: str) -> str:
        """A name, with the form of the prompts after it where they are not raw."""
        return name if self.prompting == RAW else f"{name}, {self.prompting}"

    @property
    def task_name(self) -> TaskName:
        """The task, and its perturbations apart."""
        return TaskName.of(self.task)

    @property
    def base_task(self) -> str:
        """The task, without its perturbations."""
        return self.task_name.base

    @property
    def perturbation(self) -> str:
        """The task's perturbations, as in its name; empty for none."""
        return self.task_name.perturbation
