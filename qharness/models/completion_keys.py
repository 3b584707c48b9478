"""The completions that lm-eval's requests ask for: their keys, and a seed for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qharness.models.decoding import Decoding, prompt_sha
from qharness.models.lm_interface import Key

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

DEFAULT_NEW_TOKENS = 256
"""Most tokens of a completion whose task names no limit: lm-eval's own default."""


@dataclass(frozen=True)
class CompletionRequest:
    """One completion to make. `place`: its number among lm-eval's requests; `language`: that of its document, or ''."""

    place: int
    key: Key
    prompt: str
    language: str
    decoding: Decoding
    seed: int


def completion_requests(requests: Sequence[Instance], seed: int) -> list[CompletionRequest]:
    """Read lm-eval's requests. `seed`: the run's. Raises ModelError or SettingError for options of no effect."""
    return [
        CompletionRequest(
            place,
            key,
            request.args[0],
            (request.doc or {}).get("language", ""),
            Decoding.from_lm_eval(request.args[1], DEFAULT_NEW_TOKENS),
            completion_seed(seed, key),
        )
        for place, (key, request) in enumerate(zip(request_keys(requests), requests, strict=True))
    ]


def request_keys(requests: Sequence[Instance]) -> Iterator[Key]:
    """(document, sample, prompt_sha) of each request; lm-eval repeats one and the same object."""
    seen: dict[int, int] = {}
    for request in requests:
        sample = seen[id(request)] = seen.get(id(request), -1) + 1
        yield request.doc_id or 0, sample, prompt_sha(request.args[0])


def completion_seed(seed: int, key: Key) -> int:
    """A seed of 31 bits for one completion, equal for equal ones of another model."""
    document, sample, _ = key
    digest = hashlib.blake2b(f"{seed}/{document}/{sample}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
