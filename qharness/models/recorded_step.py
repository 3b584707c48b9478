"""Records a model's step of one token, and runs the record: PyTorch's operations without the model's Python.

A step of a small model on a CPU is a thousand small operations, and Python takes as long as they do. The record (a
TorchScript trace) holds for all numbers of rows and positions, unless the model's code looked at a value or a shape to
decide what to do: PyTorch warns of that, and such a model is not recorded. A record must give what the model gives, on
other rows and at another length than it was made on too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import PurePath

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from qharness.models.growing_cache import GrowingCache
from qharness.models.logits_distance import logits_distance

STEPS_BEFORE = 256
"""Steps from which a record is made: it takes a second or two, as long as it saves in some hundred steps."""
_SHAPES_ONLY = (
    "qharness/models/growing_cache.py",
    "qharness/models/prefix_attention.py",
    "torch/nn/functional.py",
    "transformers/cache_utils.py",
    "transformers/masking_utils.py",
    "transformers/integrations/sdpa_attention.py",
)
"""Files whose decisions are by shapes that each step of one token has, or none of these may have."""
_TOLERANCE = 0.01  # of logits, relative; rounding of activations to 8 bits takes the most of it

Logits = Callable[[Tensor, Tensor, GrowingCache], Tensor]
"""(ids int64 [rows, 1], mask int64 [rows, length], cache of length - 1 positions) to logits [rows, vocabulary]."""
Record = Callable[..., Tensor]
"""(ids, mask, and a cache's tensors) to logits; it writes the last position."""


class RecordedStep:
    """Runs steps of one token by a record, once there is one. `shared`: of caches whose rows share their prompts."""

    def __init__(self, model: nn.Module, logits: Logits, *, shared: bool) -> None:
        self._module = _OneToken(model, logits, shared)
        self._left = STEPS_BEFORE
        self._record: Record | None = None

    def __call__(
        self, ids: Tensor, mask: Tensor, cache: GrowingCache, few: Callable[[Sequence[int]], GrowingCache]
    ) -> Tensor | None:
        """The logits [rows, vocabulary] of token ids int64 [rows, 1]; None if there is no record (yet).

        `mask` int64 [rows, length] counts the new position, which is written to the cache; `few` copies rows of it.
        """
        if self._record is None:
            self._left -= 1
            if self._left == 0 and ids.device.type == "cpu":
                self._record = recorded(self._module, ids, few)
            if self._record is None:
                return None
        try:
            logits = self._record(ids, mask, *cache.tensors())
        except RuntimeError:  # the number of rows or positions was in the record all the same, and this is another
            self._record = None
            return None
        cache.grow()
        return logits


class _OneToken(nn.Module):
    """A model's step, as a function of tensors alone."""

    def __init__(self, model: nn.Module, logits: Logits, shared: bool) -> None:
        super().__init__()
        self.model, self._logits, self._shared = model, logits, shared

    def forward(self, ids: Tensor, mask: Tensor, *tensors: Tensor) -> Tensor:
        cache = GrowingCache.of_tensors(tensors, mask.shape[1] - 1, shared=self._shared)
        return self._logits(ids, mask, cache)


def recorded(module: _OneToken, ids: Tensor, few: Callable[[Sequence[int]], GrowingCache]) -> Record | None:
    """Record a step like this one, of which nothing is changed; None where a record would not hold for all others.

    Only of transformers' own classes, for others may keep a state in Python; and none whose modules are watched.
    """
    if not type(module.model).__module__.startswith("transformers."):
        return None
    if any(each._forward_hooks or each._forward_pre_hooks for each in module.modules()):
        return None
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        made_on, others = [0, -1], [-1, 0, 0]
        first = _example(ids[made_on], few(made_on))
        second = _example(ids[others], few(others).last_half())
        try:
            record: Record = torch.jit.trace(module, first, check_trace=False)
            if any(_decides(each) for each in warned):
                return None
            # PyTorch optimizes a record in its first runs, so what is compared last is what will run.
            distances = [logits_distance(record(*each), module(*each)) for each in (first, second, second)]
        except Exception:  # code that cannot be recorded may raise anything
            return None
    return record if max(distances) <= _TOLERANCE else None


def _example(ids: Tensor, cache: GrowingCache) -> tuple[Tensor, ...]:
    """A record's arguments, without memory that others have; the first row's first position is masked."""
    mask = torch.ones((len(ids), cache.get_seq_length() + 1), dtype=torch.int64)
    mask[0, 0] = mask.shape[1] == 1
    return (ids.clone(), mask, *(each.clone() for each in cache.tensors()))


def _decides(warning: warnings.WarningMessage) -> bool:
    """Whether a warning says that the model's code looked at a value, or at a shape that is not the same always.

    The size of the pieces in which `Tensor.split` cuts a width is none: where it cuts rows, their number would differ,
    and the record fail.
    """
    if not issubclass(warning.category, TracerWarning):
        return False
    file = PurePath(warning.filename).as_posix()
    splits = file.endswith("torch/_tensor.py") and "Python integer" in str(warning.message)
    return not splits and not file.endswith(_SHAPES_ONLY)
