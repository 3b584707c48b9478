"""The papers' grids, as their study files have them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from qharness.presets import presets
from qharness.study.grid import read_study
from qharness.study.sweep import with_baselines
from tests.conftest import REPOSITORY

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_the_first_papers_grid(cli: Cli, data_dir: Path, tmp_path: Path) -> None:
    """Tables IV, V and VI, and figure 7: every run is one that could be made, but for its weights."""
    file = REPOSITORY / "examples/studies/wei-2023.toml"
    done = cli("study", file, "--output", tmp_path, "--data-dir", data_dir, "--dry-run", "--json")
    plans = json.loads(done.stdout)
    assert done.returncode == 0 and not any(plan["error"] or plan["done"] for plan in plans)
    found = {(p["spec"]["model"], p["spec"]["quant"], p["spec"]["calib"], p["spec"]["task"]) for p in plans}
    table_iv = 5 * 4 * 2
    table_v, table_vi, figure_7 = 2, 3, 2 * 5
    assert (
        len(plans) == len(found) == len({plan["folder"] for plan in plans}) == table_iv + table_v + table_vi + figure_7
    )
    assert ("codegen-2b", "int8-static:per-column,act_bits=4", "codesearchnet", "humaneval") in found
    assert {model for model, *_ in found} == {
        "incoder-1b", "incoder-6b", "codegen-350m", "codegen-2b", "codegen-6b", "codegen-16b",
    }  # fmt: skip


def test_the_second_papers_grid(tmp_path: Path) -> None:
    """Tables 4 to 7."""
    study = read_study(REPOSITORY / "examples/studies/giagnorio-2025.toml")
    runs = with_baselines(study.specs(tmp_path))
    assert {(run.samples, run.temperature, run.dtype) for run in runs} == {(20, 0.2, "float16")}
    found = {(run.model, run.quant, run.calib) for run in runs}
    assert len(runs) == 4 * len(found)
    seven = {
        *{(f"aqlm:{bits}", calib) for bits in (8, 4, 3, 2) for calib in ("random", "mixed", "code")},
        *{("none", None), ("aqlm:3,finetune=e2e", "random")},
        *{("aqlm:2,finetune=e2e", calib) for calib in ("random", "mixed")},
    }
    sizes = {("none", None), ("aqlm:2", "mixed"), ("aqlm:2,finetune=e2e", "mixed")}
    small = "aqlm:codebooks=1,nbits=14"
    assert found == {
        *((model, *axes) for model in ("codellama-7b", "deepseek-coder-6.7b") for axes in seven),
        *((model, *axes) for model in ("codellama-13b", "codellama-34b", "deepseek-coder-33b") for axes in sizes),
        *(
            ("deepseek-coder-1.3b", *axes)
            for axes in (("none", None), (small, "mixed"), (f"{small},finetune=e2e", "mixed"))
        ),
    }


def test_studies_name_models_that_there_are() -> None:
    for file in REPOSITORY.glob("examples/studies/*-20??*.toml"):
        study = read_study(file)
        for lists in (study, *study.include):
            assert set(lists.models or ()) <= set(presets()), file
