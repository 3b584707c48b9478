"""The model class that lm-eval knows as `qharness`: its own HFLM, round a quantized model, with our generation."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from qharness.models.generation import Decoding, Generation, prompt_sha
from qharness.models.loading import LoadedModel, load_model, quantize
from qharness.models.sampling import Draw
from qharness.progress import counter
from qharness.registry import get_registry

DEFAULT_BATCH_SIZE = 16

Completion = tuple[int, int, str, str]
"""(document, sample, prompt_sha, text)"""


@dataclass(frozen=True)
class _Row:
    """One completion to make: its place among the requests, its random stream, its prompt."""

    index: int
    draw: Draw
    ids: list[int]
    sha: str
    decoding: Decoding

    @property
    def key(self) -> tuple[int, int, str]:
        return self.draw.document, self.draw.sample, self.sha


class QHarnessLM(HFLM):  # type: ignore[misc]
    """A quantized Hugging Face model, causal or encoder-decoder.

    In lm-eval's command line: `--model qharness --model_args pretrained=DIR,quant=int8-dynamic`. A spec with several
    options holds commas: give model_args as JSON then. `batch_size` is 16 where it is `auto` or not given.
    """

    def __init__(
        self,
        pretrained: str | LoadedModel,
        quant: str = "none",
        calib: str | None = None,
        seed: int = 0,
        dtype: str = "auto",
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        loaded = pretrained
        self.batch_dependent = False
        if not isinstance(loaded, LoadedModel):
            self.batch_dependent = get_registry().quantizer(quant).batch_dependent
            absent = str(device).startswith("cuda") and not torch.cuda.is_available()  # lm-eval's default is cuda:0
            loaded = load_model(str(pretrained), "auto" if absent or device is None else device, dtype)
            quantize(loaded, quant, calib, seed=int(seed))
        size = DEFAULT_BATCH_SIZE if batch_size in (None, "auto") else int(str(batch_size))
        super().__init__(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=size)
        self.generation = Generation(loaded.model, self.tokenizer, self.max_length, int(seed))
        self.known: dict[tuple[int, int, str], str] = {}
        self.on_batch: Callable[[Sequence[Completion]], None] = lambda _: None
        self.batches: list[list[tuple[int, int]]] = []
        self.seconds = 0.0

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Complete each request; the n-th repetition of one is its n-th sample.

        Completions in `known`, by (document, sample, prompt_sha), are not made again; where rows depend on their
        batch, only those of whole batches are known. `on_batch` sees each batch as it is done, `batches` says which
        rows went together, and `seconds` adds up the time.
        """
        rows = self._rows(requests)
        texts: dict[int, str] = {}
        start, done = time.monotonic(), 0
        with counter("completions") as progress:
            for batch in self._batched(rows):
                known = {row.index: self.known[row.key] for row in batch if row.key in self.known}
                missing = [row for row in batch if row.index not in known]
                if missing and self.batch_dependent:
                    known, missing = {}, batch
                texts |= known
                if missing:
                    texts |= self._complete(missing)
                done += len(batch)
                progress(done, len(rows))
        self.seconds += time.monotonic() - start
        return [texts[index] for index in range(len(requests))]

    def _rows(self, requests: Sequence[Instance]) -> list[_Row]:
        """The requests as rows, those of one decoding together, longest prompt first."""
        seen: Counter[int] = Counter()
        prompts: dict[int, tuple[list[int], str, Decoding]] = {}
        rows = []
        for index, request in enumerate(requests):
            if id(request) not in prompts:
                prompt, arguments = request.args
                decoding = Decoding.from_lm_eval(arguments, self.max_gen_toks)
                prompts[id(request)] = (
                    self.generation.fit(self.tok_encode(prompt), decoding),
                    prompt_sha(prompt),
                    decoding,
                )
            ids, sha, decoding = prompts[id(request)]
            rows.append(_Row(index, Draw(request.doc_id or 0, seen[id(request)]), ids, sha, decoding))
            seen[id(request)] += 1
        order = {decoding: n for n, decoding in enumerate(dict.fromkeys(row.decoding for row in rows))}
        return sorted(rows, key=lambda row: (order[row.decoding], -len(row.ids), row.index))

    def _batched(self, rows: Sequence[_Row]) -> Iterator[list[_Row]]:
        for _, alike in itertools.groupby(rows, key=lambda row: row.decoding):
            group = list(alike)
            for start in range(0, len(group), self.batch_size):
                yield group[start : start + self.batch_size]

    def _complete(self, rows: Sequence[_Row]) -> dict[int, str]:
        draws = [row.draw for row in rows]
        made = self.generation([row.ids for row in rows], draws, rows[0].decoding)
        self.batches.append([(draw.document, draw.sample) for draw in draws])
        self.on_batch([(*row.key, text) for row, text in zip(rows, made, strict=True)])
        return {row.index: text for row, text in zip(rows, made, strict=True)}

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval records of the model; nothing is looked up on the Hub."""
        return {"model_num_parameters": self.model.num_parameters(), "model_dtype": str(self.model.dtype)}
