"""Measures one model, in a process of its own: latency, tokens a second, memory, and power where that can be read."""

from __future__ import annotations

import contextlib
import gc
import random
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from qharness.bounds import check_fields, check_setting
from qharness.errors import ModelError, QHarnessError
from qharness.hosting.energy import measure_energy
from qharness.progress import phase
from qharness.quantization.calibration import context_length
from qharness.results import Latency, MeasuredEnergy
from qharness.results.measured import ProcessBytes
from qharness.specs import ModelSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from qharness.models.checkpoint import Checkpoint
    from qharness.models.engine import Prompt
    from qharness.models.loading import LoadedModel

_ENOUGH_S = 10.0  # no more repeats of a batch that has taken so long
_LEAST = 3


@dataclass(frozen=True)
class Load:
    """The work that a model is measured on: `repeats` batches of each size, of prompts and new tokens this long.

    `warm_up`: predictions that are not counted; `country`: of the grid, where power is measured too.
    """

    prompt_tokens: int = 128
    new_tokens: int = 20
    batch_sizes: tuple[int, ...] = (1, 4, 8, 16)
    repeats: int = 10
    warm_up: int = 2
    country: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        for size in self.batch_sizes:
            check_setting("batch_size", size)


@dataclass(frozen=True)
class Measured:
    """Measurements of one model, as a CostProfile has them; without arguments, of one that was not run.

    `latency`: of one batch, by its size.
    """

    latency: dict[int, Latency] = field(default_factory=dict)
    weight_bytes: int | None = None
    resident_bytes: int | None = None
    process_bytes: ProcessBytes | None = None
    threads: int | None = None
    layers: dict[str, int] = field(default_factory=dict)
    quantization: Sequence[str] = ()
    energy: MeasuredEnergy | None = None


def check_fits(checkpoint: Checkpoint, load: Load) -> None:
    """Raise ModelError for a load that is too long for a model, by its configuration.

    Encoder-decoder models read the prompt and write the new tokens apart, others in one context.
    """
    config = checkpoint.config
    context, lengths = context_length(config), (load.prompt_tokens, load.new_tokens)
    if (max(lengths) if config.is_encoder_decoder else sum(lengths)) > context:
        raise ModelError(
            f"--prompt-tokens {load.prompt_tokens} and --new-tokens {load.new_tokens} do not fit the {context} tokens "
            f"of {checkpoint.name}"
        )


def measure_apart(spec: ModelSpec, load: Load) -> Measured:
    """Measure in a new process that holds this model alone. Raises QHarnessError, also where memory ran out."""
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        try:
            found = pool.submit(_attempt, spec, load).result()
        except KeyboardInterrupt:
            for child in active_children():  # else this process waits for the measurement's end
                child.kill()
            raise
        except BrokenProcessPool:
            raise ModelError(f"the process that ran {spec.quant} on {spec.model} was killed: out of memory?") from None
    if isinstance(found, str):
        raise QHarnessError(found)
    return found


def _attempt(spec: ModelSpec, load: Load) -> Measured | str:
    """The measurements, or an error's message: pickle does not carry QHarnessError between processes."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            return measure(spec, load)
        except QHarnessError as error:
            return str(error)


def measure(spec: ModelSpec, load: Load) -> Measured:
    """Load, quantize and run a model, which the load must fit."""
    import torch
    import transformers

    from qharness.models.checkpoint_formats import select_kernels
    from qharness.models.weight_footprint import resident_bytes
    from qharness.quantization.quantized_models import Models
    from qharness.quantization.resolution import bind_model, resolve

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    process = psutil.Process()
    before = process.memory_info().rss
    made = Models().get(resolve(bind_model(spec)))
    loaded = made.loaded
    weights, layers = resident_bytes(loaded.model), select_kernels(loaded.model)
    gc.collect()
    with_model = process.memory_info().rss
    predict = _predictor(loaded, load, spec.seed)
    for _ in range(load.warm_up):
        predict(1)
    with phase("measure", "predictions") as progress:
        latency = {size: _timed(predict, size, load, progress) for size in sorted({1, *load.batch_sizes})}
    energy = measure_energy(lambda: predict(1), latency[1].median, load.country) if load.country else None
    cuda = loaded.model.device.type == "cuda"
    return Measured(
        latency=latency,
        weight_bytes=weights,
        resident_bytes=resident_bytes(loaded.model),
        process_bytes=ProcessBytes(
            before,
            with_model,
            max(with_model, _peak_bytes()),  # the kernel counts the two a little apart
            torch.cuda.max_memory_allocated() if cuda else None,
        ),
        threads=torch.get_num_threads(),
        layers=layers,
        quantization=tuple(made.log),
        energy=energy,
    )


def _predictor(loaded: LoadedModel, load: Load, seed: int) -> Callable[[int], None]:
    """A function that generates greedily, as `run` does, all new tokens of as many different prompts as asked for."""
    import torch

    from qharness.models.decoding import Decoding
    from qharness.models.generation import Generation

    config = loaded.model.config
    generation = Generation(loaded.model, loaded.tokenizer, context_length(config), seed, ignore_eos=True)
    decoding = Decoding(temperature=0.0, top_p=1.0, max_new_tokens=load.new_tokens, until=(), num_beams=1)
    words = config.get_text_config(decoder=True).vocab_size
    prompts = _prompts(loaded.tokenizer, words, max(1, *load.batch_sizes), load.prompt_tokens, random.Random(seed))  # noqa: S311
    cuda = loaded.model.device.type == "cuda"

    def predict(size: int) -> None:
        for _ in generation(prompts[:size], decoding, size, halve=False):
            pass
        if cuda:
            torch.cuda.synchronize()

    return predict


def _prompts(
    tokenizer: PreTrainedTokenizerBase, words: int, count: int, length: int, rng: random.Random
) -> list[Prompt]:
    """Prompts of random tokens: the time of a forward pass does not depend on their meaning."""
    from qharness.models.engine import Prompt
    from qharness.models.sampling import SampleKey

    special = set(tokenizer.all_special_ids)
    plain = [token for token in range(min(words, len(tokenizer))) if token not in special]
    return [Prompt(tuple(rng.choices(plain, k=length)), (SampleKey(number, 0),)) for number in range(count)]


def latency_of(seconds: Sequence[float]) -> Latency:
    """Median and quartiles of measured durations, by linear interpolation."""
    if len(seconds) == 1:
        return Latency(seconds[0], seconds[0], seconds[0], 1)
    q1, median, q3 = statistics.quantiles(seconds, n=4, method="inclusive")
    return Latency(median, q1, q3, len(seconds))


def _timed(predict: Callable[[int], None], size: int, load: Load, progress: Callable[[int, int], None]) -> Latency:
    """Time a batch repeatedly; the first run, which allocates memory, is not counted."""
    predict(size)
    seconds: list[float] = []
    while len(seconds) < load.repeats and (len(seconds) < _LEAST or sum(seconds) < _ENOUGH_S):
        start = time.perf_counter()
        predict(size)
        seconds.append(time.perf_counter() - start)
        progress(len(seconds), load.repeats)
    return latency_of(seconds)


def _peak_bytes() -> int:
    """The most memory this process ever had. (Linux passes getrusage's on to children, so it is the second choice.)"""
    status = Path("/proc/self/status")
    if status.is_file():
        peak = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM")), None)
        if peak is not None:
            return int(peak.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
