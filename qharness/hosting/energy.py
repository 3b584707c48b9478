"""Measures power while predicting, with codecarbon, where the machine has counters for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Power:
    """Mean power of the machine over `seconds` of work.

    `parts`: watts of cpu, gpu and ram, and whether a counter measured them (codecarbon estimates memory, and a
    processor without a counter by its load); `gco2eq_per_kwh`: of the country's grid.
    """

    watts: float
    parts: Mapping[str, PowerPart]
    gco2eq_per_kwh: float
    country: str
    seconds: float
    tool: str

    def energy(self, latency_s: float) -> MeasuredEnergy:
        """The energy of 1,000 predictions of `latency_s` seconds each, one after another."""
        kwh = latency_s / 3600 * self.watts  # 1,000 predictions, 1,000 watts a kilowatt
        return MeasuredEnergy(
            "measured", kwh, self.watts, self.gco2eq_per_kwh, self.country, self.parts, self.seconds, self.tool
        )


def counter_missing_reason(device: str) -> str:
    """Why the power of a device, `cpu` or `cuda`, cannot be measured here; empty if it can be."""
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


def measure_power(predict: Callable[[], None], country: str, seconds: float = _SECONDS) -> Power:
    """The mean power while predicting for so many seconds. Writes and sends nothing."""
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
        return power_of(tracker.final_emissions_data, cpu_measured=is_rapl_available())


def power_of(data: EmissionsData, *, cpu_measured: bool) -> Power:
    """Mean powers from codecarbon's energies (kWh) and duration (seconds)."""
    hours = data.duration / 3600
    energies = {"cpu": data.cpu_energy, "gpu": data.gpu_energy, "ram": data.ram_energy}
    measured = {"cpu": cpu_measured, "gpu": data.gpu_energy > 0, "ram": False}
    return Power(
        watts=data.energy_consumed / hours * _WATTS_A_KW,
        parts={
            name: PowerPart(energy / hours * _WATTS_A_KW, "measured" if measured[name] else "estimated")
            for name, energy in energies.items()
            if energy
        },
        gco2eq_per_kwh=data.emissions * 1000 / data.energy_consumed,
        country=data.country_iso_code,
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
