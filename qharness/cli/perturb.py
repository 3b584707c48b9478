"""`qharness perturb`."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qharness.cli.completion import complete_perturbation, complete_task
from qharness.cli.options import OUTPUT, SAMPLING, TASK, DataDir, bounded
from qharness.cli.output import echo, registry
from qharness.errors import QHarnessError
from qharness.progress import note
from qharness.storage.atomic_writer import write_text
from qharness.storage.disk_errors import named
from qharness.storage.json_values import json_text

if TYPE_CHECKING:
    from qharness.evaluate.perturb.prose_changes import ProseChange


def perturb(
    task: Annotated[
        str,
        typer.Option(
            help="One of the tasks of `qharness list tasks`.", rich_help_panel=TASK, autocompletion=complete_task
        ),
    ],
    perturb: Annotated[
        str,
        typer.Option(
            help="Perturbation, as NAME[:OPTIONS][+NAME...].",
            rich_help_panel=TASK,
            autocompletion=complete_perturbation,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            help="What to write: .jsonl, .md to read, or .yaml, the perturbed task for lm-eval.", rich_help_panel=OUTPUT
        ),
    ],
    seed: Annotated[int, bounded("seed", "Of the perturbation's draws.", SAMPLING)] = 0,
    data_dir: DataDir = None,
) -> None:
    """Write the prompts of a task as they are and perturbed, side by side, with the difference marked."""
    registry()
    if output.suffix not in (*_WRITERS, ".yaml"):
        raise QHarnessError(
            f"--output must end in {', '.join(_WRITERS)} or .yaml, not {output.suffix or output.name!r}"
        )
    from qharness.evaluate.perturb.perturbed_task import PerturbedTask, bind_perturbations, write_yaml
    from qharness.evaluate.run.lm_eval_bridge import load_task

    name = f"{task}@{perturb}"
    bind_perturbations(name)
    with named(f"--output {output}"):
        output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix == ".yaml":
        write_yaml(name, output, seed)
        return
    (loaded,) = load_task(name, data_dir, seed).tasks.values()
    assert isinstance(loaded, PerturbedTask)
    _ = loaded.eval_docs
    write_text(output, _WRITERS[output.suffix](name, loaded.changes))
    for each in loaded.notes:
        note(f"note: {each}")
    echo(f"{len(loaded.changes)} prompts: {output}")


def _pairs(change: ProseChange) -> list[tuple[str, str, str]]:
    """(field, before, after) of each text that differs; of the prompt in any case."""
    before, after = change.before, change.after
    return [(f, before[f], after[f]) for f in before if f == "prompt" or before[f] != after[f]]


def _marked(before: str, after: str, wrap: Callable[[str], str]) -> str:
    """`after` with what is not in `before` wrapped, word by word."""
    old, new = (re.findall(r"\w+|\s+|.", text) for text in (before, after))
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    parts = []
    for tag, _, _, left, right in matcher.get_opcodes():
        piece = "".join(new[left:right])
        parts.append(piece if tag == "equal" or not piece.strip() else wrap(piece))
    return "".join(parts)


def _json_lines(name: str, changes: Sequence[ProseChange]) -> str:
    """Return JSON lines, one a text of a document: as it was, perturbed, and with the difference marked."""
    rows: list[dict[str, object]] = []
    for number, change in enumerate(changes):
        for field, before, after in _pairs(change):
            rows.append(
                {
                    "task": name,
                    "doc_id": number,
                    "task_id": change.before.get("task_id"),
                    "field": field,
                    "original": before,
                    "perturbed": after,
                    "difference": _marked(before, after, lambda piece: f"[[{piece}]]"),
                    "stretches": change.stretches,
                    "kept": change.kept,
                }
            )
    return "".join(json_text(row) + "\n" for row in rows)


def _markdown(name: str, changes: Sequence[ProseChange]) -> str:
    """A section a document: its text before and after, the changes underlined as in table VIII of Wei et al. 2023."""
    parts = [f"# {name}\n"]
    for number, change in enumerate(changes):
        parts.append(f"\n## {change.before.get('task_id', number)}\n")
        for _, before, after in _pairs(change):
            if before == after:
                parts.append("\nNot changed.\n")
                shown = [html.escape(before)]
            else:
                shown = [
                    _marked(html.escape(one), html.escape(other), lambda piece: f"<u>{piece}</u>")
                    for one, other in ((after, before), (before, after))
                ]
            parts += [f"\n<pre>{text}</pre>\n" for text in shown]
    return "".join(parts)


_WRITERS: dict[str, Callable[[str, Sequence[ProseChange]], str]] = {".jsonl": _json_lines, ".md": _markdown}
