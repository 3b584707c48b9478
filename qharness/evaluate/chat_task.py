"""A task that lm-eval can put to a chat model: `class: !function qharness.evaluate.chat_task.ChatTask` in its YAML.

Without a chat template it is the task of its YAML. With one (`--apply_chat_template`, `--chat`), its `metadata: chat`
say what the user asks and how the assistant's answer begins, and the code is taken out of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from lm_eval.api.task import ConfigurableTask
from lm_eval.filters import build_filter_ensemble
from lm_eval.utils import apply_template

from qharness.api.tasks import Document, TaskConfig
from qharness.errors import PluginError
from qharness.filters import extract_code, run_programs

_FENCE = "```"
_CLOSING_FENCE = f"\n{_FENCE}"


@dataclass(frozen=True)
class ChatPrompt:
    """What a task asks of a chat model; texts are Jinja templates of a document.

    `instruction`: the user's turn. `prefix`: the beginning of the assistant's answer, empty for none; by default a
    fence with the document's `language`. `language`: that of documents that name none. `until`: stop sequences; by
    default the closing fence where the prefix opens one, and the task's own elsewhere.
    """

    instruction: str
    prefix: str = _FENCE + "{{language}}\n"
    language: str = ""
    until: tuple[str, ...] | None = None

    @classmethod
    def of_metadata(cls, task: str, found: object) -> ChatPrompt | None:
        """Read `metadata: chat` of a task; None where there is none. Raises PluginError for anything else."""
        if found is None:
            return None
        known = {field.name: str for field in fields(cls)} | {"until": list}
        if not isinstance(found, dict) or not isinstance(found.get("instruction"), str):
            raise PluginError(f"task {task!r}: its metadata's chat has no instruction")
        for name, value in found.items():
            if name not in known or not isinstance(value, known[name]):
                raise PluginError(
                    f"task {task!r}: its metadata's chat has {name}: {value!r}; known: {', '.join(known)}"
                )
        return cls(**{**found, **({"until": tuple(found["until"])} if "until" in found else {})})

    def request(self, doc: Document) -> str:
        """The user's turn."""
        return self._filled(self.instruction, doc)

    def answer_start(self, doc: Document) -> str:
        """The beginning of the assistant's answer."""
        return self._filled(self.prefix, doc)

    def stops(self, raw: Sequence[str]) -> list[str]:
        """The stop sequences of an answer; `raw`: those of a completion."""
        if self.until is not None:
            return list(self.until)
        return [_CLOSING_FENCE] if _FENCE in self.prefix else list(raw)

    def _filled(self, template: str, doc: Document) -> str:
        text: str = apply_template(template, {"language": self.language, **doc})
        return text


class ChatTask(ConfigurableTask):  # type: ignore[misc]
    """A task of a YAML, which knows whether lm-eval puts it to a chat model: `in_chat`."""

    _filters: list[Any]  # lm-eval's own, which it applies to the responses

    def __init__(self, config: TaskConfig) -> None:
        config = {key: value for key, value in config.items() if key != "class"}
        metadata = config.get("metadata") or {}
        self.chat = ChatPrompt.of_metadata(str(config["task"]), metadata.get("chat"))
        self.in_chat = False
        super().__init__(config=config)
        self._raw_until = list((self.config.generation_kwargs or {}).get("until") or [])
        self._raw_filters = self._filters

    @property
    def runs_programs(self) -> bool:
        """Whether its completions are programs that `run_programs` runs."""
        steps = (step for each in self.config.filter_list or [] for step in each["filter"])
        return any(step.get("filter_fn") is run_programs for step in steps)

    def build_all_requests(self, *, apply_chat_template: bool = False, **options: Any) -> None:
        """Make lm-eval's requests, as a chat where it says so."""
        self._set_chat(bool(apply_chat_template) and self.chat is not None)
        super().build_all_requests(apply_chat_template=apply_chat_template, **options)

    def _set_chat(self, in_chat: bool) -> None:
        """Choose stop sequences and filters: those of an answer, or those of a completion."""
        self.in_chat, chat = in_chat, self.chat if in_chat else None
        settings = self.config.generation_kwargs
        stops = self._raw_until if self.chat is None else self.chat.stops(self._raw_until)
        if settings is not None and settings.get("until") in (self._raw_until, stops):  # not a user's own
            settings["until"] = stops if chat else self._raw_until
        self._filters = self._raw_filters
        if chat and self.runs_programs:
            steps = (self._whole_answers, extract_code, run_programs)
            name = self.config.filter_list[0]["name"]
            self._filters = [build_filter_ensemble(name, [("custom", {"filter_fn": step}) for step in steps])]

    def doc_to_text(self, doc: Document, doc_to_text: Any = None) -> Any:
        """The user's turn in a chat, else the prompt."""
        return self.chat.request(doc) if self.in_chat and self.chat else super().doc_to_text(doc, doc_to_text)

    def doc_to_prefix(self, doc: Document) -> str | None:
        """The text that the assistant's answer begins with."""
        if self.in_chat and self.chat:
            return self.chat.answer_start(doc)
        prefix: str | None = super().doc_to_prefix(doc)
        return prefix

    def fewshot_context(self, doc: Document, *positional: Any, **options: Any) -> Any:
        """lm-eval's prompt; the white space that ends the answer's beginning is put back where a template drops it."""
        text = super().fewshot_context(doc, *positional, **options)
        prefix = self.doc_to_prefix(doc) if self.in_chat else None
        if prefix and isinstance(text, str) and not text.endswith(prefix) and text.endswith(prefix.rstrip()):
            text += prefix[len(prefix.rstrip()) :]
        return text

    def _whole_answers(self, resps: Sequence[Sequence[str]], docs: Sequence[Document]) -> list[list[str]]:
        """lm-eval filter: the assistant's answers with the text that they were begun with."""
        return [
            [(self.doc_to_prefix(doc) or "") + text for text in texts] for texts, doc in zip(resps, docs, strict=True)
        ]
