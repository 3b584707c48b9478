"""`--backend openai`: completions of a model that an OpenAI-compatible server holds."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qharness.models.begun_answers import after_prefix
from qharness.models.completion_keys import CompletionRequest
from qharness.models.concurrent_lm import ConcurrentLM
from qharness.models.decoding import cut_at_stop
from qharness.models.lm_interface import Facts
from qharness.models.openai_client import Message, OpenAIClient, Options, ServerAnswer
from qharness.models.openai_errors import RefusedOptionError
from qharness.results import Usage

AT_A_TIME = 8
"""Requests in flight where the user has not said how many."""
_MOST_STOPS = 4  # more are refused by the API that all imitate; the rest is cut here
_FENCE = "```"
_CONTINUE: Options = {"continue_final_message": True, "add_generation_prompt": False}
_INSTEAD: Mapping[str, str | None] = {
    "max_tokens": "max_completion_tokens",
    "stop": None,
    "seed": None,
    "continue_final_message": None,
    "add_generation_prompt": None,
}
"""What is sent instead of an option that a server refuses: another name for it, or nothing. Others are needed."""


@dataclass(frozen=True)
class ServedByOpenAI:
    """A model of a server that has answered."""

    client: OpenAIClient
    composition: Mapping[str, int] | None = None
    log: Sequence[str] = ()
    untouched: None = None

    def lm(self, seed: int, batch_size: int | None) -> OpenAIRun:
        """The model for one run."""
        return OpenAIRun(self.client, seed, batch_size or AT_A_TIME)


class OpenAIRun(ConcurrentLM):
    """One run of a server's model: plain texts are completed; what has gone through `apply_chat_template` is chat."""

    backend = "openai"
    tokenizer_name = ""

    def __init__(self, client: OpenAIClient, seed: int, at_a_time: int) -> None:
        super().__init__(seed, at_a_time)
        self._client = client
        self._chat = False
        self._refused: set[str] = set()
        self._answers: list[ServerAnswer] = []
        self.chat_template_args: dict[str, bool] = {}

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The messages as JSON: the server applies its own template. The last may be the answer's beginning."""
        self._chat = True
        return json.dumps(chat_history, ensure_ascii=False)

    def chat_template(self, chat_template: bool | str = False) -> str:
        """No template, for the server does not tell its own."""
        return ""

    def complete(self, request: CompletionRequest, stopping: threading.Event) -> str:
        """Ask the server; without an option that it refuses, where it can do without."""
        messages: list[Message] = json.loads(request.prompt) if self._chat else []
        begun = messages[-1]["content"] if messages and messages[-1]["role"] == "assistant" else ""
        options = self._options(request, begun)
        while True:
            try:
                answer = self._answer(request.prompt, messages, begun, options)
                break
            except RefusedOptionError as error:
                if error.option in _INSTEAD:
                    self._refused.add(error.option)
                if options == (options := self._options(request, begun)):
                    raise
        self._answers.append(answer)
        text = after_prefix(answer.text, begun, may_continue=_CONTINUE.keys() <= options.keys())
        return cut_at_stop(text, request.decoding.until)

    def _answer(self, prompt: str, messages: Sequence[Message], begun: str, options: Options) -> ServerAnswer:
        if not messages:
            return self._client.text(prompt, options)
        continues = _CONTINUE.keys() <= options.keys()
        return self._client.chat(messages if continues or not begun else messages[:-1], options)

    def _options(self, request: CompletionRequest, begun: str) -> Options:
        """The request's options by the names that the server takes."""
        decoding, continues = request.decoding, bool(begun) and not _CONTINUE.keys() & self._refused
        stops = [stop for stop in decoding.until if stop]
        if self._chat:
            stops = list(_stops_in_chat(stops, continues))
        wanted: Options = {
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            **({"top_p": decoding.top_p} if decoding.temperature > 0 and decoding.top_p < 1 else {}),
            **({"seed": request.seed} if decoding.temperature > 0 else {}),
            **({"stop": stops[:_MOST_STOPS]} if stops else {}),
            **(_CONTINUE if continues else {}),
            **({"chat_template_kwargs": self.chat_template_args} if self._chat and self.chat_template_args else {}),
        }
        named = ((name if name not in self._refused else _INSTEAD[name], value) for name, value in wanted.items())
        return {name: value for name, value in named if name}

    def facts(self) -> Facts:
        """The tokens that the server counted. Of the machine that it runs on, and of its dtype, nothing is known."""
        model = self._client.model
        notes = [f"completions are those of {model.name!r} at {model.base_url}, each with a seed of its own"]
        notes += [
            f"the server refuses the option {name}, which was left out or renamed" for name in sorted(self._refused)
        ]
        return Facts(device=None, dtype=None, usage=usage_of(self._answers), notes=notes)


def _stops_in_chat(stops: Sequence[str], continues: bool) -> Iterator[str]:
    """The stop sequences that cannot end an answer before its block of code.

    A server may ignore that it is to go on inside the block: then a tagged fence opens it, and a bare one closes it.
    One that is known to write a message of its own may open it with either.
    """
    for stop in stops:
        if _FENCE not in stop:
            yield stop
        elif continues and stop.endswith(_FENCE):
            yield f"{stop}\n"


def usage_of(answers: Sequence[ServerAnswer]) -> Usage | None:
    """The sums over the answers whose tokens were counted; None where none was."""
    counted = [each for each in answers if each.prompt_tokens is not None]
    prices = [each.usd for each in counted if each.usd is not None]
    if not counted:
        return None
    return Usage(
        completions=len(counted),
        prompt_tokens=sum(each.prompt_tokens or 0 for each in counted),
        completion_tokens=sum(each.completion_tokens or 0 for each in counted),
        usd=sum(prices) if prices else None,
    )
