"""The model class that lm-eval knows as `qharness`: its own HFLM, round a quantized model, with our generation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from qharness.calibration import calibrate
from qharness.models.generation import Decoding, Generation
from qharness.models.loading import LoadedModel, load_model, quantize_loaded
from qharness.models.sampling import Draw
from qharness.progress import counter
from qharness.registry import get_registry

DEFAULT_BATCH_SIZE = 16

Completion = tuple[Instance, int, str]
"""(request, sample, text)"""


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
        if not isinstance(loaded, LoadedModel):
            quantizer = get_registry().quantizer(quant)
            loaded = load_model(str(pretrained), device or "auto", dtype)
            calibration = calibrate(loaded, calib, seed=int(seed)) if quantizer.needs_calibration else None
            quantize_loaded(loaded, quantizer, seed=int(seed), calibration=calibration)
        size = DEFAULT_BATCH_SIZE if batch_size in (None, "auto") else int(str(batch_size))
        super().__init__(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=size)
        self.generation = Generation(loaded.model, self.tokenizer, self.max_length, int(seed))
        self.batches: list[list[tuple[int, int]]] = []
        self.known: dict[tuple[int, int], str] = {}
        self.on_batch: Callable[[Sequence[Completion]], None] = lambda _: None

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Complete each request; the n-th repetition of one is its n-th sample.

        Completions in `known`, by (document, sample), are not made again. `on_batch` sees each batch as it is done,
        and `batches` records which rows went together.
        """
        seen: Counter[int] = Counter()
        todo: dict[Decoding, list[tuple[int, Draw, list[int]]]] = {}
        texts: list[str] = [""] * len(requests)
        prompts: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            draw = Draw(request.doc_id or 0, seen[id(request)])
            seen[id(request)] += 1
            if (draw.document, draw.sample) in self.known:
                texts[index] = self.known[draw.document, draw.sample]
                continue
            prompt, arguments = request.args
            decoding = Decoding.from_lm_eval(arguments, self.max_gen_toks)
            if id(request) not in prompts:
                prompts[id(request)] = self.generation.fit(self.tok_encode(prompt), decoding)
            todo.setdefault(decoding, []).append((index, draw, prompts[id(request)]))
        with counter("completions") as progress:
            done = 0
            for decoding, rows in todo.items():
                rows.sort(key=lambda row: -len(row[2]))
                for start in range(0, len(rows), self.batch_size):
                    batch = rows[start : start + self.batch_size]
                    self._complete(requests, batch, decoding, texts)
                    done += len(batch)
                    progress(done, sum(map(len, todo.values())))
        return texts

    def _complete(
        self,
        requests: Sequence[Instance],
        batch: Sequence[tuple[int, Draw, list[int]]],
        decoding: Decoding,
        texts: list[str],
    ) -> None:
        indices, draws, prompts = zip(*batch, strict=True)
        for index, text in zip(indices, self.generation(prompts, draws, decoding), strict=True):
            texts[index] = text
        self.batches.append([(draw.document, draw.sample) for draw in draws])
        self.on_batch([(requests[i], draw.sample, texts[i]) for i, draw in zip(indices, draws, strict=True)])

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval records of the model; nothing is looked up on the Hub."""
        return {"model_num_parameters": self.model.num_parameters(), "model_dtype": str(self.model.dtype)}
