"""Names from outside, of models above all: what a terminal, a spreadsheet or a reader would obey is written as text."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qharness.models.checkpoint import BUNDLED
from qharness.noise.noise_output import table as noise_table
from qharness.progress import note
from qharness.report.tables.columns import Cell, Column, Table, number_cell
from qharness.report.tables.table_formats import markdown_text, to_csv, to_latex, to_markdown
from qharness.results import NoiseReport
from qharness.specs import DEFAULT_MODEL
from qharness.storage.atomic_writer import write_json, write_text
from qharness.storage.json_values import json_text
from qharness.visible_text import csv_cell, visible, visible_lines
from tests.conftest import REPOSITORY
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]

NAME = "=1+1\x1b]0;owned\x07\u202egnp\nnext\x9b31m\x7f[red]"
SHOWN = r"=1+1\x1b]0;owned\x07\u202egnp\x0anext\x9b31m\x7f[red]"
LINES = SHOWN.replace(r"\x0a", "\n")
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
BINARY = {".png", ".pdf", ".gz", ".safetensors"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model in a folder of that name."""
    folder = tmp_path_factory.mktemp("foreign") / NAME
    shutil.copytree(BUNDLED[DEFAULT_MODEL], folder)
    return folder


def assert_harmless(text: str, what: object) -> None:
    found = OBEYED.search(text)
    assert not found, f"{what}: {text[max(0, found.start() - 80) : found.end() + 20]!r}"


def assert_done(done: subprocess.CompletedProcess[str], code: int = 0) -> None:
    assert done.returncode == code, done
    assert_harmless(done.stdout, "standard output")
    assert_harmless(done.stderr.replace("\r", "\n"), "standard error")


def test_one_form_for_lines_for_texts_and_for_json() -> None:
    assert visible(NAME) == SHOWN == visible(SHOWN)
    assert visible_lines("a\tb\nc\r\x1b") == "a\tb\nc\\x0d\\x1b"
    assert visible("naïve 漢字 👩‍💻 ־א") == "naïve 漢字 👩‍💻 ־א"  # what is only writing stays
    text = json_text({"name": NAME, "more": "\u2028"}, indent=2)
    assert_harmless(text, "JSON")
    assert json.loads(text) == {"name": NAME, "more": "\u2028"}


def test_what_is_written_and_said_is_visible(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_text(tmp_path / "text", f"a {NAME}\n")
    assert (tmp_path / "text").read_text() == "a " + SHOWN.replace(r"\x0a", "\n") + "\n"
    write_json(tmp_path / "json", {"name": NAME})
    assert json.loads((tmp_path / "json").read_text())["name"] == NAME
    note(f"about {NAME}")
    assert capsys.readouterr().err == f"about {SHOWN}\n"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+2", "'+1+2"),
        ("-1+2", "'-1+2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\\x0d=1"),
        ("\n=1", "'\n=1"),
        ("-0.5", "-0.5"),
        ("+3e-7", "+3e-7"),
        ("-1 ", "'-1 "),
        ("rtn:4", "rtn:4"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_cells_of_text_are_no_formulas_and_numbers_stay(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


def test_tables_in_every_format() -> None:
    rows = (
        (Cell(NAME), number_cell(-0.5), number_cell(-0.5, note=0.25)),
        (Cell("@x"), number_cell(float("nan")), Cell("-0.5")),
    )
    table = Table("key", NAME, NAME, tuple(Column(name, stub=True) for name in ("=model", "b", "c")), rows)
    lines = list(csv.reader(io.StringIO(to_csv(table))))
    assert lines == [
        ["'=model", "b", "c", "c: difference"],
        ["'" + LINES, "-0.5", "-0.5", "0.25"],
        ["'@x", "", "-0.5", ""],
    ]
    for text in (to_csv(table), to_markdown(table), to_latex(table), markdown_text(NAME)):
        assert_harmless(text, text)
    assert r"\textbackslash{}x1b" in to_latex(table) and r"\\x1b" in to_markdown(table)


def test_the_layers_of_a_noise_measurement() -> None:
    layer = {
        "name": "=layer", "block": "-b", "depth": -1, "weight_noise": -0.5, "activation_noise": None,
        "accumulated_noise": 1.0, "activation_max": {"tokens": None, "inputs": None},
    }  # fmt: skip
    report = {"model": NAME, "parameters": 3, "quantizer": "@q", "mean": {}, "layers": [layer]}
    text = noise_table([NoiseReport.of_document(report, "")])
    row = next(csv.DictReader(io.StringIO(text)))
    assert (row["model"], row["quantizer"], row["name"], row["block"]) == ("'" + LINES, "'@q", "'=layer", "'-b")
    assert (row["depth"], row["weight_noise"], row["activation_noise"]) == ("-1", "-0.5", "")


def test_a_run_and_all_that_is_made_of_it(in_process: Cli, model: Path, tmp_path: Path) -> None:
    runs, report = tmp_path / "runs", tmp_path / "report"
    short = ("--task", "tiny-python", "--limit", "1", "--samples", "1", "--max-new-tokens", "4")
    done = in_process("run", *short, "--model", model, "--quant", "rtn:2", "--output", runs)
    assert_done(done)
    assert visible(f"{model}") in done.stdout
    assert_done(in_process("run", *short, "--model", model, "--quant", "rtn:2", "--output", runs, "--json"))
    assert_done(in_process("compare", *sorted(runs.iterdir())))
    assert_done(in_process("report", runs, "--output", report))
    assert_done(in_process("footprint", "--model", model, "--quant", "rtn:2"))
    assert_done(in_process("quantize", "--model", model, "--quant", "rtn:2", "--output", tmp_path / NAME))
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in BINARY]
    assert {"run.json", "samples.jsonl", "index.html", "report.md"} <= {path.name for path in files}
    for path in files:
        assert_harmless(path.read_bytes().decode("utf-8"), path)
        if NAME not in str(path):
            assert_harmless(str(path.relative_to(tmp_path)), "a file's name")
    rows = list(csv.DictReader((report / "tables/pareto.csv").open(encoding="utf-8")))
    assert {row["model"] for row in rows} == {"'" + SHOWN}
    (run, *_) = runs.glob("*/run.json")
    assert json.loads(run.read_text())["spec"]["model"] == str(model)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--task", "tiny-python", "--model", f"./{NAME}"),
        ("run", "--task", f"tiny-python@{NAME}"),
        ("run", "--task", "tiny-python", "--quant", NAME),
        ("run", "--task", "tiny-python", "--quant", "rtn:2", "--calib", NAME),
        ("run", "--task", "tiny-python", "--dtype", NAME),
        ("score", "--task", "tiny-python", "--samples", NAME),
        ("compare", NAME, NAME),
        ("report", NAME, "--output", "x"),
        ("study", NAME),
        ("run", NAME),
        (NAME,),
        ("run", f"--{NAME}"),
    ],
)
def test_a_mistake_is_one_line_that_shows_it(in_process: Cli, arguments: tuple[str, ...]) -> None:
    done = in_process(*arguments)
    assert_done(done, 2)
    assert not re.search(r"^next", done.stderr, re.MULTILINE)


@pytest.mark.parametrize("field", ["model_type", "architectures", "torch_dtype"])
def test_a_configuration_that_says_something_hostile(in_process: Cli, model: Path, field: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    config[field] = [NAME] if field == "architectures" else NAME
    (folder / "config.json").write_text(json.dumps(config))
    done = in_process("footprint", "--model", folder, "--quant", "rtn:2")
    assert_done(done, done.returncode)
    assert done.returncode in (0, 2)


def test_samples_that_name_what_does_not_exist(in_process: Cli, tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text(json.dumps({"task_id": NAME, "completion": "x"}) + "\n")
    done = in_process("score", "--task", "tiny-python", "--samples", tmp_path / "samples.jsonl")
    assert_done(done, 2)


def test_commands_write_by_the_functions_that_escape() -> None:
    for path in (REPOSITORY / "qharness/cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and path.name != "output.py":
                assert ast.unparse(node.func) not in ("typer.echo", "print", "sys.stdout.write"), path
