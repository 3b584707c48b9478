"""Connects to an OpenAI-compatible server; imports the package `openai` only then."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from qharness.errors import MissingDependencyError, ModelError
from qharness.models.server_model import ServerModel
from qharness.specs import ModelSpec

if TYPE_CHECKING:
    from qharness.models.openai_lm import ServedByOpenAI


def connect(spec: ModelSpec, model: object) -> ServedByOpenAI:
    """The model, of a server that was asked and has it.

    Raises ModelError, or MissingDependencyError where the package is not installed.
    """
    if not isinstance(model, ServerModel):
        raise ModelError(f"--backend openai: model {spec.model!r} has no server: give --base-url")
    if spec.quant != "none":
        raise ModelError(
            f"--backend openai quantizes nothing, and --quant {spec.quant} would have no effect: start the server with "
            "the quantized model, and compare it with --baseline"
        )
    if importlib.util.find_spec("openai") is None:
        raise MissingDependencyError("openai", "pip install 'qharness[openai]'")
    from qharness.models.openai_client import OpenAIClient
    from qharness.models.openai_lm import ServedByOpenAI

    client = OpenAIClient(model)
    client.check()
    return ServedByOpenAI(client)
