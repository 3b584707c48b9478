"""The papers' tables, rebuilt from runs that have the passes behind their figures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qharness import RunSpec
from qharness.report import Collection, Table, read_collection
from qharness.report.tables import giagnorio as giagnorio_tables
from qharness.report.tables import run_table as grid
from qharness.report.tables import wei
from qharness.report.tables.all_tables import all_tables
from qharness.report.tables.columns import NOT_APPLICABLE
from qharness.study.study_file import read_study
from qharness.study.sweep import with_baselines
from tests.conftest import REPOSITORY
from tests.page_runs import cost_profile
from tests.report_runs import discordant, with_passes, write_run


def table(collection: Collection, key: str) -> Table:
    part = {"wei": wei, "giagnorio": giagnorio_tables, "runs": grid}[key.partition("-")[0]]
    (found,) = [each for each in part.tables(collection) if each.key == key]
    return found


def shown(found: Table) -> list[list[str]]:
    return [[cell.shown for cell in row] for row in found.rows]


# ------------------------------------------------------------------------------------------------ Giagnorio et al. 2025

CODELLAMA = RunSpec("multiple-py", "codellama/CodeLlama-7b-hf", samples=20, temperature=0.2, dtype="float16")
PROBLEMS, SAMPLES = 23, 140  # as many pairs as 161 problems have with 20 completions each, and less to resample
FULL = with_passes(960, PROBLEMS, SAMPLES)  # 29.8%


def codellama(runs: Path, base: Path, quant: str, b: int, c: int, storage: int, calib: str = "random") -> Path:
    spec = dataclasses.replace(CODELLAMA, quant=quant, calib=calib)
    return write_run(runs, spec, discordant(FULL, b, c), storage=storage, baseline=base)


@pytest.fixture(scope="module")
def giagnorio(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """CodeLlama 7B on MultiPL-E Python, with the passes and discordant pairs that the paper's tables amount to."""
    runs = tmp_path_factory.mktemp("giagnorio")
    base = write_run(runs, CODELLAMA, FULL)
    codellama(runs, base, "aqlm:8", 153, 150, 7_470_000_000)
    codellama(runs, base, "aqlm:4", 158, 135, 4_000_000_000)
    codellama(runs, base, "aqlm:3", 271, 94, 3_800_000_000)
    codellama(runs, base, "aqlm:2", 495, 63, 2_260_000_000)
    codellama(runs, base, "aqlm:2", 303, 113, 2_260_000_000, "mixed")
    codellama(runs, base, "aqlm:2,finetune=e2e", 278, 138, 2_260_000_000, "mixed")
    large = dataclasses.replace(CODELLAMA, model="codellama/CodeLlama-13b-hf")
    size: dict[str, Any] = {"storage": 24_250_000_000, "parameters": 13_016_000_000}
    base = write_run(runs, large, with_passes(1104, PROBLEMS, SAMPLES), **size)
    passes = discordant(with_passes(1104, PROBLEMS, SAMPLES), 342, 233)
    spec = dataclasses.replace(large, quant="aqlm:2", calib="mixed")
    write_run(runs, spec, passes, baseline=base, **size | {"storage": 3_980_000_000})
    return read_collection([runs])


def test_table_4(giagnorio: Collection) -> None:
    """Its rows of CodeLlama 7B on MultiPL-E, Python: p of pooled pairs, b / c, and the sizes."""
    rows = [row[2:] for row in shown(table(giagnorio, "giagnorio-4")) if row[1] == "CodeLlama-7b-hf"]
    assert [[row[n] for n in (0, 1, 2, 3, 4, 6)] for row in rows] == [
        ["6.74B", "full precision", "13.48", "29.8", "—", "—"],
        ["6.74B", "aqlm:8 on random", "7.47", "29.7", "", "1.02"],
        ["6.74B", "aqlm:4 on random", "4.00", "29.1", "", "1.17"],
        ["6.74B", "aqlm:3 on random", "3.80", "24.3", "***", "2.88"],
        ["6.74B", "aqlm:2 on random", "2.26", "16.4", "***", "7.86"],
    ]


def test_table_5(giagnorio: Collection) -> None:
    """Fine-tuned end to end against the same without, unadjusted; the baseline comes first in b / c."""
    rows = shown(table(giagnorio, "giagnorio-5"))
    assert [(row[3], row[5]) for row in rows] == [
        ("full precision", "29.8"),
        ("aqlm:2", "23.9"),
        ("aqlm:2,finetune=e2e", "▲ 25.5"),
    ]
    assert rows[1][6:] == ["—"] * 3 and float(rows[2][8]) < 1


def test_table_6(giagnorio: Collection) -> None:
    """Calibration sets against `random`, whichever is met first."""
    rows = shown(table(giagnorio, "giagnorio-6"))
    assert [(row[3], row[5], row[6]) for row in rows] == [
        ("full precision", "29.8", "—"),
        ("aqlm:2 on random", "16.4", "—"),
        ("aqlm:2 on mixed", "▲ 23.9", "***"),
    ]


def test_table_7(giagnorio: Collection) -> None:
    """Of the calibration set and the quantizers that the sizes share, with the relative decrease."""
    rows = shown(table(giagnorio, "giagnorio-7"))
    assert [[row[n] for n in (2, 3, 4, 5, 6, 8, 9)] for row in rows] == [
        ["6.74B", "full precision", "13.48", "29.8", "—", "—", "—"],
        ["6.74B", "aqlm:2", "2.26", "23.9", "***", "2.68", "-19.8"],
        ["13B", "full precision", "24.25", "34.3", "—", "—", "—"],
        ["13B", "aqlm:2", "3.98", "30.9", "***", "1.47", "-9.9"],
    ]


def test_languages_stand_beside_each_other_and_are_adjusted_apart(tmp_path: Path) -> None:
    """m counts the comparisons of one model and language only: two here, so the larger p stays, the smaller doubles."""
    for task, language in (("multiple-py", "python"), ("multiple-java", "java")):
        spec = dataclasses.replace(CODELLAMA, task=task)
        full = with_passes(100, 50, 4)
        base = write_run(tmp_path, spec, full, language=language)
        for quant, b in (("rtn:3", 9), ("rtn:4", 6)):
            passes = discordant(full, b, 0)
            write_run(tmp_path, dataclasses.replace(spec, quant=quant), passes, language=language, baseline=base)
    found = table(read_collection([tmp_path]), "giagnorio-4")
    assert [column.group for column in found.columns[5:]] == ["java"] * 4 + ["python"] * 4
    assert [row[0].text for row in found.rows] == ["multiple"] * 3
    by_name = {row[3].text: [row[n].value for n in (6, 10)] for row in found.rows}
    assert by_name["rtn:3"] == pytest.approx([2 * 2 * 0.5**9] * 2) and by_name["rtn:4"] == pytest.approx(
        [2 * 0.5**6] * 2
    )


# ----------------------------------------------------------------------------------------------------- Wei et al. 2023


def wei_run(runs: Path, task: str, model: str, quant: str, **options: Any) -> Path:
    passes = options.pop("passes", [[True], [False]])
    calib = "codesearchnet" if quant.startswith("int8-static") else None
    return write_run(runs, RunSpec(task, model, quant, calib, samples=1, temperature=0.2), passes, **options)


def scores(at_1: float, at_5: float) -> dict[str, float | None]:
    return {"pass@1": at_1 / 100, "pass@5": at_5 / 100}


def test_table_iv_and_vi(tmp_path: Path) -> None:
    for model, quant, values, size in (
        ("codegen-350m", "none", (11.71, 16.21), 350_000_000),
        ("codegen-350m", "int8-dynamic", (11.77, 14.70), 350_000_000),
        ("codegen-350m", "int8-static:per-tensor", (10.79, 14.90), 350_000_000),
        ("codegen-16b", "none", (29.39, 39.02), 16_000_000_000),
        ("codegen-16b", "int8-dynamic", (27.68, 39.63), 16_000_000_000),
    ):
        storage = size * (4 if quant == "none" else 1)
        wei_run(tmp_path, "humaneval", model, quant, metrics=scores(*values), parameters=size, storage=storage)
    collection = read_collection([tmp_path])
    found = table(collection, "wei-4")
    names = ["full precision", "int8-dynamic", "int8-static"]  # per tensor is its default
    assert [column.group for column in found.columns[2:]] == [name for name in names for _ in range(2)]
    assert shown(found) == [
        [
            "humaneval",
            "codegen-350m",
            "11.71",
            "16.21",
            "11.77 (+0.06)",
            "14.70 (-1.51)",
            "10.79 (-0.92)",
            "14.90 (-1.31)",
        ],
        ["humaneval", "codegen-16b", "29.39", "39.02", "27.68 (-1.71)", "39.63 (+0.61)", "—", "—"],
    ]
    assert shown(table(collection, "wei-6")) == [
        ["codegen-16b", "full precision", "29.39", "39.02"],
        ["codegen-16b", "int8-dynamic", "27.68 (-1.71)", "39.63 (+0.61)"],
    ]


def test_table_v(tmp_path: Path) -> None:
    for quant, values in (
        ("none", (20.91, 27.75)),
        ("int8-static:per-column", (22.50, 29.59)),
        ("int8-static:per-column,act_bits=4", (0.61, 1.39)),
        ("int8-static:per-column,weight_bits=4", (18.54, 24.83)),
    ):
        wei_run(tmp_path, "humaneval", "codegen-2b", quant, metrics=scores(*values))
    collection = read_collection([tmp_path])
    assert [row[2:] for row in shown(table(collection, "wei-5"))] == [
        ["full precision", "20.91", "27.75"],
        ["W8A8", "22.50 (+1.59)", "29.59 (+1.84)"],
        ["W4A8", "18.54 (-2.37)", "24.83 (-2.92)"],
        ["W8A4", "0.61 (-20.30)", "1.39 (-26.36)"],
    ]
    assert len(table(collection, "wei-4").columns) == 6  # the widths other than the usual have a table of their own


GREEDY = {  # CodeGen-350M on HumanEval: passes of 164, unperturbed and with Ch, W and S, whose drops are table VII's
    "none": (19, 17, 17, 16),
    "int8-dynamic": (19, 16, 16, 18),
    "int8-static:per-column": (22, 17, 18, 19),
    "int8-static:per-tensor": (21, 14, 16, 18),
}


def test_table_vii(tmp_path: Path) -> None:
    for quant, counts in GREEDY.items():
        for perturbation, count in zip(("", "@char", "@word", "@back-translation"), counts, strict=True):
            wei_run(tmp_path, f"humaneval{perturbation}", "codegen-350m", quant, passes=with_passes(count, 164, 1))
    found = table(read_collection([tmp_path]), "wei-7")
    names = [column.name for column in found.columns]
    places = [names.index(name) for name in ("char", "word", "back-translation")]
    rows = {row[1].text: [row[n] for n in places] for row in found.rows if row[0].text == "codegen-350m"}
    assert {quant: [cell.text for cell in cells] for quant, cells in rows.items()} == {
        "full precision": ["10.53", "10.53", "15.79"],
        "int8-dynamic": ["15.79", "15.79", "5.26"],
        "int8-static:per-column": ["22.73", "18.18", "13.64"],
        "int8-static:per-tensor": ["33.33", "23.81", "14.29"],
    }
    bold = {(quant, n) for quant, cells in rows.items() for n, cell in enumerate(cells) if cell.emphasis}
    assert bold == {("full precision", 0), ("full precision", 1), ("int8-dynamic", 2)}
    means = {row[1].text: row[-1].value for row in found.rows if row[0].text == "all models"}
    assert means["full precision"] == pytest.approx(100 * (2 + 2 + 3) / 19 / 3)


def test_table_ix(tmp_path: Path) -> None:
    for quant, bleu in (("none", 17.02), ("int8-dynamic", 17.00), ("int8-static:per-column", 15.19)):
        fields = {"status": None, "passed": None, "metrics": {"bleu": bleu}, "reference": "Adds one."}
        wei_run(tmp_path, "code2text", "plbart", quant, metrics={"bleu": bleu}, language="", fields=fields)
    collection = read_collection([tmp_path])
    assert shown(table(collection, "wei-9")) == [["code2text", "plbart", "17.02", "17.00 (-0.02)", "15.19 (-1.83)"]]
    grid = table(collection, "runs-bleu")
    row = dict(zip([column.name for column in grid.columns], grid.rows[0], strict=True))
    assert row["bleu"].text == "17.00" and row["pooled, adjusted"] is NOT_APPLICABLE
    assert not [each for each in all_tables(collection) if each.key in ("runs", "wei-4", "giagnorio-4")]


def test_table_ii_and_the_costs_of_the_grid(tmp_path: Path) -> None:
    """From the documents of `qharness profile`; that of full precision stands in the other's."""
    spec = RunSpec("tiny-python", "codegen-2b", samples=1, temperature=0.0, device="cpu", dtype="float32")
    write_run(tmp_path / "runs", dataclasses.replace(spec, quant="int8-dynamic"), [[True], [False]])
    full = dataclasses.replace(
        cost_profile("codegen-2b", "none", 3.47, 1309), storage_bytes=10_700_000_000, usd_per_1k=30.1
    )
    both = dataclasses.replace(
        cost_profile("codegen-2b", "int8-dynamic", 2.47, 932),
        storage_bytes=3_500_000_000,
        usd_per_1k=21.4,
        baseline=full,
    )
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/one.json").write_text(json.dumps(both.document))
    collection = read_collection([tmp_path])
    rows = shown(table(collection, "wei-2"))
    assert [row[:2] + row[4:] for row in rows] == [
        ["codegen-2b", "full precision", "128 + 20", "p3dn.24xlarge", "3.47", "10.70", "n/a", "30.1", "1309"],
        ["codegen-2b", "int8-dynamic", "128 + 20", "p3dn.24xlarge", "2.47", "3.50", "n/a", "21.4", "932"],
    ]
    bare = dataclasses.replace(
        both, instance=None, instance_per_hour=None, usd_per_1k=None, gco2eq_per_1k=None, energy=None, baseline=None
    )
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/profile.json").write_text(json.dumps(bare.document))
    found = table(read_collection([tmp_path / "bare"]), "wei-2")
    assert not {"instance", "1,000 predictions, $", "1,000 predictions, CO2, g"} & {
        each.heading for each in found.columns
    }
    assert shown(found)[0][-3:] == ["2.47", "3.50", "n/a"] and "dollars" not in found.caption
    (tmp_path / "bare/profile.json").unlink()
    for calib in ("prose", "stdlib"):
        also = dataclasses.replace(cost_profile("codegen-2b", "aqlm:2", 1, 1), calibration=calib)
        (tmp_path / f"profiles/{calib}.json").write_text(json.dumps(also.document))
    quants = [row[1] for row in shown(table(read_collection([tmp_path]), "wei-2"))]
    assert quants[1:] == ["int8-dynamic", "aqlm:2 on prose", "aqlm:2 on stdlib"]
    (row,) = table(collection, "runs").rows
    assert [cell.text for cell in row[-3:]] == ["2.47", "932", "n/a"]


# ------------------------------------------------------------------------------------------------------ whole studies


def test_the_small_studies_give_every_table(tmp_path: Path) -> None:
    """All in one folder, with passes at random: runs of 1 and 10 samples, greedy and sampled, on ten sets."""
    rng = np.random.default_rng(0)
    specs = {}
    for file in sorted((REPOSITORY / "examples/studies/small").glob("*.toml")):
        for spec in with_baselines(read_study(file).specs(tmp_path)):
            given = {"samples": spec.samples or 1, "temperature": 0.8 if spec.temperature is None else 0.0}
            specs[dataclasses.replace(spec, compare=True, **given)] = None
    for spec in specs:
        language = next((name for name in ("python", "java") if name in spec.task), "")
        bleu = {"bleu": float(rng.random())}
        texts: dict[str, Any] = {"metrics": bleu, "fields": {"status": None, "passed": None, "metrics": bleu}}
        size = 1_000_000 if "half" in spec.model else 2_000_000
        passes = rng.random((4, spec.samples or 1)) < 0.6
        write_run(tmp_path, spec, passes, language=language, parameters=size, **({} if language else texts))
    found = {each.key: each for each in all_tables(read_collection([tmp_path]))}
    wei, giagnorio = (
        [f"{name}-{n}" for n in numbers] for name, numbers in (("wei", (4, 5, 6, 7, 9)), ("giagnorio", (4, 5, 6, 7)))
    )
    assert set(found) == {"runs", "runs-bleu", "pareto", "failures", "lost-pairs", *wei, *giagnorio}
    for each in found.values():
        if not each.key.startswith("runs"):
            names = [tuple(cell.text for cell in row[: sum(c.stub for c in each.columns)]) for row in each.rows]
            assert len(set(names)) == len(names), each.key
    four = [row for row in shown(found["giagnorio-4"]) if "aqlm" in row[3]]
    assert {row[1] for row in four} == {
        "tinycoder, temperature 0.8, samples 10",
        "tinycoder-half, temperature 0.8, samples 10",
    }
    assert all("—" not in row for row in four)  # each in both languages, against full precision of as many samples
    on = "files:tinycoder-texts.jsonl,64"
    assert {row[3] for row in four if "half" not in row[1]} == {f"aqlm:{bits} on {on}" for bits in (8, 4, 3, 2)}
    seven = [row[1].split(",")[0] + " " + row[3] for row in shown(found["giagnorio-7"])]
    kinds = ("full precision", "aqlm:2", "aqlm:2,finetune=e2e")
    assert seven == [f"{model} {kind}" for model in ("tinycoder-half", "tinycoder") for kind in kinds]
    five = found["wei-5"]
    assert [row[2] for row in shown(five)] == ["full precision", "W8A8", "W4A8", "W8A4"]
    assert {column.group for column in five.columns[3:]} == {"tiny-python", "tiny-java"}
