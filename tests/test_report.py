"""Reports: what is found in folders, how it is named and written, and reports of real runs."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
import re
import shutil
import sys
from pathlib import Path

import pytest

import qharness
from qharness import QHarnessError, RunSpec, SamplesError
from qharness.cli import main
from qharness.hosting import ProfileSpec, profile
from qharness.report import Cell, Column, Table, read_collection, write_report
from qharness.report.data.labels import Labels
from qharness.report.tables.all_tables import all_tables
from qharness.report.tables.columns import number, number_cell, stub, table_of
from qharness.report.tables.table_formats import to_csv, to_latex, to_markdown
from qharness.results import CostProfile
from qharness.storage.json_values import json_text
from tests.asked import bound
from tests.report_runs import discordant, with_passes, write_run

SPEC = RunSpec("tiny-python", samples=2, temperature=0.0, device="cpu", dtype="float32")
HALF = with_passes(10, 10, 2)


def of(quant: str = "none", calib: str | None = None, **changes: object) -> RunSpec:
    return dataclasses.replace(SPEC, quant=quant, calib=calib, **changes)  # type: ignore[arg-type]


def test_data_come_before_tables_then_figures_and_the_page() -> None:
    parts, top = ["data", "tables", "figures", "page"], Path(qharness.__file__).parent / "report"
    for part in parts:
        for path in (top / part).glob("*.py"):
            later = "|".join(parts[parts.index(part) + 1 :]) or "none"
            assert not re.search(rf"from qharness\.report\.({later})\b", path.read_text()), path


# ------------------------------------------------------------------------------------------------------------- finding


def test_runs_are_found_at_any_depth_and_each_once(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a/b", SPEC, HALF)
    second = write_run(tmp_path / "c", of("rtn:3"), HALF)
    (tmp_path / "c/m--rtn_2--none--none--tiny-python--0123456789ab").mkdir()
    (tmp_path / "c/half").mkdir()
    (tmp_path / "c/half/journal.jsonl").write_text("")
    found = read_collection([tmp_path, first, tmp_path / "c"])
    assert [run.folder for run in found.runs] == [first, second]
    assert {path.name[:4] for path in found.unfinished} == {"m--r", "half"}


def test_profiles_and_noise_are_known_by_what_they_are(tmp_path: Path) -> None:
    noise = {"model": "m", "quantizer": "rtn:3", "layers": [], "mean": {"weight_noise": 0.1}}
    (tmp_path / "noise.json").write_text(json.dumps([noise, noise]))
    (tmp_path / "profile-1.json").write_text(json.dumps({"nothing": "of ours"}))
    untyped = dict.fromkeys(CostProfile.__dataclass_fields__, "x")
    (tmp_path / "profile-2.json").write_text(json.dumps([untyped, {**noise, "layers": "x"}]))
    (tmp_path / "other.json").write_text("{")
    assert len(read_collection([tmp_path]).noise) == 2 and not read_collection([tmp_path]).profiles
    (tmp_path / "profile-1.json").write_text("{")
    with pytest.raises(SamplesError, match=r"profile-1.json cannot be read"):
        read_collection([tmp_path])


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_nothing_to_report_is_one_line_and_exit_code_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty/a--b--0123456789ab").mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["qharness", "report", str(tmp_path / name), "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err.strip()
    reasons = {"empty": "holds no finished run; runs that are not finished: 1", "nowhere": "is no folder"}
    assert stopped.value.code == 2 and said.count("\n") == 0 and reasons[name] in said
    assert not (tmp_path / "out").exists()


def test_a_baseline_is_the_same_run_in_full_precision(tmp_path: Path) -> None:
    base = write_run(tmp_path, SPEC, HALF)
    write_run(tmp_path, of(seed=1), HALF)
    write_run(tmp_path, of("rtn:3"), discordant(HALF, 4, 1))
    write_run(tmp_path, of("rtn:3", dtype="bfloat16", seed=2), HALF)
    write_run(tmp_path, of(model="packed", baseline="tinycoder", temperature=0.0), HALF)
    found = read_collection([tmp_path])
    by_name = {(e.spec.model, e.quant, e.spec.seed): e for e in found.runs}
    quantized = by_name["tinycoder", "rtn:3", 0]
    assert found.baseline_of(quantized) is by_name["tinycoder", "none", 0]
    assert found.comparison(by_name["tinycoder", "none", 0]) is None
    comparison = found.comparison(quantized)  # its run.json has none: made here
    assert (
        comparison is not None and comparison.paper is not None and (comparison.paper.b, comparison.paper.c) == (4, 1)
    )
    assert comparison.a == str(base) and found.comparison(quantized) is comparison
    assert found.comparison(by_name["tinycoder", "rtn:3", 2]) is None
    packed = by_name["packed", "none", 0]
    assert not packed.full and packed.model == "tinycoder" and found.labels.quant(packed) == "packed"
    assert found.baseline_of(packed) is by_name["tinycoder", "none", 0]


def test_a_run_that_a_larger_one_includes_stands_in_the_grid_only(tmp_path: Path) -> None:
    for samples in (1, 2):
        write_run(tmp_path / str(samples), of(samples=samples), HALF[:, :samples])
        write_run(tmp_path / str(samples), of("rtn:3", samples=samples), HALF[:, :samples])
    found = read_collection([tmp_path])
    assert [run.spec.samples for run in found.largest] == [2, 2]
    tables = {table.key: table for table in all_tables(found)}
    assert len(tables["runs"].rows) == 4 and len(tables["giagnorio-4"].rows) == 2
    for run in found.runs:
        baseline = found.baseline_of(run)
        assert baseline is None or baseline.spec.samples == run.spec.samples


def test_the_grid_has_what_compare_found(tmp_path: Path) -> None:
    base = write_run(tmp_path / "elsewhere", SPEC, HALF)
    folder = write_run(tmp_path / "runs", of("rtn:3"), discordant(HALF, 4, 1), baseline=base)
    (found,) = [table for table in all_tables(read_collection([tmp_path / "runs"])) if table.key == "runs"]
    rows = list(csv.DictReader(to_csv(found).splitlines()))
    kept = json.loads((folder / "run.json").read_text())["baseline"]
    there = [float(rows[0][f"difference to full precision: {name}, points"]) for name in ("from", "to", "detectable")]
    assert there == pytest.approx(
        [100 * x for x in (*kept["pass@1"]["ci95"], kept["smallest_detectable_difference"])], rel=1e-5
    )
    assert float(rows[0]["difference to full precision, points"]) == pytest.approx(-15)
    assert float(rows[0]["difference to full precision: relative, %"]) == pytest.approx(-30)
    assert float(rows[0]["p: by problem"]) == pytest.approx(kept["clustered"]["p_value"], rel=1e-5)
    pooled = float(rows[0]["p: pooled, adjusted"])
    assert pooled == pytest.approx(kept["paper"]["p_value"], rel=1e-5)  # one comparison: nothing to adjust for
    low, high = (float(rows[0][f"pass@1: {end}, %"]) for end in ("from", "to"))
    assert low < float(rows[0]["pass@1, %"]) == 35 < high
    assert rows[0]["hosting: size, GB"] == "13.48" and rows[0]["hosting: latency, s"] == ""
    (iv,) = [table for table in all_tables(read_collection([tmp_path / "runs"])) if table.key == "wei-4"]
    assert iv.rows[0][-1].shown == "35.00 (-15.00)"  # full precision is not among the runs at hand


def test_the_base_tests_figure_stands_beside_that_of_all(tmp_path: Path) -> None:
    """Two problems of two samples: of the quantized run's two that pass the base tests, one passes all."""
    spec = dataclasses.replace(SPEC, task="humaneval-plus")
    for quant, passed, stages in (
        ("none", [[True, True], [False, False]], [["base", "plus"], ["base"]]),
        ("rtn:3", [[True, True], [False, False]], [["base", "plus"], []]),
    ):
        each = [{"stages": names} for names in stages]
        rates = {"pass@1": 0.5, "base_pass@1": sum("base" in names for names in stages) / 2, "base_pass@5": math.nan}
        write_run(tmp_path, dataclasses.replace(spec, quant=quant), passed, metrics=rates, by_problem=each)
    write_run(tmp_path, of("rtn:3"), HALF)
    runs = {run.quant: run for run in read_collection([tmp_path]).runs if run.task == "humaneval-plus"}
    means = qharness.compare(runs["none"].folder, runs["rtn:3"].folder).means
    assert list(means) == ["pass@1", "base_pass@1"] and means["pass@1"].difference == 0
    assert (means["base_pass@1"].a, means["base_pass@1"].b, means["base_pass@1"].difference) == (1.0, 0.5, -0.5)
    tables = {table.key: table for table in all_tables(read_collection([tmp_path]))}
    rows = {row["quantizer"]: row for row in csv.DictReader(to_csv(tables["stages"]).splitlines())}
    assert list(rows) == ["full precision", "rtn:3"]
    full, quantized = (rows[name] for name in rows)
    assert (full["base tests: pass@1, %"], full["all tests: pass@1, %"], full["base tests: lost, points"]) == (
        "100",
        "50",
        "",
    )
    assert (quantized["base tests: pass@1, %"], quantized["base tests: lost, points"]) == ("50", "50")
    assert quantized["all tests: lost, points"] == "0"
    assert (full["all tests: pass base only, n"], quantized["all tests: pass base only, n"]) == ("2", "0")
    shown = {row["task"]: row["base_pass@1, %"] for row in csv.DictReader(to_csv(tables["runs"]).splitlines())}
    assert shown == {"humaneval-plus": "50", "tiny-python": ""}


# -------------------------------------------------------------------------------------------------------------- naming


def test_names_are_short_and_apart(tmp_path: Path) -> None:
    quants = ("rtn", "rtn:3", "aqlm:2", "aqlm:2,finetune=e2e", "int8-dynamic:per-column", "not-installed:1,b=2")
    calibs = ("random:64,128", "mixed:64,128", 'files:"a/*.py",64,128')
    for quant in ("none", *quants):
        for calib in calibs if quant.startswith("aqlm") else (None,):
            write_run(tmp_path, of(quant, calib, model="org/model-7b"), [[True]])
    write_run(tmp_path, of(model="other/model-7b", seed=3), [[True]])
    found = read_collection([tmp_path])
    names = Labels(found.runs)
    assert {names.quant(e) for e in found.runs} == {
        "full precision", "rtn:4", "rtn:3", "aqlm:2", "aqlm:2,finetune=e2e", "int8-dynamic:per-column",
        "not-installed:1,b=2",
    }  # fmt: skip
    assert {names.calib(e) for e in found.runs} == {"", "random", "mixed", "files:*.py"}
    assert {names.model(e) for e in found.runs} == {"org/model-7b, seed 0", "other/model-7b, seed 3"}


def test_a_benchmark_is_a_task_without_its_language(tmp_path: Path) -> None:
    for task, language in (("multiple-py", "python"), ("mceval-java", "java"), ("humaneval", "python")):
        write_run(tmp_path, of(task=task), [[True]], language=language)
    write_run(tmp_path, of(task="multiple-python"), [[True]])
    names = {run.task: read_collection([tmp_path]).labels.benchmark(run) for run in read_collection([tmp_path]).runs}
    assert names == {
        "multiple-py": "multiple-py", "multiple-python": "multiple-python", "mceval-java": "mceval", "humaneval": "humaneval",
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- writing

HOSTILE = "a_b & 50% <img src=x> | #1 ~^\\ {x} $y$ `z` *w*\nnext"
WRITTEN = Table(
    "hostile",
    "A title of 100%",
    HOSTILE,
    (
        Column("model", stub=True),
        Column("precision", stub=True),
        Column(HOSTILE, "%", "java"),
        Column("p", "", "java"),
        Column("p", "", "python"),
    ),
    (
        (Cell("m_1"), Cell("full"), number_cell(0.298, ".1f", 100), number_cell(math.nan), Cell("—")),
        (
            Cell("m_1"),
            Cell(HOSTILE),
            number_cell(0.239, ".1f", 100, -0.059),
            number_cell(math.inf),
            Cell("***", 0.0001),
        ),
        (Cell("m_2"), Cell("full"), number_cell(0.5, ".1f", 100, emphasis=True), number_cell(None), Cell("▲ ●")),
    ),
)


def test_a_column_has_its_own_cells_wherever_it_stands() -> None:
    columns = [stub("name", str), number("twice", "m", lambda n: 2 * n, ".0f"), number("third", "", lambda n: n / 3)]
    for ordered in itertools.permutations(columns):
        (table,) = table_of("key", "Title", "Caption", ordered, [3, 6])
        cells = [dict(zip([column.heading for column in table.columns], row, strict=True)) for row in table.rows]
        assert [{name: cell.text for name, cell in row.items()} for row in cells] == [
            {"name": "3", "twice, m": "6", "third": "1.00"}, {"name": "6", "twice, m": "12", "third": "2.00"},
        ]  # fmt: skip
    assert table_of("key", "Title", "Caption", columns, []) == []


def test_csv_reads_back() -> None:
    rows = list(csv.reader(to_csv(WRITTEN).splitlines(keepends=True)))
    assert [len(row) for row in rows] == [6] * 4
    assert rows[0][2:4] == [f"java: {HOSTILE}, %", f"java: {HOSTILE}, %: difference"]
    assert rows[1][2:] == ["29.8", "", "", ""]
    assert rows[2][1:] == [HOSTILE, "23.9", "-5.9", "inf", "0.0001"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333"),
        (123456789, "123456789"),
        (-12345.678, "-12345.7"),
        (1e-9 / 3, "3.33333e-10"),
    ],
)
def test_csv_has_no_noise_of_floats(value: float, text: str) -> None:
    table = Table("key", "Title", "Caption", (Column("a"),), ((number_cell(value),), (number_cell(math.nan),)))
    assert to_csv(table).split("\n") == ["a", text, '""', ""]


def test_a_table_to_read_leaves_out_what_says_nothing() -> None:
    names = [stub("model", lambda _: "m"), stub("task", str), number("seed", "", lambda _: 0.0, "g")]
    columns = [
        *names,
        number("empty", "", lambda _: None),
        number("n", "", lambda n: n, "d", group="g"),
        stub("x", lambda _: "—"),
    ]
    (table,) = table_of("key", "Title", "Caption.", columns, [3, 6])
    assert [column.name for column in table.concise.columns] == ["task", "n"]
    assert table.concise.caption == "Caption. The same in all rows: model m; seed 0."
    assert [[cell.text for cell in row] for row in table.concise.rows] == [["3", "3"], ["6", "6"]]
    assert len(to_csv(table).split("\n")[0].split(",")) == 6  # every column is there for programs
    (one,) = table_of("key", "Title", "Caption.", columns, [3])
    assert [column.name for column in one.concise.columns] == ["model", "task", "seed", "n"]
    (nothing,) = table_of("key", "Title", "Caption.", columns[3:4], [3, 6])
    assert not nothing.says_something and table.says_something


def test_markdown_is_a_table_of_text() -> None:
    lines = to_markdown(WRITTEN).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 5 and {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {6}
    assert "<img" not in to_markdown(WRITTEN) and "**50.0**" in table[4] and "n/a" in table[4]


def test_latex_is_whole_and_escaped() -> None:
    """Its structure only: there is no LaTeX here to compile it."""
    text = to_latex(WRITTEN)
    plain = re.sub(r"\\[&%$#_{}]|\\\\", "", text)
    assert plain.count("{") == plain.count("}") and plain.count("$") % 2 == 0
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        ("begin", "table"), ("begin", "tabular"), ("end", "tabular"), ("end", "table"),
    ]  # fmt: skip
    assert r"\begin{tabular}{llrrr}" in text and not re.search(r"[^\x00-\x7f]", text)
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    widths = [
        len(re.findall(r"(?<!\\)&", row)) + 1 + sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
        for row in rows
    ]
    assert widths == [5] * 5
    assert r"\multicolumn{2}{c}{java} & \multicolumn{1}{c}{python}" in body
    assert r"\cmidrule(lr){3-4} \cmidrule(lr){5-5}" in body
    assert r"\textbf{50.0}" in body and r"$\blacktriangle$ $\bullet$" in body and r"$\infty$" in body
    assert rows[3].startswith(" & a\\_b") and body.count(r"\midrule") == 2  # a name stands once, a rule before the next


def test_a_report_is_written_anew_and_over_nothing_else(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", SPEC, HALF)
    quantized = write_run(tmp_path / "runs", of("rtn:3"), HALF)
    write_report([tmp_path / "runs"], tmp_path / "report", "Ours & theirs")
    assert (tmp_path / "report/tables/giagnorio-4.tex").is_file()
    assert (tmp_path / "report/report.md").read_text().startswith("# Ours &amp; theirs\n")
    shutil.rmtree(quantized)
    write_report([tmp_path / "runs"], tmp_path / "report")
    assert sorted(path.stem for path in (tmp_path / "report/tables").glob("*.csv")) == ["failures", "runs"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    for taken in (tmp_path / "mine", tmp_path / "mine/thesis.tex"):
        with pytest.raises(QHarnessError, match=r"--output .*(something else|cannot be written)"):
            write_report([tmp_path / "runs"], taken)


def test_levels_and_lost_pairs(tmp_path: Path) -> None:
    levels = [{"level": "hard" if n < 8 else "easy"} for n in range(10)]
    base = write_run(tmp_path, SPEC, HALF, by_problem=levels)
    write_run(tmp_path, of("rtn:3"), discordant(HALF, 4, 1), by_problem=levels, baseline=base)
    tables = {table.key: table for table in all_tables(read_collection([tmp_path]))}
    shown, lost = tables["levels"], tables["lost-pairs"]
    names = [column.full_name for column in shown.columns]
    assert names[3:] == [f"{level}: {each}" for level in ("easy", "hard") for each in ("pass@1", "problems", "lost")]
    counts = {name: [row[names.index(name)].text for row in shown.rows] for name in names}
    assert counts["hard: problems"] == ["8", "8"] and counts["easy: problems"] == ["2", "2"]
    lost_pairs = [counts[f"{level}: lost"] for level in ("easy", "hard")]
    assert [of_level[0] for of_level in lost_pairs] == ["—", "—"] and sum(int(each[1]) for each in lost_pairs) == 4
    kinds = dict(zip([column.name for column in lost.columns], lost.rows[0], strict=True))
    assert len(lost.rows) == 1 and kinds["assertion"].text == "4" and kinds["missing-name"].text == "0"


def test_a_benchmark_in_several_languages_has_a_row_for_each(tmp_path: Path) -> None:
    for language in ("c", "cpp", "go"):
        spec = of(task=f"mceval-{language}")
        base = write_run(tmp_path, spec, HALF, language=language)
        lossy = dataclasses.replace(spec, quant="rtn:3")
        write_run(tmp_path, lossy, discordant(HALF, 4, 1), language=language, baseline=base)
    collection = read_collection([tmp_path])
    (table,) = [table for table in all_tables(collection) if table.key == "languages"]
    names = [column.full_name for column in table.columns]
    assert names[:4] == ["benchmark", "model", "language", "full precision: pass@1"]
    rows = [dict(zip(names, (cell.text for cell in row), strict=True)) for row in table.rows]
    assert [(row["benchmark"], row["language"]) for row in rows] == [("mceval", each) for each in ("c", "cpp", "go")]
    assert all(
        (row["full precision: pass@1"], row["rtn:3: pass@1"], row["rtn:3: lost"]) == ("50.0", "35.0", "+15.0")
        for row in rows
    )
    shutil.rmtree(tmp_path)
    for language in ("c", "cpp"):
        write_run(tmp_path, of(task=f"mceval-{language}"), HALF, language=language)
    assert "languages" not in {table.key for table in all_tables(read_collection([tmp_path]))}


# ----------------------------------------------------------------------------------------------------------- real runs


@pytest.mark.long
def test_a_report_of_real_runs(
    random_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = {"limit": 2, "samples": 2, "max_new_tokens": 4, "temperature": 1.0, "output": tmp_path / "runs"}
    runs = [
        qharness.run(RunSpec(task, str(random_llama), quant, **short))
        for task, quant in (("tiny-python", "rtn:3"), ("tiny-python@char", "rtn:3"))
    ]
    text = {**short, "samples": None, "temperature": None}
    known = profile(ProfileSpec(bound(random_llama, "rtn:3"), latency=2.0))
    (tmp_path / "runs/profile.json").write_text(json_text(known.document))
    summary = qharness.run(RunSpec("tiny-summary", str(random_llama), "rtn:3", **text))
    monkeypatch.setattr(
        sys,
        "argv",
        ["qharness", "report", str(tmp_path / "runs"), "--output", str(tmp_path / "out"), "--title", "Real"],
    )
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0 and "report of 6 runs" in capsys.readouterr().out
    keys = {path.stem for path in (tmp_path / "out/tables").glob("*.csv")}
    assert keys >= {"verdicts", "runs", "wei-2", "wei-4", "wei-9", "giagnorio-4", "failures"}
    assert "wei-7" not in keys  # where nothing passes, no drop is defined
    with (tmp_path / "out/tables/runs.csv").open(newline="") as file:
        grid = {(row["quantizer"], row["perturbation"]): row for row in csv.DictReader(file)}
    assert set(grid) == {(q, p) for q in ("full precision", "rtn:3") for p in ("", "char")}
    for run in runs:
        row = grid[run.document["spec"]["quant"], run.document["spec"]["task"].partition("@")[2]]
        assert float(row["pass@1, %"]) == pytest.approx(100 * run.metrics["pass@1"])
        assert float(row["p: by problem"]) == pytest.approx(run.document["baseline"]["clustered"]["p_value"], rel=1e-5)
        assert float(row["hosting: size, MB"]) == pytest.approx(
            run.document["hosting"]["storage_bytes"] / 1e6, rel=1e-5
        )
        assert (row["problems, n"], row["samples, a problem"]) == ("2", "2")
        assert (row["hosting: latency, s"], grid["full precision", ""]["hosting: latency, s"]) == ("2", "")
    lines = [json.loads(line) for line in (runs[0].folder / "samples.jsonl").read_text().splitlines()]
    assert [(line["sample"], "assert" in line.get("tests", "")) for line in lines] == [(0, True), (1, False)] * 2
    bleu = next(iter(summary.metrics))
    with (tmp_path / f"out/tables/runs-{bleu}.csv").open(newline="") as file:
        scores = {row["quantizer"]: float(row[bleu]) for row in csv.DictReader(file)}
    assert scores["rtn:3"] == pytest.approx(summary.metrics[bleu])
    text_of = (tmp_path / "out/report.md").read_text()
    assert text_of.startswith("# Real\n") and "6 finished runs of 1 model on 2 tasks" in text_of
