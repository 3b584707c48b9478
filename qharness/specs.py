"""What a run is asked to be. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qharness.bounds import check_fields

DEFAULT_MODEL = "tinycoder"  # bundled; `./tinycoder` is a folder of that name


@dataclass(frozen=True)
class RunSpec:
    """One cell: a model, quantized, on a task. None means the task's own default.

    `backend`: what makes the completions, `hf` (ours, on transformers) or `vllm`. `allow_untouched`: also where more
    than half of what is to be quantized stays in full precision. `trust_remote_code`: run the Python
    code that a checkpoint brings.
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
    data_dir: Path | None = None
    output: Path = Path("runs")
    baseline: str | None = None
    compare: bool = True

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def base_task(self) -> str:
        """The task, without its perturbations."""
        return self.task.partition("@")[0]

    @property
    def perturbation(self) -> str:
        """The task's perturbations, as in its name; empty for none."""
        return self.task.partition("@")[2]
