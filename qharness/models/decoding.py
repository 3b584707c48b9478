"""Settings of decoding: how tokens are chosen and where a completion ends."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qharness.bounds import check_setting
from qharness.errors import ModelError

_KNOWN = frozenset({"do_sample", "temperature", "top_p", "max_gen_toks", "until", "num_beams", "early_stopping"})
_BOUNDED = {"temperature": "temperature", "top_p": "top_p", "max_gen_toks": "max_new_tokens", "num_beams": "num_beams"}
_ALIASES = {"max_new_tokens": "max_gen_toks", "max_tokens": "max_gen_toks", "stop": "until"}


@dataclass(frozen=True)
class Decoding:
    """Settings by which tokens are chosen and completions end. Temperature 0 is greedy, or a search with `num_beams`.

    `until`: stop sequences, which are no part of a completion. `early_stopping`: a search ends as soon as it has as
    many ended texts as beams.
    """

    temperature: float
    top_p: float
    max_new_tokens: int
    until: tuple[str, ...]
    num_beams: int
    early_stopping: bool = False

    @classmethod
    def from_lm_eval(cls, arguments: Mapping[str, Any], default_max_new_tokens: int) -> Decoding:
        """Read a task's generation_kwargs.

        Raises ModelError for one that would be ignored, SettingError for a number out of its bounds.
        """
        given = {_ALIASES.get(key, key): value for key, value in arguments.items()}
        if unknown := sorted(set(given) - _KNOWN):
            raise ModelError(f"generation option {unknown[0]!r} is not supported; known: {', '.join(sorted(_KNOWN))}")
        _check_types(given)
        temperature = float(given.get("temperature") or 0.0)
        if not given.get("do_sample", temperature > 0):
            temperature = 0.0
        num_beams = int(given.get("num_beams") or 1)
        if num_beams > 1 and temperature > 0:
            raise ModelError(f"temperature {temperature:g} draws tokens, num_beams {num_beams} searches: choose one")
        until = given.get("until") or ()
        return cls(
            temperature=temperature,
            top_p=float(given.get("top_p") or 1.0),
            max_new_tokens=int(given.get("max_gen_toks") or default_max_new_tokens),
            until=(until,) if isinstance(until, str) else tuple(until),
            num_beams=num_beams,
            early_stopping=bool(given.get("early_stopping")),
        )


def _check_types(given: Mapping[str, object]) -> None:
    """Raise SettingError or ModelError for a value that no option of this name can have."""
    for name, value in given.items():
        if (setting := _BOUNDED.get(name)) and value is not None:
            check_setting(setting, value, f"generation option {name}")
    for name in ("do_sample", "early_stopping"):
        if not isinstance(given.get(name), bool | None):
            raise ModelError(f"generation option {name} must be true or false, not {given[name]!r}")
    until = given.get("until")
    stops = [until] if isinstance(until, str) else until or []
    if not isinstance(stops, list | tuple) or not all(isinstance(stop, str) for stop in stops):
        raise ModelError(f"generation option until must be a text or a list of texts, not {until!r}")
    if given.get("do_sample") and given.get("temperature") is None:
        raise ModelError("generation option do_sample draws tokens, and no temperature says how: give one")


def prompt_sha(prompt: str) -> str:
    """The first 16 hexadecimal digits of a prompt's sha256."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def cut_at_stop(text: str, until: Sequence[str]) -> str:
    """The part of a text before the first of the stop sequences; empty ones do not count."""
    ends = [position for stop in until if stop and (position := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text
