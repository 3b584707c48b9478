"""Machines by the hour: a table with sources, which a user's own file extends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from qharness.errors import QHarnessError, UnknownNameError
from qharness.storage.json_reader import read_toml

EXTRA_FILE = "QHARNESS_INSTANCES"
"""The environment variable that names a file of more instances."""
_TABLE = Path(__file__).with_name("instances.toml")


class Instance(BaseModel):
    """The costs of an hour of a machine; None where unknown.

    `watts`: of the whole instance while it works; `pue`: the watts of its data centre for each of them;
    `gco2eq_per_kwh`: of its grid.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    usd_per_hour: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    watts: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    pue: float = Field(default=1.0, ge=1, allow_inf_nan=False)
    gco2eq_per_kwh: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    vcpus: int | None = Field(default=None, ge=1)
    gpus: str | None = None
    source: str | None = None
    date: str | None = None

    @property
    def kw(self) -> float | None:
        """Kilowatts, the data centre's share included."""
        return None if self.watts is None else self.watts * self.pue / 1000

    @property
    def gco2eq_per_hour(self) -> float | None:
        """Grams of CO2 (or what warms as much) an hour; the making of the hardware is not in it."""
        return None if self.kw is None or self.gco2eq_per_kwh is None else self.kw * self.gco2eq_per_kwh


_INSTANCES = TypeAdapter(dict[str, Instance])


def read_instances(extra: Path | None = None) -> dict[str, Instance]:
    """The table, with rows that a file of the same form adds or replaces. Raises QHarnessError for a wrong file."""
    return _read(_TABLE) | (_read(extra) if extra else {})


def _read(path: Path) -> dict[str, Instance]:
    document = read_toml(path, QHarnessError, f"--instances {path}")
    try:
        return _INSTANCES.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        raise QHarnessError(f"--instances {path}: {where}: {first['msg']}") from None


def extra_instances() -> Path | None:
    """The file of more instances that the environment names, if any."""
    named = os.environ.get(EXTRA_FILE)
    return Path(named) if named else None


def find_instance(name: str, known: Mapping[str, Instance]) -> Instance:
    """Find an instance by name. Raises UnknownNameError, which names similar ones."""
    if name not in known:
        raise UnknownNameError("instance", name, known, hint=f"--instances FILE.toml or {EXTRA_FILE} adds others")
    return known[name]
