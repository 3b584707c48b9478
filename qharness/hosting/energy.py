"""Measures power while predicting, with codecarbon, where the machine has counters for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qharness.bounds import shortened
from qharness.errors import MissingDependencyError, QHarnessError, UnknownNameError
from qharness.results import MeasuredEnergy
from qharness.results.measured import PowerPart

if TYPE_CHECKING:
    from codecarbon.output_methods.emissions_data import EmissionsData

INSTALL = "pip install 'qharness[profile]'"
_SECONDS = 10.0  # the counters of some processors are read once a second
_WATTS_A_KW = 1000


def counter_missing_reason(device: str) -> str:
    """The reason why the power of a device, `cpu` or `cuda`, cannot be measured; empty if it can be."""
    if not installed():
        return f"codecarbon is not installed ({INSTALL})"
    if device == "cpu":
        from codecarbon.core.cpu import is_rapl_available

        with _quiet():
            return "" if is_rapl_available() else "no energy counter of the processor (RAPL) can be read here"
    from codecarbon.core.gpu import is_nvidia_system

    with _quiet():
        return "" if device == "cuda" and is_nvidia_system() else f"no energy counter of {device} can be read here"


def require_power_counter(device: str, country: str) -> None:
    """Raise MissingDependencyError or QHarnessError, with the reason, where power cannot be measured."""
    if not installed():
        raise MissingDependencyError("codecarbon", INSTALL)
    check_country(country)
    if reason := counter_missing_reason(device):
        raise QHarnessError(f"--energy measured: {reason}; --energy estimated goes by the instance's power")


def check_country(country: str) -> None:
    """Raise UnknownNameError for a country whose grid codecarbon does not know, MissingDependencyError without it."""
    if not installed():
        raise MissingDependencyError(f"codecarbon, which knows the grid of --country {shortened(country)},", INSTALL)
    from codecarbon.input import DataSource

    with _quiet():
        known = DataSource().get_global_energy_mix_data()
    if country not in known:
        raise UnknownNameError("country", country, known, hint="three letters, as USA")


def measure_energy(
    predict: Callable[[], None], latency_s: float, country: str, seconds: float = _SECONDS
) -> MeasuredEnergy:
    """The energy of 1,000 predictions of `latency_s` seconds each, from the mean power while predicting for `seconds`.

    Writes and sends nothing.
    """
    from codecarbon import OfflineEmissionsTracker
    from codecarbon.core.cpu import is_rapl_available

    with _quiet():
        tracker = OfflineEmissionsTracker(
            country_iso_code=country,
            measure_power_secs=1,
            save_to_file=False,
            save_to_api=False,
            allow_multiple_runs=True,
            log_level="critical",
        )
        tracker.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            predict()
        tracker.stop()
        return energy_of(tracker.final_emissions_data, latency_s, cpu_measured=is_rapl_available())


def energy_of(data: EmissionsData, latency_s: float, *, cpu_measured: bool) -> MeasuredEnergy:
    """The energy of 1,000 predictions, one after another, from codecarbon's energies (kWh) and duration (seconds).

    codecarbon estimates the power of memory, and by its load that of a processor without a counter.
    """
    hours = data.duration / 3600
    energies = {"cpu": data.cpu_energy, "gpu": data.gpu_energy, "ram": data.ram_energy}
    measured = {"cpu": cpu_measured, "gpu": data.gpu_energy > 0, "ram": False}
    watts = data.energy_consumed / hours * _WATTS_A_KW
    return MeasuredEnergy(
        source="measured",
        kwh_per_1k=latency_s / 3600 * watts,  # 1,000 predictions, 1,000 watts a kilowatt
        watts=watts,
        gco2eq_per_kwh=data.emissions * 1000 / data.energy_consumed,
        country=data.country_iso_code,
        parts={
            name: PowerPart(energy / hours * _WATTS_A_KW, "measured" if measured[name] else "estimated")
            for name, energy in energies.items()
            if energy
        },
        seconds=data.duration,
        tool=f"codecarbon {data.codecarbon_version}",
    )


def installed() -> bool:
    """Whether codecarbon, which knows countries' grids, is installed."""
    try:
        import codecarbon  # noqa: F401
    except ImportError:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence codecarbon's own messages."""
    logger = logging.getLogger("codecarbon")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
