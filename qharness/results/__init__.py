"""Results, as frozen types that are read from JSON documents and written to them."""

from qharness.results.finished import (
    Batches,
    DataFile,
    HostingRecord,
    Machine,
    Metric,
    RunRecord,
    RunResult,
    SampleRow,
    ScoreReport,
    ScoreResult,
    UntouchedShare,
    Usage,
    Versions,
)
from qharness.results.measured import CostProfile, EstimatedEnergy, Latency, LayerReport, MeasuredEnergy, NoiseReport
from qharness.results.paired_results import Comparison, McNemar, PairedMeans
from qharness.results.timings import Timings
from qharness.results.verdict import LossBounds, LossVerdict, VerdictClass

__all__ = [
    "Batches", "Comparison", "CostProfile", "DataFile", "EstimatedEnergy", "HostingRecord", "Latency", "LayerReport",
    "LossBounds", "LossVerdict", "Machine", "McNemar", "MeasuredEnergy", "Metric", "NoiseReport", "PairedMeans",
    "RunRecord", "RunResult", "SampleRow", "ScoreReport", "ScoreResult", "Timings", "UntouchedShare", "Usage",
    "VerdictClass", "Versions",
]  # fmt: skip
