"""Cuts a model's responses as their task does: at its stop sequences, then by the filters before the one that runs.

Answers of chat models become the program in them instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qharness.api.tasks import Document
from qharness.evaluate.interchange.samples import Extent, Sample
from qharness.evaluate.run.lm_eval_bridge import LoadedTask
from qharness.filters import run_programs, solution_of

if TYPE_CHECKING:
    from lm_eval.api.task import Task

    from qharness.evaluate.chat_task import ChatPrompt

_Filter = Callable[[Sequence[Sequence[str]], Sequence[Document]], list[list[str]]]


def chat_prompt(loaded: LoadedTask) -> ChatPrompt | None:
    """What a task asks of a chat model; None where it is no ChatTask."""
    found: ChatPrompt | None = getattr(next(iter(loaded.tasks.values())), "chat", None)
    return found


def cut_texts(loaded: LoadedTask, samples: Sequence[tuple[Document, Sample]]) -> list[str]:
    """Return the texts of samples, each of which comes with its document; cut those that are not cut yet.

    Of an answer, the text is a Solution.
    """
    texts = [
        solution_of(doc, sample.text) if sample.extent is Extent.ANSWER else sample.text for doc, sample in samples
    ]
    uncut = [n for n, (_, sample) in enumerate(samples) if sample.is_logged]
    if not uncut:
        return texts
    from qharness.models.decoding import Decoding, cut_at_stop  # with torch, which `list` is not to import

    first = next(iter(loaded.tasks.values()))  # a benchmark of programs is one task
    until = Decoding.from_lm_eval(first.get_config("generation_kwargs") or {}, 1).until
    chat = chat_prompt(loaded)
    if chat is not None:
        stops = chat.stops(until)
        for n in (n for n in uncut if samples[n][1].extent is Extent.UNCUT_ANSWER):
            doc = samples[n][0]
            texts[n] = solution_of(doc, chat.answer_start(doc) + cut_at_stop(texts[n], stops))
        uncut = [n for n in uncut if samples[n][1].extent is Extent.UNCUT]
    docs = [samples[n][0] for n in uncut]
    cut = [[cut_at_stop(texts[n], until)] for n in uncut]
    for each in _filters(first):
        cut = each(cut, docs)
    for n, (text,) in zip(uncut, cut, strict=True):
        texts[n] = text
    return texts


def _filters(task: Task) -> list[_Filter]:
    steps = (task.get_config("filter_list") or [{"filter": []}])[0]["filter"]
    functions = (step["filter_fn"] for step in steps if step.get("function") == "custom")
    return list(itertools.takewhile(lambda function: function is not run_programs, functions))
