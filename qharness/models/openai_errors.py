"""The errors of an OpenAI-compatible server, each as one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

import openai

from qharness.errors import ModelError, first_line
from qharness.models.server_model import ServerModel

_REFUSES = (400, 422)
_SHOWN_MODELS = 10


class RefusedOptionError(ModelError):
    """A server does not take an option of the request."""

    def __init__(self, option: str, said: str) -> None:
        super().__init__(said)
        self.option = option


def explain(
    error: openai.APIError, model: ServerModel, options: Sequence[str] = (), listed: Sequence[str] = ()
) -> ModelError:
    """The error as ModelError; as RefusedOptionError where the server names one of the request's `options`.

    `listed`: the models that the server offers, where it says so.
    """
    url = model.base_url
    if isinstance(error, openai.APITimeoutError):
        return ModelError(
            f"{url} did not answer in time, however often it was asked: the same command goes on from here, "
            "and with a smaller --batch-size it asks less at a time"
        )
    if isinstance(error, openai.APIConnectionError):
        return ModelError(f"{url} cannot be reached: {first_line(error.__cause__ or error)}")
    if not isinstance(error, openai.APIStatusError):
        return ModelError(f"{url} answers with an error: {said_by(error, model)}")
    said = said_by(error, model)
    if error.status_code in _REFUSES and (option := _named_option(error, said, options)):
        return RefusedOptionError(option, f"{url} refuses the request: {said}")
    if error.status_code in (401, 403):
        what = f"the key in {model.api_key_env}" if model.api_key_env else "requests without a key: give --api-key-env"
        return ModelError(f"{url} refuses {what} ({said})")
    if error.status_code == 404:
        return ModelError(f"{url} has no model {model.name!r}{_offer(url, listed)} ({said})")
    if error.status_code == 429:
        return ModelError(f"{url} takes no more requests for now ({said}): the same command goes on from here later")
    return ModelError(f"{url} answers with status {error.status_code}: {said}")


def said_by(error: openai.APIError, model: ServerModel) -> str:
    """A server's own message, the first line of it, without the key that it may repeat."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    if isinstance(message, dict):
        message = message.get("message")
    text = str(message or body or error.message).strip().partition("\n")[0] or type(error).__name__
    return text.replace(model.api_key, "***") if model.api_key else text


def _named_option(error: openai.APIStatusError, said: str, options: Sequence[str]) -> str | None:
    """The option that an error is about: the one it names as its parameter, else the first that its text names."""
    named = [error.param] if error.param in options else []
    named += [option for option in options if re.search(rf"\b{option}\b", f"{said} {error.body}")]
    return next(iter(named), None)


def _offer(url: str, listed: Sequence[str]) -> str:
    if not listed:
        return "" if url.rstrip("/").endswith("/v1") else ", or is no such API: addresses mostly end in /v1"
    more = f" and {len(listed) - _SHOWN_MODELS} more" if len(listed) > _SHOWN_MODELS else ""
    return f": it offers {', '.join(listed[:_SHOWN_MODELS])}{more}"
