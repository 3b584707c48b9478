"""Drops what a model thinks aloud before it answers."""

from __future__ import annotations

import re

_WORDS = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|seed:think"
_PAIRS = (
    (rf"<(?:{_WORDS})>", rf"</(?:{_WORDS})>"),
    (r"\[THINK\]", r"\[/THINK\]"),
    (r"◁think▷", r"◁/think▷"),
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    (r"<\|channel\|>(?:analysis|commentary)<\|message\|>", r"<\|end\|>|<\|channel\|>final<\|message\|>"),
)
"""How models mark the beginning and the end of thoughts."""
_OPENS, _CLOSES = ("|".join(f"(?:{pair[side]})" for pair in _PAIRS) for side in (0, 1))
_MARK = re.compile(rf"(?P<opens>^[ \t]*(?:{_OPENS}))|(?P<closes>{_CLOSES})", re.MULTILINE)
_ALONE = re.compile(rf"^[ \t]*(?:{_CLOSES})|(?:{_CLOSES})[ \t]*$", re.MULTILINE)
_WRAPPING = re.compile(
    r"<\|(?:begin_of_solution|end_of_solution|START_RESPONSE|END_RESPONSE)\|>|<\|channel\|>final<\|message\|>|<\|(?:end|return|im_end|eot_id|endoftext|end_of_text)\|>"
)


def without_thinking(answer: str) -> str:
    """Return the answer without its thoughts, and without the marks that chat templates leave around it.

    A thought begins at the beginning of a line. One that is not closed reaches to the end. Where one is closed that was
    not opened (templates open it in the prompt), all before its end is thought.
    """
    parts: list[str] = []
    at, depth = 0, 0
    for mark in _MARK.finditer(answer):
        if mark["opens"] is not None:
            if depth == 0:
                parts.append(answer[at : mark.start()])
            depth += 1
        elif depth:
            depth -= 1
            at = mark.end()
        elif _ALONE.match(answer, answer.rfind("\n", 0, mark.start()) + 1) or _ends_line(answer, mark.end()):
            parts.clear()
            at = mark.end()
    if depth == 0:
        parts.append(answer[at:])
    return _WRAPPING.sub("", "".join(parts))


def _ends_line(text: str, at: int) -> bool:
    end = text.find("\n", at, at + 100)
    return not text[at : end if end >= 0 else at + 100].strip()
