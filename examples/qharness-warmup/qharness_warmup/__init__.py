"""A quantizer and a benchmark, registered with qharness through the entry point in pyproject.toml."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from qharness import QuantizationContext, Quantizer, TaskSource, hookimpl, option, test_split

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Ternary:
    """Weights rounded to -s, 0 and s, with one s for each output feature."""

    name: ClassVar[str] = "ternary"
    needs_calibration: ClassVar[bool] = False
    batch_dependent: ClassVar[bool] = False

    threshold: float = option(0.7, "weights below this fraction of the row's mean magnitude become 0")

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> PreTrainedModel:
        """Round every Linear of the transformer blocks in place."""
        from qharness import block_linears

        for linear in block_linears(model).values():
            magnitude = linear.weight.abs()
            kept = magnitude >= self.threshold * magnitude.mean(dim=1, keepdim=True)
            scale = (magnitude * kept).sum(dim=1, keepdim=True) / kept.sum(dim=1, keepdim=True).clamp(min=1)
            linear.weight.data = linear.weight.sign() * kept * scale
        return model


def rows(language: str) -> list[dict[str, Any]]:
    """The problems of one language."""
    lines = (HERE / "problems.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["language"] == language]


def python_dataset(**metadata: Any) -> dict[str, Dataset]:
    """The Python problems, for lm-eval."""
    return test_split(rows("python"))


def java_dataset(**metadata: Any) -> dict[str, Dataset]:
    """The Java problems, for lm-eval."""
    return test_split(rows("java"))


@hookimpl
def qharness_quantizers() -> list[type[Quantizer]]:
    """Offer `ternary`."""
    return [Ternary]


@hookimpl
def qharness_tasks() -> list[TaskSource]:
    """Offer `warmup-python` and `warmup-java`."""
    return [TaskSource(HERE)]
