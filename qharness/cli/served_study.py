"""`study --serve [PORT]`: the option, which may stand without its value, and the page while the study runs."""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness.cli.strict_command import StrictCommand
from qharness.progress import complain
from qharness.specs import MaxLoss

if TYPE_CHECKING:
    from qharness.report.live.live_page import LivePage

_SERVE, _ANY_PORT = "--serve", 0


class StudyCommand(StrictCommand):
    """Gives `--serve` a value where another option, the study's file or nothing follows it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the value in, and parse."""
        followed = zip(args, [*args[1:], "--"], strict=True)
        alone = f"{_SERVE}={_ANY_PORT}"
        given = [alone if word == _SERVE and _is_no_port(after) else word for word, after in followed]
        return super().parse_args(ctx, given)


def _is_no_port(word: str) -> bool:
    return word.startswith("--") or word.endswith(".toml")


def page_of(port: int | None, title: str, folder: Path, margin: MaxLoss) -> AbstractContextManager[LivePage | None]:
    """The page of a study, which is served while the context lasts; None without a port."""
    if port is None:
        return nullcontext()
    from qharness.report.live.live_page import live_page

    return live_page(port, title, folder, margin)


def leave_up(page: LivePage) -> None:
    """Leave the page up until Ctrl-C, where somebody is at a terminal to press it."""
    page.end()
    if sys.stderr.isatty():
        complain("the study is over; its page stays until Ctrl-C")
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
