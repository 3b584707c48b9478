"""Asks an OpenAI-compatible server for completions.

The package `openai` sends the requests. It waits as `Retry-After` says, up to two minutes, or else about twice as long
after each attempt, and tries again after 408, 409, 429 and 5xx, a broken connection and a body that ends early.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import openai

from qharness.errors import ModelError, first_line
from qharness.models.openai_errors import explain
from qharness.models.server_model import ServerModel

if TYPE_CHECKING:
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletionMessageParam

ATTEMPTS = 6
"""Requests sent for one completion before the run stops."""
TIMEOUT_S = 600.0
"""Seconds without a byte from the server after which a request is given up: the package's own."""
_CONNECT_S = 10.0

Options = Mapping[str, object]
Message = Mapping[str, str]


@dataclass(frozen=True)
class ServerAnswer:
    """A completion as a server gave it, with the tokens and US dollars that it counted; None where it counts none."""

    text: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    usd: float | None = None


class OpenAIClient:
    """Requests to one model of a server, from any thread. Every failure is a ModelError of one line."""

    def __init__(self, model: ServerModel, timeout_s: float = TIMEOUT_S, attempts: int = ATTEMPTS) -> None:
        self.model = model
        self._attempts = attempts
        self._listed: list[str] = []
        self._client = openai.OpenAI(
            base_url=model.base_url,
            api_key=model.api_key or "none",  # the package insists on one
            timeout=openai.Timeout(timeout_s, connect=_CONNECT_S),
            max_retries=attempts - 1,
        )

    def check(self) -> None:
        """Raise ModelError if the server cannot be reached, refuses the key, or does not know the model.

        A server may take a name that it does not list, so it is asked for one token then.
        """
        once = self._client.with_options(max_retries=0)
        try:
            self._listed = [each.id for each in once.models.list().data]
        except openai.NotFoundError:
            pass  # it lists none
        except openai.APIError as error:
            raise explain(error, self.model) from None
        except (ValueError, AttributeError, TypeError):  # an answer of another shape
            pass
        if self.model.name in self._listed:
            return
        try:
            once.chat.completions.create(
                model=self.model.name, messages=[{"role": "user", "content": "1"}], extra_body={"max_tokens": 1}
            )
        except (openai.NotFoundError, openai.APIConnectionError) as error:
            raise explain(error, self.model, listed=self._listed) from None
        except (openai.APIError, ValueError):  # of a model that does not chat, say: the run will tell
            pass

    def text(self, prompt: str, options: Options) -> ServerAnswer:
        """The completion of a text. Raises RefusedOptionError for an option that the server does not take."""

        def ask() -> ServerAnswer:
            found = self._client.completions.create(model=self.model.name, prompt=prompt, extra_body=dict(options))
            return _answer(found.choices[0].text, found.usage)

        return self._whole(ask, options)

    def chat(self, messages: Sequence[Message], options: Options) -> ServerAnswer:
        """The assistant's next message, or the rest of it. Raises RefusedOptionError, as `text` does."""
        given = cast("list[ChatCompletionMessageParam]", list(messages))

        def ask() -> ServerAnswer:
            found = self._client.chat.completions.create(
                model=self.model.name, messages=given, extra_body=dict(options)
            )
            return _answer(found.choices[0].message.content, found.usage)

        return self._whole(ask, options)

    def _whole(self, ask: Callable[[], ServerAnswer], options: Options) -> ServerAnswer:
        """Ask, and again where the answer holds no completion: it is torn, or an error under status 200."""
        for _ in range(self._attempts):
            try:
                return ask()
            except openai.APIError as error:
                raise explain(error, self.model, list(options), self._listed) from None
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                reason = first_line(error)
        raise ModelError(
            f"{self.model.base_url} answers with no completion ({reason}): is it an OpenAI-compatible API?"
        )


def _answer(text: str | None, usage: CompletionUsage | None) -> ServerAnswer:
    """The text, empty where a model has only thought, and the server's counts; some give the price as `cost`."""
    cost = getattr(usage, "cost", None)
    return ServerAnswer(
        text or "",
        getattr(usage, "prompt_tokens", None),
        getattr(usage, "completion_tokens", None),
        float(cost) if isinstance(cost, int | float) else None,
    )
