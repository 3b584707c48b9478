"""Provisional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qharness.stats.paired import McNemar, odds_ratio
from qharness.storage.json_values import defined


@dataclass(frozen=True)
class PairedMeans:
    a: float
    b: float
    difference: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Clustered:
    p_value: float


@dataclass(frozen=True)
class Failures:
    lost_pairs: dict[str, int]


@dataclass(frozen=True)
class LevelPairs:
    lost_pairs: int


@dataclass(frozen=True)
class Comparison:
    main_metric: str
    n_problems: int
    n_pairs: int
    main: PairedMeans
    clustered: Clustered
    smallest_detectable_difference: float
    paper: McNemar | None
    failures: Failures | None
    levels: dict[str, LevelPairs]
    means: dict[str, PairedMeans]


def comparison_of(document: Mapping[str, Any]) -> Comparison:
    metric = document.get("metric", "pass@1")
    paper, failures = document.get("paper"), document.get("failures")
    means = {
        name: PairedMeans(*(defined(each[key]) for key in ("a", "b", "difference")), tuple(map(defined, each["ci95"])))
        for name, each in document.items()
        if name == metric or name.startswith("pass@")
    }
    return Comparison(
        metric,
        document["n_problems"],
        document["n_pairs"],
        means[metric],
        Clustered(defined(document["clustered"]["p_value"])),
        defined(document["smallest_detectable_difference"]),
        paper and McNemar(paper["b"], paper["c"], defined(paper["p_value"]), odds_ratio(paper["b"], paper["c"])),
        failures and Failures(failures["lost_pairs"]),
        {name: LevelPairs(level["lost_pairs"]) for name, level in (document.get("levels") or {}).items()},
        means,
    )


@dataclass(frozen=True)
class Latency:
    median: float


@dataclass(frozen=True)
class CostProfile:
    model: str
    quantizer: str
    calibration: str | None
    device: str
    dtype: str
    prompt_tokens: int
    new_tokens: int
    instance: str
    latency_s: Latency
    storage_bytes: int | None
    resident_bytes: int | None
    usd_per_1k: float | None
    gco2eq_per_1k: float | None


def profile_of(document: Mapping[str, Any]) -> CostProfile:
    names = CostProfile.__dataclass_fields__
    given = {name: document[name] for name in names}
    return CostProfile(**given | {"latency_s": Latency(defined(document["latency_s"]["median"]))})
