"""The arithmetic of hosting: costs are linear in the latency, one prediction after another (Wei et al. 2023, IV.A)."""

from __future__ import annotations

from qharness.hosting.instances import Instance
from qharness.results import EstimatedEnergy

_SECONDS_AN_HOUR = 3600


def per_1000(latency_s: float | None, per_hour: float | None) -> float | None:
    """The cost of 1,000 predictions of `latency_s` seconds each, at `per_hour`; None where either is unknown."""
    if latency_s is None or per_hour is None:
        return None
    return 1000 * latency_s / _SECONDS_AN_HOUR * per_hour


def estimated_energy(latency_s: float | None, instance: Instance, reason: str) -> EstimatedEnergy:
    """Energy of 1,000 predictions by an instance's power at half load; `reason`: why power was not measured."""
    return EstimatedEnergy(
        "estimated",
        per_1000(latency_s, instance.kw),
        instance.watts,
        instance.pue,
        instance.gco2eq_per_kwh,
        instance.source,
        reason,
    )
