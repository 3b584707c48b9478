"""What the report's page is made from: the summary, the front, the figures, the packed completions."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import math
import random
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.container import BarContainer, ErrorbarContainer

from qharness.figure_style import (
    HATCHES,
    LINES,
    MARKERS,
    Style,
    finished,
    inline_svg,
    panels,
    plain,
    to_pdf,
    to_png,
    to_svg,
)
from qharness.report import Collection, read_collection
from qharness.report.data.class_marks import MARKS
from qharness.report.data.findings import findings
from qharness.report.figures import calibration_sizes, pareto, verdict_figure
from qharness.report.figures.bars import difficulty, failures
from qharness.report.figures.savings import figures as figures_of_savings
from qharness.report.figures.savings import savings
from qharness.report.figures.verdict_figure import side_by_side
from qharness.report.page.html_page import Heading, headings, order, page
from qharness.report.page.problems import pack, problem_data
from qharness.report.tables import pareto_front, verdict_table
from qharness.report.tables.columns import Cell, Column
from qharness.report.tables.formatting import ByteUnit, size_text
from qharness.report.tables.pareto_front import ON_FRONT, front
from qharness.results.verdict import VerdictClass
from qharness.specs import MaxLoss
from qharness.stats.intervals import Interval, mean_interval
from qharness.stats.ordering import clearly_higher
from tests.page_runs import Completion, write_profile, write_run

PASS: Completion = ("return 1", True)
FAIL: Completion = ("return 2", False)


def some(passing: int, of: int = 40) -> list[list[Completion]]:
    """Problems of one sample, of which the first pass."""
    return [[PASS if doc < passing else FAIL] for doc in range(of)]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Full precision and three quantized runs: as good, a little worse, much worse; the last is the smallest."""
    top = tmp_path_factory.mktemp("runs")
    for quant, storage, passing in (
        ("none", 4_000_000, 36),
        ("rtn:8", 3_000_000, 36),
        ("rtn:4", 1_000_000, 34),
        ("rtn:2", 500_000, 4),
    ):
        write_run(top, "made-python", quant, some(passing), storage=storage)
    for quant, seconds in (("none", 2.0), ("rtn:8", 1.5), ("rtn:4", 3.0)):
        write_profile(top, quant, seconds, 100 * seconds)
    return read_collection([top])


# --------------------------------------------------------------------------------------------------------- the front


def exact(cost: float) -> Interval:
    return Interval(cost, cost, cost)


costs = st.lists(
    st.tuples(st.sampled_from([1.0, 2.0, 3.0, math.nan]), st.sampled_from([0.0, 0.4])).map(
        lambda drawn: Interval(drawn[0], drawn[0] - drawn[1], drawn[0] + 2 * drawn[1])
    ),
    max_size=8,
)


@given(costs, st.randoms(use_true_random=False))
def test_front_is_what_nothing_clearly_dominates(found: list[Interval], rng: random.Random) -> None:
    scores = [rng.choice([0.1, 0.5, 0.9]) for _ in found]
    more = [frozenset(n for n, other in enumerate(scores) if other < own - 0.45) for own in scores]
    on = front(found, more)
    for n, cost in enumerate(found):
        better = [
            m
            for m, other in enumerate(found)
            if not math.isnan(other.value)
            and scores[m] - scores[n] > 0.45
            and (other.high <= cost.low or other == cost)
        ]
        assert on[n] == (not math.isnan(cost.value) and not better)
    assert any(on) == any(not math.isnan(cost.value) for cost in found)


def test_intervals_that_overlap_are_not_ordered() -> None:
    """Neither takes the other from the front: not by a score that is a little higher, nor by a cost a little lower."""
    assert front([exact(1), exact(2)], [frozenset(), frozenset()]) == [True, True]
    assert front([exact(1), exact(2)], [frozenset({1}), frozenset()]) == [True, False]
    assert front([Interval(1, 0.9, 1.6), Interval(2, 1.5, 2.1)], [frozenset({1}), frozenset()]) == [True, True]


def test_a_difference_is_clear_where_its_interval_excludes_0() -> None:
    """Of 40 problems, a pair of runs that differ on one are alike; runs that differ on ten in one direction are not."""
    base = {n: float(n < 30) for n in range(40)}
    one, ten = {**base, 0: 0.0}, {**base, **dict.fromkeys(range(10), 0.0)}
    mixed = {**ten, **dict.fromkeys(range(30, 39), 1.0)}
    found = clearly_higher([base, one, ten, mixed], np.random.default_rng(0))
    assert found == [{2}, {2}, set(), {2}]
    few = clearly_higher([dict.fromkeys(range(5), 1.0), dict.fromkeys(range(5), 0.0)], np.random.default_rng(0))
    assert few == [set(), set()]
    apart = {n + 35: 1.0 for n in range(5)} | dict.fromkeys(range(-9, 0), 0.0)
    assert clearly_higher([base, apart], np.random.default_rng(0)) == [set(), set()]  # they share five problems


def test_clear_differences_are_those_of_the_interval() -> None:
    """The shared draws decide as the bootstrap of each difference by itself does, close calls aside."""
    rng = np.random.default_rng(3)
    runs = [dict(enumerate((rng.random((80, 5)) < p).mean(1))) for p in (0.2, 0.25, 0.3, 0.35, 0.6)]
    found = clearly_higher(runs, np.random.default_rng(0))
    for a, b in itertools.permutations(range(5), 2):
        interval = mean_interval(np.array([runs[a][n] - runs[b][n] for n in runs[a]]), np.random.default_rng(1))
        if abs(interval.low) > 0.004:
            assert (b in found[a]) == (interval.low > 0), (a, b)


def test_who_is_on_the_front(collection: Collection) -> None:
    (table,) = pareto_front.tables(collection)
    assert [column.heading for column in table.columns[3:]] == [
        "pass@1, %", "checkpoint, MB", "on its front", "latency, s", "on its front", "1,000 predictions, gCO2eq", "on its front",
    ]  # fmt: skip
    rows = {row[2].text: [cell.text for cell in row[3:]] for row in table.rows}
    assert rows["full precision"] == ["90.0", "4.00", ON_FRONT, "2.000", ON_FRONT, "200", ON_FRONT]
    assert rows["rtn:8"] == ["90.0", "3.00", ON_FRONT, "1.500", ON_FRONT, "150", ON_FRONT]
    assert rows["rtn:4"] == ["85.0", "1.00", ON_FRONT, "3.000", ON_FRONT, "300", ON_FRONT]
    assert rows["rtn:2"] == ["10.0", "0.5", ON_FRONT, "n/a", "", "n/a", ""]
    (figure,) = pareto.figures(collection)
    steps = re.findall(
        r'<path d="M [\d.]+ [\d.]+ ?\n?L[^"]*" clip-path="[^"]*" style="fill: none; stroke: #000000', figure.svg
    )
    assert len(steps) == 1  # only rtn:2's cost is known to be lower, and its pass@1 clearly is


def test_a_run_that_clearly_passes_more_at_no_more_cost(tmp_path: Path) -> None:
    for quant, storage, passing in (("none", 4_000_000, 36), ("rtn:8", 3_000_000, 4), ("rtn:2", 1_000_000, 35)):
        write_run(tmp_path, "made-python", quant, some(passing), storage=storage)
    (table,) = pareto_front.tables(read_collection([tmp_path]))
    assert {row[2].text: row[5].text for row in table.rows} == {
        "full precision": ON_FRONT,
        "rtn:8": "",
        "rtn:2": ON_FRONT,
    }


def test_a_run_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    for place in ("here", "there"):
        for quant, passing in (("none", 40), ("rtn:2", 0)):
            write_run(tmp_path / place, "made-python", quant, some(passing))
    found = read_collection([tmp_path])
    assert len(found.runs) == 4 and len(pareto_front.tables(found)[0].rows) == 2
    assert [len(finding.judged) for finding in findings(found, MaxLoss())] == [1]


# ------------------------------------------------------------------------------------------------------- the summary


def test_the_smallest_that_holds(tmp_path: Path) -> None:
    for quant, storage, passing in (("none", 4, 360), ("rtn:8", 3, 360), ("rtn:4", 1, 361), ("rtn:2", 0.5, 40)):
        write_run(tmp_path, "made-python", quant, some(passing, 400), storage=int(1e6 * storage))
    (finding,) = findings(read_collection([tmp_path]), MaxLoss())
    first = finding.sentence
    assert finding.model == "coder" and len(finding.each) == 3 and finding.notes == []
    assert [each.candidate.name for each in finding.judged] == ["rtn:8", "rtn:4", "rtn:2"]  # down by size
    assert first.startswith(
        "rtn:4 is the smallest of 3 that holds: 90.0 -> 90.2% pass@1 on made-python, at most 0.8 points lost "
        "(95%, 3 judged together), 75% smaller; shown to hold: rtn:8 (at most"
    )
    assert re.search(r"; shown to lose: rtn:2 \(at least 7\d\.\d\)\.$", first)


def test_a_weak_test_recommends_nothing(collection: Collection) -> None:
    """Of 40 problems, no smallest is named, though no loss of rtn:8 and rtn:4 is significant."""
    (finding,) = findings(collection, MaxLoss())
    assert finding.sentence.startswith("None of 3 is shown to hold; cannot tell: rtn:8 (")
    assert "rtn:4 (-5.6 to 18.0)" in finding.sentence
    (wide,) = findings(collection, MaxLoss(30))
    assert wide.sentence.startswith("rtn:4 is the smallest of 3 that holds: 90.0 -> 85.0% pass@1")


def test_the_answer_stands_first_on_the_page(collection: Collection) -> None:
    found = findings(collection, MaxLoss(30))
    text = re.sub(r"<[^>]+>", " ", page(collection, found, [], [], "Costs").split("<body>")[1])
    assert " ".join(text.split()).startswith("Costs coder rtn:4 is the smallest of 3 that holds : 90.0 → 85.0%")


def test_the_figure_that_answers(collection: Collection) -> None:
    """Each candidate has one marker at its bytes with its bounds, its class's shape and colour; the margin is a line."""
    found = findings(collection, MaxLoss(30))
    (drawn,) = verdict_figure.figures(found)
    (axes,) = drawn.figure.axes
    assert [float(line.get_ydata()[0]) for line in axes.lines if line.get_linestyle() == "--"] == [30]
    shown = {each.get_label(): each for each in axes.containers}
    classes = {VerdictClass.HOLDS: {3.0, 1.0}, VerdictClass.LOSES: {0.5}}  # by megabytes
    for class_, sizes in classes.items():
        mark = MARKS[class_]
        own = [each for each in axes.containers if each.lines[0].get_marker() == mark.marker]
        assert {float(each.lines[0].get_xdata()[0]) for each in own} == sizes and mark.words in shown
        assert {each.lines[0].get_color() for each in own} == {mark.colour}
    (worst,) = (each for each in axes.containers if each.lines[0].get_marker() == MARKS[VerdictClass.LOSES].marker)
    loss = found[0].judged[-1].tasks[0].verdict.loss
    assert worst.lines[2][0].get_segments()[0][:, 1] == pytest.approx([loss.lower95, loss.upper95])
    assert verdict_figure.figures([]) == []


def test_verdicts_differ_in_each_of_shape_words_and_colour() -> None:
    for part in ("shape", "words", "marker", "colour", "key"):
        assert len({getattr(mark, part) for mark in MARKS.values()}) == len(VerdictClass), part


@given(st.lists(st.floats(1, 100), min_size=1, max_size=6))
def test_models_of_one_size_stand_side_by_side(sizes: list[float]) -> None:
    places = sorted(side_by_side(sizes))
    assert all(b - a > 0.029 * max(sizes) for a, b in itertools.pairwise(places)) and max(places) == max(sizes)


def test_settings_of_one_task_count_as_tasks(tmp_path: Path) -> None:
    """Runs of several seeds are one candidate, which holds only where it holds with each."""
    for seed in (0, 1):
        for quant, passing in (("none", 360), ("rtn:4", 360 - 200 * seed)):
            write_run(tmp_path, "made-python", quant, some(passing, 400), seed=seed)
    (finding,) = findings(read_collection([tmp_path]), MaxLoss())
    (judged,) = finding.judged
    assert finding.model == "coder" and [each.task for each in judged.tasks] == [
        "made-python, seed 0", "made-python, seed 1",
    ]  # fmt: skip
    assert judged.class_ is finding.class_ is VerdictClass.LOSES
    (table,) = verdict_table.tables([finding])
    assert [(row[1].text, row[2].text, row[6].text) for row in table.rows] == [
        ("full precision", "made-python, seed 0", "—"), ("full precision", "made-python, seed 1", "—"),
        ("rtn", "made-python, seed 0", "holds"), ("rtn", "made-python, seed 1", "loses"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (13_480_000_000, "13.48 GB"),
        (1_072_400_000, "1.07 GB"),
        (999_000_000, "999.0 MB"),
        (3_444_100, "3.44 MB"),
        (512_000, "0.512 MB"),
        (None, ""),
    ],
)
def test_sizes_in_the_unit_that_suits_them(size: float | None, text: str) -> None:
    assert size_text(size) == text


def test_sizes_that_are_read_together_have_one_unit() -> None:
    unit = ByteUnit.of([13_480_000_000, None, 219_600_000])
    assert (unit.name, unit.cell(13_480_000_000).text, unit.cell(219_600_000).text, unit.cell(None).text) == (
        "MB", "13480", "219.6", "n/a",
    )  # fmt: skip


def test_what_is_saved_and_lost_in_percent(collection: Collection) -> None:
    points = {point.quant: point for point in savings(collection)}
    found = {name: (round(point.saved, 6), round(point.change, 6)) for name, point in points.items()}
    assert found == {"rtn:8": (25, 0), "rtn:4": (75, -5.555556), "rtn:2": (87.5, -88.888889)}
    assert points["rtn:2"].low < -88.888889 < points["rtn:2"].high < -70 and math.isnan(points["rtn:8"].low)


def test_markers_are_runs(tmp_path: Path) -> None:
    """Two runs of one size have a marker each, and their mean has none."""
    for seed, passing in ((0, 20), (1, 28)):
        for quant, count in (("none", 36), ("rtn:4", passing)):
            write_run(
                tmp_path,
                "made-python",
                quant,
                some(count),
                storage=4_000_000 if quant == "none" else 1_000_000,
                seed=seed,
            )
    (drawn,) = figures_of_savings(read_collection([tmp_path]))
    marked = [line for line in drawn.figure.axes[0].lines if line.get_marker() not in ("None", "", "_", "|")]
    points = sorted(round(float(y), 3) for line in marked for y in line.get_ydata())
    assert points == [-44.444, -22.222]


# ------------------------------------------------------------------------------------------------------- completions


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_each_distinct_completion_stands_once(tmp_path: Path) -> None:
    write_run(tmp_path, "made-python", "none", [[PASS, PASS, FAIL], [PASS, FAIL, FAIL]], levels={0: "easy", 1: "hard"})
    write_run(tmp_path, "made-python", "rtn:3", [[PASS, FAIL, FAIL], [("été", False), FAIL, FAIL]])
    write_run(tmp_path, "made-python@word", "none", [[FAIL] * 3, [FAIL] * 3], prompt="other")
    data = unpacked(pack(problem_data(read_collection([tmp_path]))))
    runs = {run["label"]: (number, run["against"]) for number, run in enumerate(data["runs"])}
    full = runs["coder, full precision"][0]
    assert runs["coder, rtn:3"][1] == full == runs["coder, full precision, prompts: word"][1]
    assert runs["coder, full precision"][1] is None
    problem = data["problems"]["made-python"][0]
    assert [outcome[:2] for outcome in problem["outcomes"]] == [["return 1", "passed"], ["return 2", "failed"]]
    assert [outcome[3] for outcome in problem["outcomes"]] == [1, 0] and data["metrics"] == {"made-python": None}
    assert problem["runs"][str(full)] == [0, [0, 0, 1]]
    assert problem["runs"][str(runs["coder, rtn:3"][0])] == [0, [0, 1, 1]]
    perturbed = problem["runs"][str(runs["coder, full precision, prompts: word"][0])]
    assert problem["prompts"][perturbed[0]] == "other  # 0" and perturbed[1] == [1, 1, 1]
    assert data["problems"]["made-python"][0]["level"] == "easy"


@settings(max_examples=25)
@given(st.dictionaries(st.text(), st.text(), max_size=5))
def test_packing_is_lossless_and_no_markup(found: dict[str, str]) -> None:
    text = pack(found)
    assert unpacked(text) == found and re.fullmatch(r"[A-Za-z0-9+/=]*", text) and text == pack(found)


# ------------------------------------------------------------------------------------------------------------ figures


def test_series_differ_without_colours() -> None:
    lines = [(Style(n).line["marker"], str(Style(n).line["linestyle"])) for n in range(len(MARKERS) * len(LINES))]
    assert len(set(lines)) == len(lines)
    bars = [(Style(n).bars["hatch"], Style(n).bars["facecolor"]) for n in range(len(HATCHES))]
    assert len(set(bars)) == len(bars)


def test_panels_stand_at_rounded_places() -> None:
    """The layout's solver leaves its last bits to chance, and the ids of an SVG are hashes of all bits."""
    figure, axes = panels(3, heights=[1.5, 1.8, 2.1])
    axes[1].barh(range(2), [30, 40], label="timeout")
    places = [each.get_position().bounds for each in finished(figure, axes).axes]
    assert np.allclose(places, np.round(places, 12), rtol=0, atol=1e-15)


def test_figures_repeat_and_their_text_is_text() -> None:
    def drawn() -> Any:
        figure, (axes,) = panels(1)
        axes.plot([1, 2], [3, 4], **Style(1).line, label=plain("a $1 <b> & $2"))
        return finished(figure, [axes])

    first, second = drawn(), drawn()
    assert to_png(first) == to_png(second)  # before the SVG or after it
    assert to_pdf(first) == to_pdf(second) and to_pdf(first).startswith(b"%PDF")
    assert to_png(first)[16:20] == int(7.5 * 300).to_bytes(4, "big")  # its width: 300 dots an inch
    svg = to_svg(first)
    assert svg == to_svg(second) and "a $1 &lt;b&gt; &amp; $2" in svg and "<dc:date>" not in svg
    page = inline_svg(svg, "k", 'what "it" <is>')
    ids = re.findall(r' id="([^"]*)"', page)
    assert ids and all(each.startswith("k-") for each in ids)
    assert set(re.findall(r"url\(#([^)]*)\)", page)) <= set(ids)
    ElementTree.fromstring(page)
    assert "<style" not in page


def test_calibration_sizes(tmp_path: Path) -> None:
    write_run(tmp_path, "made-python", "none", some(36))
    for n, passing in ((16, 20), (64, 30)):
        write_run(tmp_path, "made-python", "aqlm:2", some(passing), calib=f"stdlib:n={n}")
    write_run(tmp_path, "made-python", "aqlm:3", some(30), calib="stdlib:n=16")
    (drawn,) = calibration_sizes.figures(read_collection([tmp_path]))
    axes = drawn.figure.axes[0]
    line, *others, whole = axes.lines
    (bars,) = axes.containers
    lows, highs = zip(*[(low, high) for (_, low), (_, high) in bars.lines[2][0].get_segments()], strict=True)
    assert lows[0] < 50 < highs[0] and lows[1] < 75 < highs[1] and len(others) == 3  # markers, and two rows of caps
    assert list(line.get_xdata()) == [16, 64] and list(line.get_ydata()) == [50, 75]
    assert list(whole.get_ydata()) == [90, 90] and whole.get_linestyle() == ":"
    assert "sequences" in axes.get_xlabel() and "%" in axes.get_ylabel()


def test_bars_by_level_and_by_failure(tmp_path: Path) -> None:
    levels = {n: "easy" if n < 10 else "hard" for n in range(40)}
    write_run(tmp_path, "made-python", "none", some(25), levels=levels)
    write_run(tmp_path, "made-python", "rtn:3", some(5), levels=levels)
    found = read_collection([tmp_path])
    (drawn,) = difficulty(found)
    axes = drawn.figure.axes[0]
    drawn_bars = [each for each in axes.containers if isinstance(each, BarContainer)]
    assert [[bar.get_height() for bar in bars] for bars in drawn_bars] == [[100, 50], [50, 0]]
    intervals = [each.lines[2][0].get_segments() for each in axes.containers if isinstance(each, ErrorbarContainer)]
    low, high = intervals[0][1][:, 1]  # full precision on the hard ones
    assert 30 < low < 50 < high < 70
    assert [label.get_text() for label in axes.get_xticklabels()] == ["easy\nn = 10", "hard\nn = 30"]
    (drawn,) = failures(found)
    (bars,) = drawn.figure.axes[0].containers
    assert [bar.get_width() for bar in bars] == [37.5, 87.5] and bars.get_label() == "assertion"


@pytest.mark.long
def test_figures_of_more_panels_than_can_be_read_are_not_drawn(tmp_path: Path) -> None:
    levels = {n: "easy" if n < 10 else "hard" for n in range(40)}
    for number in range(25):
        write_run(tmp_path, "made-python", "none", some(25), model=f"m{number}", levels=levels)
        found = read_collection([tmp_path])
        if number == 23:
            assert len(failures(found)) == len(difficulty(found)) == 1
    assert failures(found) == difficulty(found) == []


# ------------------------------------------------------------------------------------------------------------- tables


def test_headings_in_groups() -> None:
    columns = (Column("model", stub=True), Column("a", "%", "g"), Column("b", "", "g"), Column("c"))
    assert headings(columns) == [
        [Heading("model", 1, 2, 0), Heading("g", 2, 1, None), Heading("c", 1, 2, 3)],
        [Heading("a, %", 1, 1, 1), Heading("b", 1, 1, 2)],
    ]
    widths = [sum(heading.columns for heading in line) for line in headings(columns)]
    assert widths[0] == len(columns)
    assert [order(Cell("x")), order(Cell("n/a", math.nan)), order(Cell("1.50", 1.5))] == [None, "", "1.5"]
    assert headings(columns[:1] + columns[3:]) == [[Heading("model", 1, 1, 0), Heading("c", 1, 1, 1)]]
    assert list(itertools.chain(*headings(()))) == []
