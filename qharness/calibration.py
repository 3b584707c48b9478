"""Turns a calibration set's documents into token sequences, and keeps those that took long to draw."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness.data import cache_dir
from qharness.errors import DataError
from qharness.offers import FittingCalibrationSet, KeptCalibrationSet
from qharness.progress import note
from qharness.registry import get_registry
from qharness.spec import unbind
from qharness.types import Calibration, CalibrationSet

if TYPE_CHECKING:
    from qharness.models import LoadedModel

DEFAULT = "stdlib"
_SEQUENCES, _ABOUT = "sequences.npy", "about.json"


def context_length(config: object) -> int:
    """The most tokens a model takes, as its configuration says it; 2048 if it does not."""
    return stated_context(config) or 2048


def stated_context(config: object) -> int | None:
    """The most tokens a model takes, as its configuration says it in one of the names in use; None if in none."""
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def definite_set(spec: str | None) -> str:
    """A calibration set's spec as it is recorded: the default one where none is given, options spelt one way."""
    return str(unbind(get_registry().calibration_set(DEFAULT if spec is None else spec)))


def calibrate(loaded: LoadedModel, spec: str | None, *, seed: int, data_dir: Path | None = None) -> Calibration:
    """Draw, tokenize and cut a calibration set's documents: `n` sequences of at most `seqlen` tokens.

    Each comes from a document of its own, from a place in it that the seed chooses; no sequence is longer than the
    model's context, and none shorter than that and `seqlen` if the set wants them full. Of a set that takes long to
    draw, they are kept. Raises DataError if the set runs out of documents.
    """
    calibration_set = get_registry().calibration_set(DEFAULT if spec is None else spec)
    if not isinstance(calibration_set, KeptCalibrationSet):
        return _draw(loaded, calibration_set, seed, data_dir)
    about = {
        "set": definite_set(spec),
        "seed": seed,
        "length": _length(loaded, calibration_set),
        "tokenizer": _fingerprint(loaded.tokenizer) + _unended(loaded),
        "origin": calibration_set.origin(data_dir),
    }
    folder = cache_dir() / "calibration" / hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
    if (folder / _ABOUT).is_file():
        note(f"calibration sequences drawn before: {folder}")
        return _read(folder)
    start = time.monotonic()
    made = _draw(loaded, calibration_set, seed, data_dir)
    _keep(made, folder, {**about, "model": loaded.name, "seconds": round(time.monotonic() - start, 1)})
    return made


def _length(loaded: LoadedModel, calibration_set: CalibrationSet) -> int:
    return min(calibration_set.seqlen, context_length(loaded.model.config))


def _draw(loaded: LoadedModel, calibration_set: CalibrationSet, seed: int, data_dir: Path | None) -> Calibration:
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
    for source, text in documents:
        ids = tokens(text)
        if not ids:
            continue
        start = rng.randrange(max(len(ids) - length, 0) + 1)
        sequences.append(torch.tensor(ids[start : start + length], dtype=torch.int64))
        sources[source] += 1
        if len(sequences) == calibration_set.n:
            return Calibration(sequences, dict(sorted(sources.items(), key=lambda item: (-item[1], item[0]))))
    raise DataError(
        f"calibration set {calibration_set.name!r} has {len(sequences)} documents, {calibration_set.n} were asked for: "
        f"lower n"
    )


# ------------------------------------------------------------------------------------------------ what has been drawn


def _fingerprint(tokenizer: Any) -> str:
    """What tells one tokenizer from another: all that decides its tokens, or its vocabulary where that is hidden."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decides = backend.to_str() if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items()))
    return f"{type(tokenizer).__name__} {hashlib.sha256(decides.encode()).hexdigest()[:16]}"


def _unended(loaded: LoadedModel) -> str:
    """Tells sequences from those drawn when texts for causal models still ended as the tokenizer ends them."""
    from qharness.models.encoding import AddedTokens

    ends = AddedTokens.of(loaded.tokenizer).after and not loaded.model.config.is_encoder_decoder
    return " no end token" if ends else ""


def _keep(made: Calibration, folder: Path, about: dict[str, Any]) -> None:
    """Write sequences so that they are there whole or not at all."""
    import numpy as np

    scratch = folder.with_name(f".{folder.name}.{os.getpid()}")
    lengths = [len(sequence) for sequence in made.sequences]
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        np.save(scratch / _SEQUENCES, np.concatenate([s.numpy() for s in made.sequences]).astype(np.int32))
        document = {**about, "lengths": lengths, "composition": made.composition}
        (scratch / _ABOUT).write_text(json.dumps(document, indent=2), encoding="utf-8")
        if not folder.exists():
            scratch.replace(folder)
    except OSError as error:
        note(f"the calibration sequences could not be kept for other runs: {error}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _read(folder: Path) -> Calibration:
    import numpy as np
    import torch

    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    tokens = torch.from_numpy(np.load(folder / _SEQUENCES)).to(torch.int64)
    return Calibration(list(tokens.split(about["lengths"])), about["composition"])
