"""Figures as people read them: pass@k in percent, differences in points; documents hold fractions."""

from __future__ import annotations

import math

from qharness.metrics.table import unit_of


def number(value: float | None, form: str) -> str:
    """A figure in a format; `n/a` where it is undefined."""
    return "n/a" if value is None or not math.isfinite(value) else format(value, form)


def score(metric: str, value: float | None) -> str:
    """A metric's value: pass@k in percent, others as they are."""
    scale, form, unit = _form(metric)
    shown = number(None if value is None else scale * value, form)
    return shown if shown == "n/a" else f"{shown}{unit}"


def score_with_error(metric: str, value: float | None, error: float) -> str:
    """A metric's value with its standard error in the same unit, as `75.0% ± 4.3`; without it where undefined."""
    scale, form, _ = _form(metric)
    shown = score(metric, value)
    return shown if shown == "n/a" or not math.isfinite(error) else f"{shown} ± {scale * error:{form}}"


def points(metric: str, difference: float | None, *, signed: bool = True) -> str:
    """A difference of a metric's values: of pass@k in percent points."""
    scale, form, unit = _form(metric)
    shown = number(None if difference is None else scale * difference, f"+{form}" if signed else form)
    return f"{shown} points" if unit and shown != "n/a" else shown


def interval(low: str, high: str) -> str:
    """An interval by its shown ends; `n/a` where both are undefined."""
    return low if low == high == "n/a" else f"{low} to {high}"


def _form(metric: str) -> tuple[float, str, str]:
    """The factor, the format and the unit that a metric is printed with."""
    return (100, ".1f", "%") if unit_of(metric) == "ratio" else (1, ".4f", "")


def p_value(p: float | None) -> str:
    """A p-value; the smallest are only bounded, for none is 0."""
    return "< 0.0001" if p is not None and p < 0.0001 else number(p, ".4f")
