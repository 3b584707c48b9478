"""Studies: the grid, what is made once, what fails, and what is made again."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qharness import RunSpec, StudyError, UnknownNameError
from qharness.quantization import quantized_models as store
from qharness.quantization.backends import BACKENDS
from qharness.quantization.quantized_artifacts import quantized_dir
from qharness.quantization.quantized_models import Models
from qharness.quantization.resolution import bind_model, resolve
from qharness.study.axes import AXES
from qharness.study.jobs import Job
from qharness.study.study_file import read_study
from qharness.study.sweep import PlannedJob, plan, sweep, with_baselines
from tests.conftest import REPOSITORY

Cli = Callable[..., subprocess.CompletedProcess[str]]


def specs(text: str, tmp_path: Path) -> list[RunSpec]:
    (tmp_path / "study.toml").write_text(text)
    return read_study(tmp_path / "study.toml").specs(tmp_path / "runs")


def axes(spec: RunSpec) -> tuple[str, str, str, int]:
    return spec.model, spec.quant, spec.task, spec.seed


def test_a_grid_is_the_product_of_its_lists_baselines_first(tmp_path: Path) -> None:
    found = specs('models = ["a", "b"]\nquants = ["rtn:3", "none"]\ntasks = ["t", "u"]\nseeds = [0, 1]', tmp_path)
    assert len(found) == len(set(found)) == 16
    assert [spec.quant for spec in found] == ["none"] * 8 + [found[-1].quant] * 8
    by_model = [(spec.model, spec.quant, spec.seed) for spec in found]
    assert sum(one != other for one, other in itertools.pairwise(by_model)) == 7  # each model made once


def test_equal_runs_are_made_once(tmp_path: Path) -> None:
    """Whatever the spelling, and whatever calibration sets there are for a quantizer that needs none."""
    found = specs('quants = ["rtn:3", "rtn:bits=3"]\ncalibs = ["stdlib", "prose"]\ntasks = ["t"]', tmp_path)
    assert len(found) == 1 and found[0].calib is None and found[0].model == "tinycoder"


def test_includes_add_and_excludes_take_away(tmp_path: Path) -> None:
    found = specs(
        'models = ["a", "b"]\nquants = ["none", "rtn:3"]\ntasks = ["t", "u"]\nlimit = 5\n'
        '[[include]]\nmodels = ["c"]\ntasks = ["v"]\n[[exclude]]\nmodel = "b"\nquant = "rtn:*"\n[[exclude]]\ntask = "u"',
        tmp_path,
    )
    assert {(s.model, s.quant[:3], s.task) for s in found} == {
        ("a", "non", "t"), ("a", "rtn", "t"), ("b", "non", "t"), ("c", "non", "v"), ("c", "rtn", "v"),
    }  # fmt: skip
    assert {spec.limit for spec in found} == {5}


def test_perturbations_are_part_of_the_tasks_name(tmp_path: Path) -> None:
    found = specs('tasks = ["t"]\nperturbations = ["none", "word:0.5"]', tmp_path)
    assert [spec.task for spec in found] == ["t", "t@word:0.5"]
    assert (
        len(specs('tasks = ["t"]\nperturbations = ["none", "word:0.5"]\n[[exclude]]\nperturbation = "word*"', tmp_path))
        == 1
    )


def test_what_runs_are_compared_with_is_made_first(tmp_path: Path) -> None:
    found = with_baselines(specs('quants = ["rtn:3", "rtn:2"]\ntasks = ["t", "u"]', tmp_path))
    assert [spec.quant.split(",")[0] for spec in found] == ["none"] * 2 + ["rtn:3"] * 2 + ["rtn:2"] * 2
    with_none = with_baselines(specs('quants = ["none", "rtn:3"]\ntasks = ["t"]', tmp_path))
    assert [spec.quant.split(",")[0] for spec in with_none] == ["none", "rtn:3"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tasks = [", "study.toml is no TOML"),
        ("models = ['a']", r'tasks is missing: give a list, as in tasks = \["tiny-python"\]'),
        ("tasks = ['t']\nquant = ['none']", "quant: Extra inputs are not permitted; known: .*quants"),
        ("tasks = 't'", "tasks: Input should be a valid list"),
        ("tasks = ['t']\nsamples = 0", "samples: it must be a whole number from 1 to 100000, not 0"),
        ("tasks = ['t']\n[[exclude]]\nmodels = 'a'", "exclude.0.models: Extra inputs"),
    ],
)
def test_mistakes_are_one_line(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=complaint) as error:
        specs(text, tmp_path)
    assert "\n" not in str(error.value)


def test_an_unknown_quantizer_is_found_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="int8-dynmic"):
        specs('quants = ["int8-dynmic"]\ntasks = ["t"]', tmp_path)
    with pytest.raises(StudyError, match=r"nowhere\.toml cannot be read"):
        read_study(tmp_path / "nowhere.toml")


def planned(wanted: list[RunSpec]) -> list[PlannedJob]:
    return list(plan([Job(spec) for spec in with_baselines(wanted)]))


def grid(model: Path, tmp_path: Path, tasks: str = '"warmup-python"') -> list[RunSpec]:
    text = f'models = ["{model}"]\nquants = ["none", "rtn:2"]\ntasks = [{tasks}]\nlimit = 2\nsamples = 2\nmax_new_tokens = 20'
    return specs(text, tmp_path)


def test_a_failed_run_is_reported_and_the_rest_goes_on(random_llama: Path, tmp_path: Path) -> None:
    attempts = list(sweep(grid(random_llama, tmp_path, '"no-such-task", "warmup-python"')))
    assert [bool(attempt.error) for attempt in attempts] == [True, False, True, False]
    assert "unknown task 'no-such-task'" in attempts[0].error
    document = attempts[-1].result.document
    assert document["baseline"]["n_pairs"] == 4


def test_started_again_it_makes_only_what_is_missing(
    random_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = grid(random_llama, tmp_path)
    assert [each.done for each in planned(wanted)] == [False, False]
    first = list(sweep(wanted[:1]))
    assert [each.done for each in planned(wanted)] == [True, False]
    list(sweep(wanted))
    assert [each.done for each in planned(wanted)] == [True, True]
    monkeypatch.setattr(store, "load_model", lambda *_: pytest.fail("loaded a model"))
    again = list(sweep(wanted))
    assert [each.error for each in again] == ["", ""]
    assert again[0].result.folder == first[0].result.folder


def test_a_quantized_model_is_made_once(random_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for the runs that share it; and once for all processes, where it took long."""
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    wanted = [spec for spec in grid(random_llama, tmp_path) if spec.quant != "none"]
    loads = []
    real = store.load_model
    monkeypatch.setattr(store, "load_model", lambda *given, **options: loads.append(given) or real(*given, **options))
    models, model = Models(cached_from_s=0.0), resolve(bind_model(wanted[0].model_spec))
    one, same = models.get(model), models.get(model)
    assert one is same and len(loads) == 1
    other = Models(cached_from_s=0.0).get(model)
    assert len(loads) == 1
    for name, weight in one.loaded.model.state_dict().items():
        assert weight.equal(other.loaded.model.state_dict()[name])
    (folder,) = quantized_dir().iterdir()
    assert json.loads((folder / "about.json").read_text())["quant"] == wanted[0].quant
    assert Models().get(model).loaded.model is not one.loaded.model and len(loads) == 1


@pytest.mark.long
def test_a_study_from_the_command_line(cli: Cli, random_llama: Path, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(
        f'models = ["{random_llama}"]\nquants = ["rtn:2"]\ntasks = ["warmup-python", "humaneval"]\n'
        "limit = 1\nsamples = 1\nmax_new_tokens = 5"
    )
    (tmp_path / "no-data").mkdir()
    command = ("study", file, "--output", tmp_path / "runs", "--data-dir", tmp_path / "no-data")
    dry = cli(*command, "--dry-run")
    assert dry.returncode == 1 and "2 of 4 jobs to do" in dry.stdout and not (tmp_path / "runs").exists()
    alike, _, header, *_ = dry.stdout.splitlines()
    assert alike == f"model {random_llama}, seed 0" and header.split() == ["quant", "task", "state"]
    done = cli(*command, "--json")
    assert done.returncode == 1, done.stderr
    documents = json.loads(done.stdout)
    assert ["error" in document for document in documents] == [False, True, False, True]
    table = cli(*command)
    assert "failed" in table.stdout and "warmup-python" in table.stdout and "already done" in table.stderr


def test_the_studies_that_come_along_are_sound(tmp_path: Path) -> None:
    for file in sorted(REPOSITORY.glob("examples/studies/**/*.toml")):
        study = read_study(file)
        assert study.specs(tmp_path) or study.measurements()


def test_the_cache_is_listed_and_removed(cli: Cli, tmp_path: Path) -> None:
    entry = tmp_path / "cache/quantized/0123"
    entry.mkdir(parents=True)
    (entry / "about.json").write_text('{"quant": "rtn:2", "model": "/m/one abc", "seconds": 12.5}')
    (tmp_path / "cache/other").write_text("not ours")
    listed = cli("cache", "ls", QHARNESS_CACHE_DIR=str(tmp_path / "cache"))
    assert "rtn:2 of /m/one, 12.5 s" in listed.stdout
    removed = cli("cache", "rm", QHARNESS_CACHE_DIR=str(tmp_path / "cache"))
    assert "removed 1 entries" in removed.stdout
    assert not entry.exists() and (tmp_path / "cache/other").exists()


def test_what_a_file_may_say_follows_from_the_tables(tmp_path: Path) -> None:
    """Of axes, lists and patterns; of backends, the names."""
    for axis in AXES:
        for place, known in ((f"{axis.list_name} = 1.5", "list"), (f"[[exclude]]\n{axis.name} = 1.5", "")):
            (tmp_path / "study.toml").write_text(f"tasks = ['t']\n{place}" if axis.name != "task" else place)
            with pytest.raises(StudyError, match=f"{axis.name}.*{known}"):
                read_study(tmp_path / "study.toml")
    for name in BACKENDS:
        assert {spec.backend for spec in specs(f'tasks = ["t"]\nbackend = "{name}"', tmp_path)} == {name}
    *names, last = map(repr, BACKENDS)
    with pytest.raises(StudyError, match=f"backend: Input should be {', '.join(names)} or {last}"):
        specs('tasks = ["t"]\nbackend = "x"', tmp_path)
