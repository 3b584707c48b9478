"""Turns a calibration set's documents into token sequences, and caches those that took long to draw."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness.api.calibration_sets import CacheableCalibrationSet, Calibration, CalibrationSet, FittingCalibrationSet
from qharness.errors import DataError, DiskError, first_line
from qharness.progress import note, phase
from qharness.spec import unbind
from qharness.storage.artifacts import Artifact
from qharness.storage.benchmark_files import cache_path
from qharness.storage.json_values import JsonObject

if TYPE_CHECKING:
    from qharness.models.loading import LoadedModel

_SEQUENCES = "sequences.npy"


def context_length(config: object) -> int:
    """The most tokens that a model takes, by its configuration; 2048 if that does not say."""
    return stated_context(config) or 2048


def stated_context(config: object) -> int | None:
    """The most tokens that a model takes, by its configuration; None if that holds none of the names in use."""
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def calibrate(
    loaded: LoadedModel, calibration_set: CalibrationSet, *, seed: int, data_dir: Path | None = None
) -> Calibration:
    """Draw, tokenize and cut a calibration set's documents: `n` sequences of at most `seqlen` tokens.

    Each comes from a document of its own, from a place in it that the seed chooses; no sequence is longer than the
    model's context, and none shorter than that and `seqlen` if the set wants them full. The sequences of a set that
    takes long to draw are cached. Raises DataError if the set runs out of documents.
    """
    if not isinstance(calibration_set, CacheableCalibrationSet):
        return _draw(loaded, calibration_set, seed, data_dir)
    about = {
        "set": str(unbind(calibration_set)),
        "seed": seed,
        "length": _length(loaded, calibration_set),
        "tokenizer": _fingerprint(loaded.tokenizer) + _unended(loaded),
        "origin": calibration_set.origin(data_dir),
    }
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
    cached = Artifact(cache_path("calibration", key))
    with cached.locked(f"calibration on {about['set']}"):
        if found := _read(cached):
            return found
        start = time.monotonic()
        made = _draw(loaded, calibration_set, seed, data_dir)
        _write(made, cached, {**about, "model": loaded.name, "seconds": round(time.monotonic() - start, 1)})
    return made


def _length(loaded: LoadedModel, calibration_set: CalibrationSet) -> int:
    return min(calibration_set.seqlen, context_length(loaded.model.config))


def _draw(loaded: LoadedModel, calibration_set: CalibrationSet, seed: int, data_dir: Path | None) -> Calibration:
    """Draw a set's documents and cut each to a sequence of token ids, int64 [length], until there are `n`."""
    import torch

    from qharness.models.encoding import encode_text

    rng = random.Random(seed)  # noqa: S311 - draws a sample, guards nothing
    length = _length(loaded, calibration_set)

    @lru_cache(maxsize=1)  # the document that has just been measured
    def tokens(text: str) -> list[int]:
        return encode_text(loaded.tokenizer, text, encoder=loaded.model.config.is_encoder_decoder)

    def fits(text: str) -> bool:
        # Most are too short, which shows without a tokenizer: none makes more tokens than bytes, special ones aside.
        return len(text.encode(errors="surrogatepass")) + 8 >= length and len(tokens(text)) >= length

    documents: Iterable[tuple[str, str]]
    if isinstance(calibration_set, FittingCalibrationSet):
        documents = calibration_set.fitting(rng, data_dir, fits)
    else:
        documents = calibration_set.documents(rng, data_dir)
    sequences, sources = [], Counter[str]()
    with phase("calibrate", "sequences") as progress:
        for source, text in documents:
            ids = tokens(text)
            if not ids:
                continue
            start = rng.randrange(max(len(ids) - length, 0) + 1)
            sequences.append(torch.tensor(ids[start : start + length], dtype=torch.int64))
            sources[source] += 1
            progress(len(sequences), calibration_set.n)
            if len(sequences) == calibration_set.n:
                return Calibration(sequences, dict(sorted(sources.items(), key=lambda item: (-item[1], item[0]))))
    raise DataError(
        f"calibration set {calibration_set.name!r} has {len(sequences)} documents, {calibration_set.n} were asked for: "
        f"lower n"
    )


# ------------------------------------------------------------------------------------------------------------- cache


def _fingerprint(tokenizer: Any) -> str:
    """A SHA-256 of all that decides a tokenizer's tokens, or of its vocabulary where the rest is hidden."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decides = backend.to_str() if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items()))
    return f"{type(tokenizer).__name__} {hashlib.sha256(decides.encode()).hexdigest()[:16]}"


def _unended(loaded: LoadedModel) -> str:
    """A mark in the key: sequences of causal models once ended as the tokenizer ends texts, and do no more."""
    from qharness.models.encoding import AddedTokens

    ends = AddedTokens.of(loaded.tokenizer).after and not loaded.model.config.is_encoder_decoder
    return " no end token" if ends else ""


def _write(made: Calibration, cached: Artifact, about: JsonObject) -> None:
    import numpy as np

    document = {**about, "lengths": [len(sequence) for sequence in made.sequences], "composition": made.composition}
    try:
        with cached.writing(document) as folder:
            np.save(folder / _SEQUENCES, np.concatenate([s.numpy() for s in made.sequences]).astype(np.int32))
    except DiskError as error:
        note(f"the calibration sequences could not be cached for other runs: {error}")


def _read(cached: Artifact) -> Calibration | None:
    """The sequences that were drawn before; None where there are none, or none that can be read."""
    import numpy as np
    import torch

    if not cached.there:
        return None
    try:
        about = cached.about()
        tokens = torch.from_numpy(np.load(cached.folder / _SEQUENCES)).to(torch.int64)
        found = Calibration(list(tokens.split(about["lengths"])), about["composition"])
    except (DataError, OSError, EOFError, LookupError, ValueError, RuntimeError) as error:
        cached.damaged(first_line(error))
        return None
    note(f"calibration sequences drawn before: {cached.folder}")
    return found
