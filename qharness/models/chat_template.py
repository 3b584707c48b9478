"""The chat template of a tokenizer: whether it can render what a run asks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qharness.errors import ModelError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

THINKING_SWITCHES = ("enable_thinking", "thinking")
"""The variables by which templates let a model think or not, each true or false."""
_SYSTEM, _USER, _ANSWER = "Be brief about 7919.", "What is 7907?", "```python\n"
Turn = dict[str, str]


def has_chat_template(tokenizer: object) -> bool:
    """Whether a tokenizer has a chat template; of several, lm-eval takes the one called default."""
    found = getattr(tokenizer, "chat_template", None)
    return bool(found.get("default") if isinstance(found, dict) else found)


def check_chat(tokenizer: PreTrainedTokenizerBase, model: str, *, system: bool, think: bool) -> None:
    """Raise ModelError for what a template cannot render: a system's turn, thinking off, an answer that is begun."""
    if not has_chat_template(tokenizer):
        raise ModelError(f"--chat: the tokenizer of {model!r} has no chat template; a base model runs without --chat")
    asked = {"role": "user", "content": _USER}
    try:
        if _ANSWER.rstrip() not in render_chat(
            tokenizer, [asked, {"role": "assistant", "content": _ANSWER}], {}, begun=True
        ):
            raise ValueError("it leaves out the beginning of the answer")
    except Exception as error:  # a template raises whatever it likes
        raise ModelError(f"--chat: the chat template of {model!r} cannot be used: {first_line(error)}") from None
    if system and not _shows_system(tokenizer, [{"role": "system", "content": _SYSTEM}, asked]):
        raise ModelError(f"--system: the chat template of {model!r} has no system's turn")
    if not think and not any(_switches(tokenizer, name, [asked]) for name in THINKING_SWITCHES):
        names = " or ".join(THINKING_SWITCHES)
        raise ModelError(f"--no-think: the chat template of {model!r} has no switch for thinking ({names})")


def _shows_system(tokenizer: PreTrainedTokenizerBase, turns: list[Turn]) -> bool:
    try:
        return _SYSTEM in render_chat(tokenizer, turns, {}, begun=False)
    except Exception:  # some templates raise at a system's turn
        return False


def _switches(tokenizer: PreTrainedTokenizerBase, name: str, turns: list[Turn]) -> bool:
    """Whether a variable changes what the template writes."""
    on, off = (render_chat(tokenizer, turns, {name: value}, begun=False) for value in (True, False))
    return on != off


def render_chat(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], variables: Mapping[str, bool], *, begun: bool
) -> str:
    """Render turns as lm-eval's HFLM does, up to where the answer begins; `begun`: the last turn is its beginning."""
    render: Any = tokenizer.apply_chat_template  # its typed options hide that a template has variables of its own
    text = render(
        list(turns), tokenize=False, add_generation_prompt=not begun, continue_final_message=begun, **variables
    )
    return str(text)
