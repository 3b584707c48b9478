"""Observes the inputs of each Linear while a model reads the calibration set once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from qharness import ModelError, model_inputs
from qharness.plugins.int8.int8_options import trim
from qharness.plugins.int8.ranges import Histogram

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOKENS = 256  # at a time, about: what a block holds of them counts beside a small model


def observe(
    model: PreTrainedModel,
    names: Sequence[str],
    sequences: Sequence[Tensor],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[dict[str, Histogram], int]:
    """Return histograms of the magnitudes of each Linear's inputs, by name, and how many tokens were read.

    `sequences`: token ids int64 [length], read in batches of one length, so that nothing is padded.
    `progress` gets the number of batches that are read, and of all.
    """
    histograms = {name: Histogram() for name in names}
    tokens = 0
    with ExitStack() as hooks, torch.no_grad():
        for name, each in histograms.items():
            linear = model.get_submodule(name)
            hooks.enter_context(linear.register_forward_pre_hook(lambda _, args, each=each: each.add(args[0])))
        head = model.get_output_embeddings()
        if head is not None:  # after its own count: logits take more memory than all else
            hooks.enter_context(head.register_forward_pre_hook(_stop))
        whole = _batches(sequences)
        for number, batch in enumerate(whole, 1):
            with suppress(_Done):
                model(**model_inputs(model, batch))
            tokens += batch.numel()
            trim()
            progress(number, len(whole))
    if not tokens:
        raise ModelError("int8-static: the calibration set holds no tokens")
    return histograms, tokens


class _Done(Exception):  # noqa: N818 - no error
    """Ends a forward pass before the head."""


def _stop(_module: nn.Module, _args: tuple[Tensor, ...]) -> None:
    raise _Done


def _batches(sequences: Sequence[Tensor]) -> list[Tensor]:
    """Stack sequences of one length, int64 [n, length]."""
    found = []
    for length, equal in groupby(sorted((each for each in sequences if len(each)), key=len), key=len):
        found += torch.stack(list(equal)).split(max(_TOKENS // length, 1))
    return found
