"""A reader of the first line alone decides right: made runs whose true verdict is known, through each command."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from qharness.cli import app
from qharness.evaluate.run.drawing_order import drawing_order
from qharness.evaluate.run.run_folder import require_run
from qharness.results import RunResult
from qharness.specs import MaxLoss, RunSpec
from qharness.study import run_jobs, search, sweep
from qharness.study.jobs import Attempt, Job
from tests.report_runs import write_run

Passes = list[list[bool]]
SHIP, DROP, WAIT, OTHER_PROBLEMS, NO_VERDICT = "ship", "drop", "get more", "other problems", "no verdict"


def made(problems: int, samples: int, full: float, *, lost: int = 0, won: int = 0) -> tuple[Passes, Passes]:
    """Full precision, which passes a share of the problems; a quantized model that loses and wins whole problems."""
    passing = round(full * problems)
    first = [[n < passing] * samples for n in range(problems)]
    second = [[(n < passing and n >= lost) or passing <= n < passing + won] * samples for n in range(problems)]
    return first, second


@dataclass(frozen=True)
class Case:
    """Quantizers with the passes that full precision and they have on each task, and what a reader should do.

    `choice`: the quantizer to ship, where there is one. `sizes`: megabytes, by quantizer.
    """

    runs: Mapping[str, Mapping[str, tuple[Passes, Passes]]]
    decision: str
    choice: str = ""
    max_loss: str = "2"
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    bleu: bool = False
    says: str = ""


def one(passes: tuple[Passes, Passes], decision: str, **others: object) -> Case:
    return Case({"rtn:3": {"made-python": passes}}, decision, **others)  # type: ignore[arg-type]


CASES = {
    "holds": one(
        made(300, 2, 0.6), SHIP, choice="rtn:3", says="60.0 -> 60.0% pass@1 on made-python, at most 1.0 points"
    ),
    "better": one(made(300, 2, 0.6, won=40), SHIP, choice="rtn:3", says="no loss (95%)"),
    "loses": one(made(100, 2, 0.8, lost=30), DROP, says="2 points allowed"),
    "cannot tell": one(made(100, 2, 0.8, lost=3), WAIT, says="more problems like these would tell"),
    "too few to hold": one(made(42, 20, 0.5), WAIT, says="about 110 more problems"),
    "floor": one(made(300, 2, 0.0), OTHER_PROBLEMS, says="passes too little to see a loss of 2 points"),
    "near the floor": one(made(200, 2, 0.01), OTHER_PROBLEMS, says="passes too little"),
    "ceiling": one(made(30, 2, 1.0), OTHER_PROBLEMS, says="passes everything, and 30 problems are too few"),
    "ceiling with a loss": one(made(30, 2, 1.0, lost=10), DROP),
    "ceiling with enough problems": one(made(200, 2, 1.0), SHIP, choice="rtn:3"),
    "too few problems": one(made(3, 2, 0.7), OTHER_PROBLEMS, says="3 problems are too few"),
    "tasks disagree": Case(
        {"rtn:3": {"made-python": made(300, 2, 0.6), "made-java": made(100, 2, 0.8, lost=30)}},
        DROP,
        says="it holds on made-python (60.0 -> 60.0% pass@1)",
    ),
    "a task says nothing": Case(
        {"rtn:3": {"made-python": made(300, 2, 0.6), "made-java": made(300, 2, 0.0)}}, OTHER_PROBLEMS, says="made-java"
    ),
    "all tasks": Case(
        {"rtn:3": {"made-python": made(300, 2, 0.6), "made-java": made(300, 2, 0.4)}},
        SHIP,
        choice="rtn:3",
        says="on all 2 tasks",
    ),
    "smallest of several": Case(
        {
            "rtn:8": {"made-python": made(400, 2, 0.6)},
            "rtn:4": {"made-python": made(400, 2, 0.6)},
            "rtn:2": {"made-python": made(400, 2, 0.6, lost=200)},
        },
        SHIP,
        choice="rtn:4",
        sizes={"rtn:8": 8, "rtn:4": 4, "rtn:2": 2},
        says="shown to lose: rtn:2",
    ),
    "one of many": Case(  # of 149 problems, one candidate alone would hold
        {f"rtn:{bits}": {"made-python": made(149, 2, 0.6)} for bits in (2, 3, 4, 5, 6)}, WAIT, says="None of 5"
    ),
    "floor of several": Case(
        {f"rtn:{bits}": {"made-python": made(300, 2, 0.0)} for bits in (2, 3)}, OTHER_PROBLEMS, says="passes too little"
    ),
    "alone it holds": one(made(149, 2, 0.6), SHIP, choice="rtn:3"),
    "relative": one(
        made(400, 2, 0.05, lost=16), DROP, max_loss="20%", says="of full precision's pass@1 lost (95%), 20%"
    ),
    "relative, and holds": one(made(400, 2, 0.9, lost=4), SHIP, choice="rtn:3", max_loss="5%"),
    "texts": one(made(100, 1, 0.5), NO_VERDICT, bleu=True),
}


def decide(line: str) -> tuple[str, str]:
    """What the first words of a line tell a reader to do, and with which quantizer."""
    if found := re.match(r"(\S+) (holds|is the smallest of \d+ that holds)", line):
        return SHIP, found[1]
    for words, decision in (
        (r"\S+ loses", DROP),
        (r"Cannot tell whether|None of \d+ is shown to hold", WAIT),
        (r"All \d+ lose", DROP),
        ("This says nothing of", OTHER_PROBLEMS),
        (r"\S+ has no verdict|No verdict", NO_VERDICT),
    ):
        if re.match(words, line):
            return decision, ""
    raise AssertionError(f"nobody can decide by: {line}")


@dataclass(frozen=True)
class Made:
    """A case's folders: (full precision's, the quantized run's), for each quantizer and task."""

    top: Path
    pairs: Sequence[tuple[Path, Path]]


def write(case: Case, top: Path) -> Made:
    full: dict[str, Path] = {}
    pairs = []
    for quant, tasks in case.runs.items():
        for task, (first, second) in tasks.items():
            spec = RunSpec(task=task, model="coder", samples=len(first[0]), device="cpu", dtype="float32")
            spec = dataclasses.replace(spec, max_loss=MaxLoss.of(case.max_loss))
            language = task.rpartition("-")[2]
            if case.bleu:
                kinds = {"metrics": {"bleu": 10.0}, "language": ""}
                fields = {"status": None, "passed": None, "metrics": {"bleu": 10.0}, "reference": "Adds one."}
            else:
                kinds, fields = {"language": language}, {}
            if task not in full:
                full[task] = write_run(top, spec, first, fields=fields, storage=20_000_000, **kinds)  # type: ignore[arg-type]
            size = 1_000_000 * case.sizes.get(quant, 5)
            spec = dataclasses.replace(spec, quant=quant)
            run = write_run(top, spec, second, baseline=full[task], fields=fields, storage=size, **kinds)  # type: ignore[arg-type]
            pairs.append((full[task], run))
    return Made(top, pairs)


def result(folder: Path) -> RunResult:
    return RunResult(folder, require_run(folder))


def by_compare(found: Made, case: Case, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ((full, run),) = found.pairs
    return ["compare", str(full), str(run)]


def by_report(found: Made, case: Case, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return ["report", str(found.top), "--output", str(found.top.parent / "report")]


def by_run(found: Made, case: Case, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs are made, so that `run` has only to find them."""
    monkeypatch.setattr(run_jobs, "run_tasks", lambda specs, **_: [result(run) for _, run in found.pairs])
    tasks = [task for of_quant in case.runs.values() for task in of_quant]
    return ["run", "--quant", "rtn:3", "--task", *tasks]


def by_study(found: Made, case: Case, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs are made, so that `study` has only to find them."""
    folders = dict.fromkeys(folder for pair in found.pairs for folder in pair)
    attempts = [Attempt(Job(result(folder).record.spec), result(folder)) for folder in folders]
    monkeypatch.setattr(sweep, "carry_out", lambda *_: attempts)
    file = found.top.parent / "study.toml"
    file.write_text('tasks = ["tiny-python"]\n')
    return ["study", str(file), "--output", str(found.top)]


COMMANDS: Mapping[str, Callable[[Made, Case, pytest.MonkeyPatch], list[str]]] = {
    "compare": by_compare,
    "run": by_run,
    "study": by_study,
    "report": by_report,
}
SEVERAL = {"compare": (1, 1), "run": (1, 9), "study": (9, 9), "report": (9, 9)}
"""How many quantizers and tasks a command judges at once, at most."""


def goes(command: str, case: Case) -> bool:
    quants, tasks = SEVERAL[command]
    return len(case.runs) <= quants and all(len(each) <= tasks for each in case.runs.values())


@pytest.fixture(scope="module")
def made_cases(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Made]:
    return {name: write(case, tmp_path_factory.mktemp("made") / "runs") for name, case in CASES.items()}


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the report, the verdicts are read; drawing takes seconds."""
    monkeypatch.setattr("qharness.report.draw_figures", lambda *_: [])


@pytest.mark.parametrize(
    ("name", "command"),
    [(name, command) for name, case in CASES.items() for command in COMMANDS if goes(command, case)],
)
def test_the_first_line_decides(
    name: str, command: str, made_cases: Mapping[str, Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    arguments = COMMANDS[command](made_cases[name], case, monkeypatch)
    done = CliRunner().invoke(
        app, [*arguments, "--max-loss", case.max_loss, "--fail-unless-holds"], standalone_mode=False
    )
    first = done.stdout.split("\n")[0]
    assert decide(first) == (case.decision, case.choice), first
    assert done.return_value == (0 if case.decision == SHIP else 3), done.output
    if case.says and not (command == "report" and case.bleu):
        assert case.says in first
    if command == "report" and not case.bleu:
        folder = made_cases[name].top.parent / "report"
        assert re.split("[:;]", first)[0] in (folder / "report.md").read_text().split("\n\n")[1]
        shown = re.search(r'<p class="words">(.*?)</p>', (folder / "index.html").read_text())
        assert shown and decide(re.sub("<[^>]+>", "", shown[1])) == (case.decision, case.choice), shown


def test_several_models_have_a_line_each(tmp_path: Path) -> None:
    for model, lost in (("one", 0), ("two", 200)):
        first, second = made(400, 2, 0.6, lost=lost)
        spec = RunSpec("made-python", model, samples=2)
        full = write_run(tmp_path / "runs", spec, first)
        write_run(tmp_path / "runs", dataclasses.replace(spec, quant="rtn:3"), second, baseline=full)
    done = CliRunner().invoke(app, ["report", str(tmp_path / "runs"), "--output", str(tmp_path / "report")])
    lines = done.stdout.split("\n")
    assert lines[0].startswith("one: rtn:3 holds") and lines[1].startswith("two: rtn:3 loses")


@pytest.mark.parametrize("text", ["much", "0", "-1", "100", "5%%", "nan", "%"])
def test_a_bad_margin_is_one_line(text: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--output", str(tmp_path / "r"), "--max-loss", text])
    assert done.exit_code and "--max-loss must be" in str(done.exception)


def test_what_is_compared_with_nothing_cannot_fail() -> None:
    done = CliRunner().invoke(app, ["run", "--task", "tiny-python", "--fail-unless-holds"])
    assert done.exit_code and "needs something to compare with" in str(done.exception)


class MadeDraws:
    """A run whose completions are made already, in the place of one that a model makes as far as it is asked."""

    def __init__(self, passes: Passes) -> None:
        self._passed = np.array(passes, dtype=float)
        self.size, self.drawn = self._passed.size, 0

    def passed(self, count: int) -> np.ndarray:
        self.drawn = max(self.drawn, count)
        return self._passed.ravel()[drawing_order(*self._passed.shape, 0)[:count]]


def search_of(case: Case, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The search is real; the passes of the models that it asks are made."""
    tasks = list(dict.fromkeys(task for of_quant in case.runs.values() for task in of_quant))

    def models(quant: str) -> SimpleNamespace:
        return SimpleNamespace(spec=SimpleNamespace(quant=quant, calib=None))

    def begun(self: object, spec: RunSpec, model: SimpleNamespace, _: object) -> MadeDraws:
        quant = model.spec.quant
        of_task = next(each[spec.task] for name, each in case.runs.items() if quant in (name, "none"))
        return MadeDraws(of_task[quant != "none"])

    sized = sorted(((models(quant), 1e6 * case.sizes.get(quant, 5)) for quant in case.runs), key=lambda each: each[1])
    plan = search._PlannedSearch(models("none"), sized, {}, {})  # type: ignore[arg-type]
    monkeypatch.setattr(search, "_prepare", lambda _: plan)
    monkeypatch.setattr(search, "_bytes", lambda _: 20e6)
    monkeypatch.setattr(search._SmallestSearch, "_begun", begun)
    monkeypatch.setattr(search._SmallestSearch, "_written", lambda _: [])
    return ["choose", "--task", *tasks, "--quant", *case.runs]


CHOSEN = {
    "holds": (SHIP, "rtn:3", "rtn:3 holds: "),
    "better": (SHIP, "rtn:3", "at most 0.0 points lost (95%)"),
    "loses": (DROP, "", "2 points allowed"),
    "floor": (OTHER_PROBLEMS, "", "full precision passes 0.0% on made-python"),
    "ceiling with a loss": (DROP, "", "made-python"),
    "ceiling with enough problems": (SHIP, "rtn:3", "made-python"),
    "tasks disagree": (DROP, "", "made-java"),
    "a task says nothing": (OTHER_PROBLEMS, "", "made-java"),
    "all tasks": (SHIP, "rtn:3", "pass@1 on made-java, at most "),
    "smallest of several": (SHIP, "rtn:4", "rtn:4 is the smallest of 3 that holds: "),
    "all lose": (DROP, "", "All 2 lose, 2 points allowed: rtn:2 (at least "),
}
"""What a reader of `choose` should do: on these problems themselves, so that few of them decide as well as many."""


@pytest.mark.parametrize("name", CHOSEN)
def test_the_first_line_of_choose_decides(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decision, choice, says = CHOSEN[name]
    done = CliRunner().invoke(app, [*search_of(CASES[name], monkeypatch), "--fail-unless-holds"], standalone_mode=False)
    assert done.exit_code == 0, done.exception
    first = done.stdout.split("\n")[0]
    assert decide(first) == (decision, choice), first
    assert says in first
    assert done.return_value == (0 if decision == SHIP else 3)


@pytest.mark.parametrize("quants", [1, 2])
def test_when_the_time_is_up_choose_says_that_more_is_needed(quants: int, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {f"rtn:{bits}": {"made-python": made(100, 20, 0.8, lost=2)} for bits in range(2, 2 + quants)}
    asked = search_of(Case(runs, WAIT), monkeypatch)
    monkeypatch.setattr(search._SmallestSearch, "_time_is_up", property(lambda of: bool(of._made)))
    done = CliRunner().invoke(app, [*asked, "--budget", "1", "--fail-unless-holds"], standalone_mode=False)
    first = done.stdout.split("\n")[0]
    assert decide(first) == (WAIT, "") and done.return_value == 3, first
    assert "rtn:2" in first and ("not tried: rtn:3" in first) == (quants == 2)


def test_every_kind_of_case_is_decided_by_all_four() -> None:
    """Twelve cases at least, each kind by the four commands whose first line is the answer."""
    kinds = ("holds", "loses", "floor", "tasks disagree", "smallest of several", "all lose")
    assert len(CASES) >= 12 and set(kinds) <= set(CHOSEN)
    for kind in kinds:
        assert all(goes(command, CASES[kind]) for command in ("study", "report"))
    assert {case.decision for case in CASES.values()} == {SHIP, DROP, WAIT, OTHER_PROBLEMS, NO_VERDICT}
    assert {decision for decision, _, _ in CHOSEN.values()} == {SHIP, DROP, OTHER_PROBLEMS}
