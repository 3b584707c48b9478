"""A loaded model as lm-eval asks it: its HFLM, with our generation."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models import huggingface
from lm_eval.models.huggingface import HFLM

from qharness.api.tasks import Document
from qharness.bounds import check_setting, parse_number
from qharness.models.checkpoint_formats import WeightFootprint, select_kernels
from qharness.models.conventions import marked, with_bos_token
from qharness.models.decoding import Decoding, prompt_sha
from qharness.models.encoding import encode_text
from qharness.models.engine import Prompt
from qharness.models.generation import Generation
from qharness.models.generation_clock import GenerationClock
from qharness.models.lm_interface import DEPENDENT_BATCH_SIZE, Completion, Facts, Key
from qharness.models.loading import LoadedModel
from qharness.models.nonfinite import rows_not_finite
from qharness.models.onednn_linear import onednn_linear
from qharness.models.relayed_bars import RelayedBar
from qharness.models.replaced_names import replaced
from qharness.models.sampling import SampleKey
from qharness.models.weight_footprint import resident_bytes
from qharness.progress import phase


@dataclass(frozen=True)
class _Job:
    """A prompt with its completions' places among the requests."""

    prompt: Prompt
    sha: str
    decoding: Decoding
    places: Mapping[SampleKey, int]

    def key(self, draw: SampleKey) -> Key:
        return draw.document, draw.sample, self.sha

    def only(self, draws: Sequence[SampleKey]) -> _Job:
        return replace(self, prompt=replace(self.prompt, samples=tuple(draws)))


class LoadedLM(HFLM):  # type: ignore[misc]
    """A loaded model, causal or encoder-decoder, quantized or not, as lm-eval asks it.

    `batch_size` is how many completions are made at a time; where it is `auto` or not given, as many as memory holds.
    """

    def __init__(self, loaded: LoadedModel, seed: int = 0, batch_size: int | str | None = None) -> None:
        check_setting("seed", seed)
        self.asked = parse_batch_size(batch_size)
        self.batch_dependent = False
        loaded.footprint = loaded.footprint or WeightFootprint(
            resident_bytes(loaded.model), select_kernels(loaded.model)
        )
        self.footprint = loaded.footprint
        self.remarks = loaded.remarks
        # HFLM pads with a token that it may have to add to the tokenizer, so it gets one of its own.
        super().__init__(pretrained=loaded.model, tokenizer=copy.deepcopy(loaded.tokenizer), batch_size=self.asked or 1)
        self.tokenizer = loaded.tokenizer
        self.generation = Generation(loaded.model, self.tokenizer, self.max_length, seed)
        self.generation.check()
        self.convention = marked(loaded.model.config)
        self.known: dict[Key, str] = {}
        self.on_batch: Callable[[Sequence[Completion]], None] = lambda _: None
        self.batches: list[list[tuple[int, int]]] = []
        self.at_a_time = self.asked or DEPENDENT_BATCH_SIZE
        self.clock = GenerationClock()

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Complete each request; the n-th repetition of one is its n-th sample.

        Completions in `known`, by (document, sample, prompt_sha), are not made again; where rows depend on their
        batch, only those of whole batches are known. `on_batch` sees completions as they are done, `batches` says
        which rows went together where that matters, and `clock` adds up the time.
        """
        texts: list[str] = [""] * len(requests)
        done = 0
        with self.clock.running(), phase("generate", "completions") as progress:
            for _, alike in itertools.groupby(self._jobs(requests), key=lambda job: job.decoding):
                for place, text in self._texts(list(alike)):
                    texts[place] = text
                    done += 1
                    progress(done, len(requests))
        self.clock.tokens = self.generation.tokens
        return texts

    def prompts_to_try(self, requests: Sequence[Instance]) -> tuple[list[Prompt], Decoding, int, int]:
        """The prompts of a run's requests that have the first one's decoding, shortest first.

        Returns also the decoding, how many completions a run of these requests would make at a time, and the most
        bytes that one of them takes.
        """
        jobs = self._jobs(requests)
        jobs = [job for job in jobs if job.decoding == jobs[0].decoding]
        prompts, decoding = [job.prompt for job in jobs], jobs[0].decoding
        dependent = DEPENDENT_BATCH_SIZE if self.batch_dependent else None
        size = self.asked or dependent or self.generation.max_batch_size(prompts, decoding)
        counts = [len(prompt.samples) for prompt in prompts]
        size = min(size, max(counts) if self.generation.step.equal_lengths else sum(counts))
        return prompts, decoding, size, self.generation.row_bytes(prompts, decoding)

    def _jobs(self, requests: Sequence[Instance]) -> list[_Job]:
        """The requests as jobs, those of one decoding together, shortest prompt first.

        Completions that are in flight for long are those of short prompts then: all rows are about equally long.
        """
        repeated: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            repeated.setdefault(id(request), []).append(index)
        jobs = []
        for places in repeated.values():
            request = requests[places[0]]
            text, arguments = request.args
            decoding = Decoding.from_lm_eval(arguments, self.max_gen_toks)
            ids = self.generation.truncate_prompt(self._prompt(text, request.doc), decoding)
            by_draw = {SampleKey(request.doc_id or 0, sample): place for sample, place in enumerate(places)}
            jobs.append(_Job(Prompt(ids, tuple(by_draw)), prompt_sha(text), decoding, by_draw))
        order = {decoding: n for n, decoding in enumerate(dict.fromkeys(job.decoding for job in jobs))}
        return sorted(jobs, key=lambda job: (order[job.decoding], len(job.prompt.ids)))

    def _prompt(self, text: str, doc: Document | None) -> list[int]:
        """A prompt's tokens after the model's prefix; of an encoder's prompt at most as many as the task reads."""
        whole = self.convention.prefixes.get((doc or {}).get("language", ""), "") + text
        ids = self.tok_encode(whole)
        encoder = self.model.config.is_encoder_decoder
        most = (doc or {}).get("max_source_tokens") if encoder else None
        if most is not None and len(ids) > most:
            self.generation.shortened += 1
            ids = encode_text(self.tokenizer, whole, encoder=encoder, max_length=most)
        return with_bos_token(ids, self.convention, self.tokenizer)

    def _texts(self, jobs: Sequence[_Job]) -> Iterator[tuple[int, str]]:
        """(place among the requests, text) of each completion, known or made."""
        if self.batch_dependent:
            self.at_a_time = self.asked or DEPENDENT_BATCH_SIZE
            for batch in _batches(jobs, self.at_a_time):
                self.batches.append([(draw.document, draw.sample) for job in batch for draw in job.prompt.samples])
                whole = all(job.key(draw) in self.known for job in batch for draw in job.prompt.samples)
                yield from self._known(batch) if whole else self._made(batch)
            return
        yield from self._known(jobs)
        left = [job.only([draw for draw in job.prompt.samples if job.key(draw) not in self.known]) for job in jobs]
        left = [job for job in left if job.prompt.samples]
        if left:
            self.at_a_time = self.asked or self.generation.max_batch_size(
                [job.prompt for job in left], left[0].decoding
            )
            yield from self._made(left)

    def _known(self, jobs: Sequence[_Job]) -> Iterator[tuple[int, str]]:
        for job in jobs:
            for draw in job.prompt.samples:
                if job.key(draw) in self.known:
                    yield job.places[draw], self.known[job.key(draw)]

    def _made(self, jobs: Sequence[_Job]) -> Iterator[tuple[int, str]]:
        """Complete jobs; `on_batch` gets completions together that were made at about the same time."""
        decoding = jobs[0].decoding
        done: list[Completion] = []
        prompts = [job.prompt for job in jobs]
        together = sum(len(job.prompt.samples) for job in jobs) if self.batch_dependent else max(1, self.at_a_time // 4)
        try:
            made = self.generation(prompts, decoding, self.at_a_time, halve=not self.batch_dependent)
            for number, draw, text in made:
                done.append((*jobs[number].key(draw), text))
                if len(done) >= together:
                    self.on_batch(done)
                    done = []
                yield jobs[number].places[draw], text
        except KeyboardInterrupt:
            self.on_batch(done)
            raise
        if done:
            self.on_batch(done)

    def tok_encode(
        self,
        string: str,
        add_special_tokens: bool | None = None,
        left_truncate_len: int | None = None,
        **_: Any,
    ) -> list[int]:
        """A text's tokens, for all of lm-eval's requests; a causal model's text gets no end token."""
        encoder, special = self.model.config.is_encoder_decoder, add_special_tokens is not False
        ids = encode_text(self.tokenizer, string, encoder=encoder, special=special)
        return ids[-left_truncate_len:] if left_truncate_len else ids

    @property
    def prefix_token_id(self) -> int:
        """The token that a text without a context is conditioned on."""
        return self.generation.start_token_id()

    def _model_call(self, inps: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Logits of whole texts, as lm-eval asks for them; raise ModelError, naming a layer, if they are not finite."""
        with onednn_linear():
            logits: torch.Tensor = super()._model_call(inps, *args, **kwargs)
        if rows := rows_not_finite(logits):
            raise self.generation.nonfinite(inps[rows[0] // logits.shape[1]].tolist())
        return logits

    def _loglikelihood_tokens(self, *args: Any, **kwargs: Any) -> list[tuple[float, bool]]:
        """Score texts as HFLM does; its bar is the phase's."""
        with phase("score", "requests") as progress, replaced(huggingface, "tqdm", partial(RelayedBar, progress)):
            found: list[tuple[float, bool]] = super()._loglikelihood_tokens(*args, **kwargs)
        return found

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Score texts as HFLM does, without its bar over their windows, which are cut at once."""
        found: list[float] = super().loglikelihood_rolling(requests, disable_tqdm=True)
        return found

    def facts(self) -> Facts:
        """The model's part of the run's document, once it has run."""
        notes = list(self.remarks)
        if self.generation.truncated:
            cut = f"{self.generation.truncated} prompts were cut from the left"
            notes.append(f"{cut} to fit the model's {self.max_length} tokens")
        if self.generation.shortened:
            longer = f"{self.generation.shortened} prompts are longer"
            notes.append(f"{longer} than what the task reads, which is their beginning")
        if unused := self.generation.unused_settings():
            notes.append(f"the checkpoint's own generation settings are not used: {', '.join(unused)}")
        if self.generation.step.equal_lengths:
            notes.append(f"the model's state is no key-value cache: {self.generation.step.label}")
        if self.footprint.layers:
            notes.append(f"quantized layers ran so: {json.dumps(self.footprint.layers)}")
        resident = resident_bytes(self.model)
        weights, layers = self.footprint.weight_bytes, self.footprint.layers
        return Facts(str(self.device), str(self.model.dtype), resident, weights, layers, notes)

    def get_model_info(self) -> dict[str, Any]:
        """The parameters and dtype that lm-eval records; nothing is looked up on the Hub."""
        return {"model_num_parameters": self.model.num_parameters(), "model_dtype": str(self.model.dtype)}


def parse_batch_size(size: int | str | None) -> int | None:
    """Completions at a time; None for `auto` or nothing. Raises SettingError for anything but a number."""
    parsed = parse_number("batch_size", "auto" if size is None else str(size), "batch_size", word="auto")
    return None if parsed is None else int(parsed)


def _batches(jobs: Sequence[_Job], size: int) -> Iterator[list[_Job]]:
    """Jobs of `size` completions together, in order."""
    pairs = [(job, draw) for job in jobs for draw in job.prompt.samples]
    for start in range(0, len(pairs), size):
        chunk = itertools.groupby(pairs[start : start + size], key=lambda pair: id(pair[0]))
        yield [some[0][0].only([draw for _, draw in some]) for some in (list(pairs) for _, pairs in chunk)]
