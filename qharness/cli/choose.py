"""`qharness choose`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qharness.cli.completion import complete_quantizer, complete_task
from qharness.cli.options import (
    MODEL,
    SAMPLING,
    TASK,
    VERDICT,
    AllowUnsandboxed,
    AllowUntouched,
    Calib,
    Chat,
    DataDir,
    Device,
    Json,
    LanguageSpec,
    Limit,
    MaxNewTokens,
    Model,
    NoThink,
    RunDType,
    RunFolders,
    System,
    Temperature,
    TopP,
    TrustRemoteCode,
    bounded,
)
from qharness.cli.output import echo, print_json, print_table, registry, size
from qharness.cli.strict_command import StrictCommand
from qharness.cli.verdict_text import DOES_NOT_HOLD, FailUnlessHolds, MaxLossOption, max_loss_of
from qharness.execution.toolchains import begin_toolchains
from qharness.progress import duration
from qharness.quantization.backends import BackendName
from qharness.results import VerdictClass
from qharness.specs import DEFAULT_MODEL, RunSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qharness.storage.json_values import JsonObject
    from qharness.study.search import SearchedCandidate, SearchResult, TaskSearch

_HEADER = ("candidate", "size", "task", "verdict", "pass@1", "points lost", "pairs used", "time")
_SEVERAL = ("--task", "--quant")


class ChooseCommand(StrictCommand):
    """Lets several values follow `--task` and `--quant`, as in `--quant rtn:3 rtn:4`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each value that follows its first."""
        spread: list[str] = []
        option = ""
        for place, text in enumerate(args):
            if text.startswith("-"):
                option = text if text in _SEVERAL else ""
            elif option and args[place - 1] != option:
                spread.append(option)
            spread.append(text)
        return super().parse_args(ctx, spread)


def choose(
    task: Annotated[
        list[str],
        typer.Option(help="Tasks of programs; several may follow.", rich_help_panel=TASK, autocompletion=complete_task),
    ],
    quant: Annotated[
        list[str],
        typer.Option(
            help="Candidates, as NAME[:OPTIONS]; several may follow.",
            rich_help_panel=MODEL,
            autocompletion=complete_quantizer,
        ),
    ],
    model: Model = None,
    max_loss: MaxLossOption = None,
    budget: Annotated[
        float | None, bounded("budget", "Minutes to search; what is known then is told.", VERDICT)
    ] = None,
    fail_unless_holds: FailUnlessHolds = False,
    calib: Calib = None,
    samples: Annotated[int | None, bounded("samples", "Completions a problem, at most.", SAMPLING)] = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    max_new_tokens: MaxNewTokens = None,
    limit: Limit = None,
    seed: Annotated[int, bounded("seed", "Of sampling, of calibration and of the order of completions.", SAMPLING)] = 0,
    batch_size: Annotated[int | None, bounded("batch_size", "Completions at a time.", MODEL)] = None,
    device: Device = "auto",
    dtype: RunDType = "auto",
    backend: Annotated[
        BackendName, typer.Option(help="What generates: transformers, or vLLM.", rich_help_panel=MODEL)
    ] = "hf",
    chat: Chat = False,
    system: System = None,
    no_think: NoThink = False,
    language: LanguageSpec = None,
    allow_unsandboxed: AllowUnsandboxed = False,
    allow_untouched: AllowUntouched = False,
    trust_remote_code: TrustRemoteCode = False,
    data_dir: DataDir = None,
    output: RunFolders = Path("runs"),
    json: Json = False,
) -> int:
    """Find the smallest quantized model that loses no more than you can bear, in as few completions as it takes.

    Candidates are tried by their size on disk, smallest first. Started again, it makes no completion twice.
    """
    known = registry()
    for each in quant:
        known.quantizer(each)
    margin = max_loss_of(max_loss)
    runs = [
        RunSpec(
            task=name,
            model=model or DEFAULT_MODEL,
            calib=calib,
            samples=samples,
            temperature=temperature,
            top_p=top_p,
            max_new_tokens=max_new_tokens,
            limit=limit,
            seed=seed,
            batch_size=batch_size,
            device=device,
            dtype=dtype,
            backend=backend,
            chat=chat,
            system=system,
            think=not no_think,
            language=language,
            allow_unsandboxed=allow_unsandboxed,
            allow_untouched=allow_untouched,
            trust_remote_code=trust_remote_code,
            data_dir=data_dir,
            output=output,
            max_loss=margin,
        )
        for name in dict.fromkeys(task)
    ]
    begin_toolchains(task)
    from qharness.study.search import SearchSpec
    from qharness.study.search import choose as run_search

    found = run_search(SearchSpec(runs, quant, seed, budget))
    sentence = _sentence(found, margin.amount)
    if json:
        print_json(_document(found, sentence))
    else:
        echo(sentence)
        rows = [row for candidate in found.candidates for row in _rows(candidate)]
        print_table(_HEADER, rows, settings=3)
    return DOES_NOT_HOLD if fail_unless_holds and found.chosen is None else 0


def _sentence(found: SearchResult, margin: float) -> str:
    """Which candidate to take, or why there is none to take, and what the search took."""
    effort = f"{found.programs:,} of {found.of:,} completions, {duration(found.seconds)}"
    chosen, count = found.chosen, len(found.candidates)
    silent = next(
        (of for each in found.candidates for of in each.tasks if of.verdict is VerdictClass.SAYS_NOTHING), None
    )
    if silent:
        full = f"full precision passes {100 * silent.full:.1f}% on {silent.task}"
        return f"This says nothing of any candidate: {full}, too little to see a loss of {margin:g} points ({effort})."
    if chosen:
        tasks = "; ".join(_bounded(each) for each in chosen.tasks)
        saved = 1 - chosen.size / found.full_size
        smaller = f", {100 * saved:.0f}% smaller" if saved >= 0.005 else ""
        head = f"is the smallest of {count} that holds" if count > 1 else "holds"
        return f"{chosen.quant} {head}: {tasks}{smaller} ({effort})."
    lose = [each for each in found.candidates if each.verdict is VerdictClass.LOSES]
    if len(lose) == count > 1:
        return f"All {count} lose, {margin:g} points allowed: {_listed(lose)} ({effort})."
    open_ = [each for each in found.candidates if each not in lose]
    first = (lose or open_)[0]
    if count == 1:
        head = f"{first.quant} loses" if lose else f"Cannot tell whether {first.quant} holds"
        return f"{head}: {'; '.join(_bounded(each) for each in first.tasks)}, {margin:g} points allowed ({effort})."
    tried = [each for each in open_ if each.tasks]
    parts = [f"cannot tell yet: {_listed(tried)}"] if tried else []
    parts += (
        [f"not tried: {', '.join(each.quant for each in open_ if not each.tasks)}"] if len(tried) < len(open_) else []
    )
    parts += [f"shown to lose: {_listed(lose)}"] if lose else []
    return f"None of {count} is shown to hold; {'; '.join(parts)}; {margin:g} points allowed ({effort})."


def _listed(candidates: Sequence[SearchedCandidate]) -> str:
    """Candidates, each with the bound on the task that decides, which is the last that was looked at."""
    return ", ".join(f"{each.quant} ({_bound(each.tasks[-1])} on {each.tasks[-1].task})" for each in candidates)


def _bounded(task: TaskSearch) -> str:
    """A task's scores and the bound that decides."""
    return f"{_scores(task)} pass@1 on {task.task}, {_bound(task)}"


def _bound(task: TaskSearch) -> str:
    """The bound that decides, or both where neither does."""
    low, high = (100 * end for end in task.interval)
    if task.pairs == task.of:
        return f"{high:.1f} points lost in all {task.of:,} pairs"
    if task.verdict is VerdictClass.LOSES:
        return f"at least {low:.1f} points lost (95%) of all {task.of:,} pairs"
    if task.verdict is VerdictClass.HOLDS:
        return f"at most {max(0.0, high):.1f} points lost (95%) of all {task.of:,} pairs"
    return f"between {low:.1f} and {high:.1f} points lost (95% each) of all {task.of:,} pairs"


def _rows(candidate: SearchedCandidate) -> list[tuple[str, ...]]:
    """A row for each task that it was tried on; one for a candidate that was not."""
    known = size(None if candidate.size != candidate.size else int(candidate.size))
    if not candidate.tasks:
        return [(candidate.quant, known, "", "not tried", "", "", "", "")]
    return [
        (
            candidate.quant,
            known,
            each.task,
            str(each.verdict),
            _scores(each),
            " to ".join(f"{100 * end:.1f}" for end in each.interval),
            f"{each.pairs} of {each.of}",
            duration(candidate.seconds),
        )
        for each in candidate.tasks
    ]


def _scores(task: TaskSearch) -> str:
    return f"{100 * task.full:.1f} -> {100 * task.quantized:.1f}%"


def _document(found: SearchResult, sentence: str) -> JsonObject:
    chosen = found.chosen
    return {
        "chosen": None if chosen is None else chosen.quant,
        "sentence": sentence,
        "completions": found.programs,
        "completions_of_everything": found.of,
        "seconds": found.seconds,
        "candidates": [
            {
                "quant": each.quant,
                "storage_bytes": each.size,
                "class": each.verdict,
                "seconds": each.seconds,
                "tasks": [
                    {
                        "task": of.task,
                        "class": of.verdict,
                        "pairs": of.pairs,
                        "pairs_of_everything": of.of,
                        "pass@1": {"a": of.full, "b": of.quantized},
                        "loss": {"lower95": 100 * of.interval[0], "upper95": 100 * of.interval[1]},
                    }
                    for of in each.tasks
                ],
            }
            for each in found.candidates
        ],
        "folders": [str(run.folder) for run in found.runs],
    }
