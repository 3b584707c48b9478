"""The one printer of tables, at several widths; figures as people read them; standard errors."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path

import numpy as np
import pytest
from rich import console as rich_console
from rich.console import Console
from rich.measure import Measurement

from qharness import RunSpec, compare
from qharness.cli import tables
from qharness.cli.comparison_text import print_extents
from qharness.cli.run_text import headings, simulation_line
from qharness.evaluate.run.run_folder import RUN, require_run
from qharness.metrics.shown_figures import points, score, score_with_error
from qharness.models.checkpoint import Checkpoint
from qharness.models.weight_footprint import checkpoint_figures, footprint
from qharness.registry import get_registry
from qharness.results import RunRecord, SampleRow
from qharness.stats.standard_errors import standard_error, standard_errors
from tests.report_runs import write_run

CONSOLE = rich_console.Console
HEADER = (
    "model",
    "quant",
    "calib",
    "task",
    "metric",
    "value",
    "difference",
    "95% interval",
    "size, MB",
    "generation, s",
)
ROWS = [
    ("tinycoder", "rtn:3", "", "tiny-python", "pass@1", "60.0%", "-12.5 points", "-20.0 to +0.0", "13480.12", "1234.5"),
    ("tinycoder", "none", "", "tiny-python", "pass@1", "72.5%", "", "", "13480.12", "1134.5"),
    ("tinycoder", "int8-dynamic", "", "tiny-python", "pass@1", "n/a", "n/a", "n/a", "6740.06", "834.5"),
]


def printed(
    width: int, *args: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **kw: int
) -> str:
    """A table as a terminal of this width shows it."""

    def terminal(**options: object) -> rich_console.Console:
        return CONSOLE(**options, force_terminal=True, color_system=None, width=width)  # type: ignore[arg-type]

    monkeypatch.setattr(rich_console, "Console", terminal)
    tables.print_table(*args, **kw)  # type: ignore[arg-type]
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_number_is_cut_and_all_lines_fit(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = printed(width, HEADER, ROWS, settings=5, monkeypatch=monkeypatch, capsys=capsys)
    lines = shown.splitlines()
    assert lines[0] == "model tinycoder, task tiny-python, metric pass@1"
    assert all(len(line) <= width for line in lines) and "…" not in shown and "calib" not in shown
    for row in ROWS:
        for cell in row[5:]:
            assert not cell or re.search(rf"(^|\s){re.escape(cell)}(\s|$)", shown, re.MULTILINE), (cell, shown)
    parts = shown.count("quant")
    assert parts == 1 or sum(line.startswith(" int8-dynamic") for line in lines) == parts
    assert (parts == 1) == (width >= 80)


def test_a_column_that_is_the_same_by_chance_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("a", "50.0%"), ("b", "50.0%")]
    assert printed(80, ("quant", "value"), rows, settings=1, monkeypatch=monkeypatch, capsys=capsys).count("50.0%") == 2


def test_long_texts_are_folded_and_not_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/path/" + "x" * 90
    shown = printed(40, ("what", "value"), [(path, "1.5")], monkeypatch=monkeypatch, capsys=capsys)
    assert "".join(shown.split()).count("x") == 90 and "1.5" in shown


def test_random_tables_lose_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(0)
    for _ in range(30):
        columns = rng.randint(2, 12)
        rows = [
            [f"r{n}", *(f"{rng.uniform(-1e5, 1e5):.{rng.randint(0, 4)}f}" for _ in range(columns))] for n in range(3)
        ]
        header = ["name", *(f"figure {n}" for n in range(columns))]
        shown = printed(rng.randint(30, 120), header, rows, monkeypatch=monkeypatch, capsys=capsys)
        assert all(cell in shown.split() for row in rows for cell in row), shown


def test_percent_and_points() -> None:
    assert score("pass@1", 0.425) == "42.5%" and score("bleu", 12.5) == "12.5000" and score("pass@5", math.nan) == "n/a"
    assert points("pass@1", -0.021) == "-2.1 points" and points("bleu", 1.0) == "+1.0000"
    assert score_with_error("pass@1", 0.75, 0.0431) == "75.0% ± 4.3"
    assert score_with_error("pass@1", 0.75, math.nan) == "75.0%" and score_with_error("pass@1", None, 0.1) == "n/a"


def rows(passes: list[list[bool]]) -> list[SampleRow]:
    return [
        SampleRow(task="t", doc_id=problem, sample=sample, status="passed" if each else "failed", passed=each)
        for problem, samples in enumerate(passes)
        for sample, each in enumerate(samples)
    ]


def test_the_standard_error_is_clustered_by_problem() -> None:
    """Against many samples of problems drawn anew: 20 samples of a problem are far from 20 problems."""
    rng = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(150):
        rates = rng.beta(0.3, 0.3, size=40)
        passes = rng.random((40, 20)) < rates[:, None]
        means.append(passes.mean())
        errors.append(standard_errors(rows(passes.tolist()), ["pass@1"])["pass@1"])
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.2)
    assert np.mean(errors) > 3 * math.sqrt(np.mean(means) * (1 - np.mean(means)) / 800)


def test_standard_errors_that_are_not_defined() -> None:
    assert math.isnan(standard_error([1.0])) and standard_error([0.5, 0.5]) == 0.0
    found = standard_errors(rows([[True, False], [True, True]]), ["pass@1", "pass@5", "acc"])
    assert found["pass@1"] == pytest.approx(0.25) and math.isnan(found["pass@5"]) and math.isnan(found["acc"])
    texts = [SampleRow(task="t", doc_id=n, metrics={"bleu": value}) for n, value in enumerate((10.0, 20.0))]
    assert standard_errors(texts, ["bleu"])["bleu"] == pytest.approx(5.0)


def test_runs_of_different_extent_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_run(tmp_path, RunSpec("made", quant="none"), [[True] * 4] * 5)
    second = write_run(tmp_path, RunSpec("made", quant="rtn:3"), [[True] * 2] * 8)
    same = write_run(tmp_path, RunSpec("made", quant="rtn:4"), [[False] * 4] * 5)
    comparison = compare(first, second)
    assert comparison.document["extents"] == {
        "a": {"problems": 5, "completions": 20},
        "b": {"problems": 8, "completions": 16},
    }
    print_extents(comparison)
    assert capsys.readouterr().out == (
        "These runs differ in extent: the first has 5 problems, 20 completions; the second 8 problems, 16 completions. "
        "Compared are the 10 completions of 5 problems that both have.\n"
    )
    alike = compare(first, same)
    print_extents(alike)
    assert capsys.readouterr().out == "" and "extents" not in alike.document


def test_headings_name_what_differs(tmp_path: Path) -> None:
    def record(model: str, quant: str) -> RunRecord:
        folder = write_run(tmp_path, RunSpec("made", model=model, quant=quant), [[True]])
        return RunRecord.of_document(require_run(folder), folder / RUN)

    full, rounded = record("tinycoder", "none"), record("tinycoder", "rtn:3")
    checkpoint, both = record("rounded", "none"), record("other", "rtn:4")
    assert headings([full, rounded]) == ["full precision", "rtn:3"]
    assert headings([full, checkpoint]) == ["tinycoder", "rounded"]
    assert headings([full, both]) == ["tinycoder", "other, rtn:4"]
    assert headings([rounded]) == ["rtn:3"] and headings([checkpoint]) == ["rounded"]


@pytest.mark.parametrize(
    ("quant", "simulated"), [("rtn:3", True), ("none", False), ("int8-dynamic", False), ("aqlm:3", False)]
)
def test_a_quantizer_that_simulates_is_known_by_its_bytes(quant: str, simulated: bool) -> None:
    quantizer = get_registry().quantizer(quant)
    found = checkpoint_figures(Checkpoint("tinycoder"), quantizer)
    assert (found.packed_bytes is not None) == simulated
    if found.packed_bytes is not None:
        whole = footprint(Checkpoint("tinycoder"), quantizer)
        assert found.packed_bytes == whole.packed_total_bytes < whole.total_bytes == found.storage_bytes
        assert simulation_line(quant, found.storage_bytes, found.packed_bytes) == (
            "rtn:3 simulates: weights are rounded and stored in full width, 3.44 MB; packed: 1.14 MB"
        )


def test_the_least_width_is_that_of_all_rows() -> None:
    """It is measured on the widest cells alone."""
    words = ["a", "longer-word", "12.5", "-3 points", "日本語", "two words", "x\nlonger line here", "n/a", ""]
    rng, console = random.Random(0), Console(width=200)
    for _ in range(100):
        columns = [("a heading", rng.choices(words, k=7)) for _ in range(rng.randint(1, 5))]
        options = console.options.update(max_width=10_000)
        whole = Measurement.get(console, options, tables._table(columns)).minimum
        assert tables._least_width(columns, console) == whole
