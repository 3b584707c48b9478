"""What does quantizing this code model cost, and what does it save?

Plugins import from this module and from no other of the package. Names that need torch or lm-eval load on first use.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from qharness.answers.names import NameRules, names_in
from qharness.answers.syntax_table import SyntaxTable
from qharness.api.answers import AnswerLanguage, AnswerSyntax, Opening, Piece, Role
from qharness.api.calibration_sets import Calibration, CalibrationSet
from qharness.api.hooks import CheckedOptions, hookimpl, option
from qharness.api.languages import Cases, Language, Limits, Outcome, Program, Status, TestsNeed, Toolchain
from qharness.api.perturbations import Perturbation
from qharness.api.quantizers import (
    BlockwiseQuantizer,
    CheckpointFormat,
    CheckpointReaders,
    LayerForm,
    LoadCheckpoint,
    QuantizationContext,
    QuantizedLinear,
    Quantizer,
    WeightBytes,
)
from qharness.api.tasks import Document, Span, TaskFamily, TaskSource
from qharness.errors import (
    CacheError,
    DataError,
    DiskError,
    MissingDependencyError,
    ModelError,
    PluginError,
    QHarnessError,
    SamplesError,
    SandboxError,
    SettingError,
    SpecError,
    StudyError,
    UnknownNameError,
    first_line,
)
from qharness.metrics import pass_at_k
from qharness.specs import MaxLoss, RunSpec
from qharness.storage.artifacts import cached_folder
from qharness.storage.atomic_writer import whole_file
from qharness.storage.benchmark_files import BenchmarkFile, cache_dir, cache_path, mirror_dir, test_split
from qharness.storage.json_reader import JsonError, parse_json
from qharness.syntax_trees import syntax_parser

if TYPE_CHECKING:
    from qharness.evaluate import score
    from qharness.execution import execute_programs
    from qharness.models.blocks import block_linears, find_blocks, head_linear, replace_module, untie_head
    from qharness.models.inputs import ModelInputs, model_inputs
    from qharness.models.lazy_weight import LazyWeight
    from qharness.quantization.application import quantize
    from qharness.registry import source_suffixes
    from qharness.results import Comparison, RunResult, ScoreResult
    from qharness.stats import compare
    from qharness.study import run

_LATE = {
    "Comparison": "qharness.results",
    "LazyWeight": "qharness.models.lazy_weight",
    "ModelInputs": "qharness.models.inputs",
    "RunResult": "qharness.results",
    "ScoreResult": "qharness.results",
    "block_linears": "qharness.models.blocks",
    "compare": "qharness.stats",
    "execute_programs": "qharness.execution",
    "find_blocks": "qharness.models.blocks",
    "head_linear": "qharness.models.blocks",
    "model_inputs": "qharness.models.inputs",
    "quantize": "qharness.quantization.application",
    "replace_module": "qharness.models.blocks",
    "run": "qharness.study",
    "score": "qharness.evaluate",
    "source_suffixes": "qharness.registry",
    "untie_head": "qharness.models.blocks",
}
_RENAMED = {"Load": "LoadCheckpoint"}  # an old name works for one release

__all__ = [
    "AnswerLanguage", "AnswerSyntax", "BenchmarkFile", "BlockwiseQuantizer", "CacheError", "Calibration",
    "CalibrationSet", "Cases", "CheckedOptions", "CheckpointFormat", "CheckpointReaders", "Comparison", "DataError",
    "DiskError", "Document", "JsonError", "Language", "LayerForm", "LazyWeight", "Limits", "LoadCheckpoint",
    "MaxLoss", "MissingDependencyError", "ModelError", "ModelInputs", "NameRules", "Opening", "Outcome",
    "Perturbation", "Piece", "PluginError", "Program", "QHarnessError", "QuantizationContext", "QuantizedLinear",
    "Quantizer", "Role", "RunResult", "RunSpec", "SamplesError", "SandboxError", "ScoreResult", "SettingError",
    "Span", "SpecError", "Status", "StudyError", "SyntaxTable", "TaskFamily", "TaskSource", "TestsNeed",
    "Toolchain", "UnknownNameError", "WeightBytes", "block_linears", "cache_dir", "cache_path", "cached_folder",
    "compare", "execute_programs", "find_blocks", "first_line", "head_linear", "hookimpl", "mirror_dir",
    "model_inputs", "names_in", "option", "parse_json", "pass_at_k", "quantize", "replace_module", "run", "score",
    "source_suffixes", "syntax_parser", "test_split", "untie_head", "whole_file",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        warnings.warn(f"qharness.{name} is now qharness.{_RENAMED[name]}", DeprecationWarning, stacklevel=2)
        return globals()[_RENAMED[name]]
    if name not in _LATE:
        raise AttributeError(f"module 'qharness' has no attribute {name!r}")
    return getattr(importlib.import_module(_LATE[name]), name)
