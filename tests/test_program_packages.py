"""Programs see the standard library, and of the installed packages those that they ask for."""

from __future__ import annotations

import dataclasses
import gzip
import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qharness import (
    Limits,
    MissingDependencyError,
    PluginError,
    Program,
    QHarnessError,
    RunSpec,
    Status,
    execute_programs,
    run,
    score,
)
from qharness.cli.doctor import _task_packages
from qharness.cli.listing import ListedKind, _offers
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.evaluate.run.run_folder import read_run
from qharness.execution import choose_isolation, run_programs, sandbox
from qharness.execution.toolchains import find_toolchain
from qharness.execution.verdicts import verdict_key
from qharness.plugins.languages import Java, Python
from qharness.plugins.languages.python_packages import find_packages
from qharness.registry import get_registry
from tests.conftest import install_plugin

ELSEWHERE = "numpy", "pip", "setuptools", "yaml", "pytest", "qharness"
NO_PACKAGES = f"""
import importlib.util
seen = [name for name in {ELSEWHERE!r} if importlib.util.find_spec(name)]
assert not seen, seen
"""
NUMPY = "import numpy as np\nassert np.linalg.inv(np.eye(2) * 2).tolist() == [[0.5, 0], [0, 0.5]]"


@pytest.mark.parametrize("isolation", [choose_isolation(), sandbox.NONE], ids=lambda each: each.name)
def test_the_standard_library_alone(isolation: sandbox.Isolation) -> None:
    """Whatever is installed where: beside the interpreter, for all of Debian's, or for this user."""
    (outcome,) = run_programs([Program("python", NO_PACKAGES)], get_registry().language, isolation)
    assert outcome.passed, outcome


def test_interpreters_that_a_program_starts_see_no_packages_either() -> None:
    source = f"""
import glob, subprocess, sys
for python in {{sys.executable, "/usr/bin/python3", *glob.glob("/usr/local/bin/python3")}}:
    try: done = subprocess.run([python, "-c", {NO_PACKAGES!r}], capture_output=True, text=True)
    except FileNotFoundError: continue
    assert done.returncode == 0, (python, done.stderr)
for pattern in ("site-packages", "dist-packages"):
    for root in ("/usr", "/usr/local", sys.base_prefix):
        assert not [f for d in glob.glob(f"{{root}}/lib*/python*/{{pattern}}") for f in glob.glob(d + "/*")]
"""
    (outcome,) = execute_programs("python", [source])
    assert outcome.passed, outcome


@pytest.mark.parametrize("isolation", [choose_isolation(), sandbox.NONE], ids=lambda each: each.name)
def test_packages_that_are_asked_for_and_what_they_depend_on(isolation: sandbox.Isolation) -> None:
    """jinja2 needs markupsafe; pluggy, which is installed beside them, is not to be seen."""
    source = "import jinja2, markupsafe\nassert jinja2.Template('{{ x }}').render(x=1) == '1'\n"
    programs = [
        Program("python", source, packages=("jinja2",)),
        Program("python", source + "import pluggy", packages=("jinja2",)),
        Program("python", source),
        Program("python", NUMPY, packages=("numpy>=2",)),
        Program("python", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {NUMPY!r}], check=True)", packages=("numpy",)),
    ]  # fmt: skip
    outcomes = run_programs(programs, get_registry().language, isolation)
    assert [o.status for o in outcomes] == [Status.PASSED, Status.ERROR, Status.ERROR, Status.PASSED, Status.PASSED], (
        outcomes
    )
    assert "No module named 'pluggy'" in outcomes[1].detail and "No module named 'jinja2'" in outcomes[2].detail


def test_the_files_of_other_distributions_are_not_there() -> None:
    source = f"import os\nassert os.listdir({str(Path(np.__file__).parents[1])!r}) and 0, os.listdir({str(Path(np.__file__).parents[1])!r})"
    (outcome,) = execute_programs("python", [source], packages=["numpy"])
    assert outcome.status is Status.FAILED
    assert all(name.startswith("numpy") for name in json.loads(outcome.detail.partition(": ")[2].replace("'", '"')))


def test_what_a_program_replaces_in_a_package_is_put_back() -> None:
    solution = "import numpy\ndef f(): return 1\nnumpy.allclose = lambda *a, **k: True"
    tests = ["import numpy as np\nassert np.allclose(f(), 2)", "import numpy as np\nassert np.allclose(f(), 1)"]
    outcomes = execute_programs("python", [solution] * 2, tests=tests, packages=["numpy"])
    assert [outcome.status for outcome in outcomes] == [Status.FAILED, Status.PASSED]


def test_a_package_has_no_ctypes_to_pass_on() -> None:
    source = (
        "import numpy.ctypeslib, sys\nassert not [m for n, m in sys.modules.items() if m and 'ctypes' == n.strip('_')]"
    )
    outcomes = execute_programs("python", [source, NUMPY + "\nimport ctypes"], packages=["numpy"])
    assert outcomes[0].passed and outcomes[1].status is Status.ERROR, outcomes


@pytest.mark.parametrize(
    ("requirement", "kind", "said"),
    [
        ("no-such-package", MissingDependencyError, "no-such-package .* is needed: pip install no-such-package$"),
        ("numpy<1", MissingDependencyError, "numpy<1 .* is needed: pip install 'numpy<1'$"),
        ("numpy >", QHarnessError, "'numpy >' is no requirement such as numpy"),
    ],
)
def test_what_cannot_be_had_is_said_in_a_line(requirement: str, kind: type[QHarnessError], said: str) -> None:
    with pytest.raises(kind, match=said) as raised:
        execute_programs("python", ["x = 1"], packages=[requirement])
    assert "\n" not in str(raised.value)


def test_a_dependency_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path, "needy", ["needy.py"], "Requires-Dist: lost-thing>=3\nRequires-Dist: other; extra == 'x'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"lost-thing>=3 .*: pip install 'lost-thing>=3'"):
        find_packages(("needy",))


def test_an_editable_install_is_refused_and_a_shared_folder_is_shared_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, "editable-one", ["__editable___editable_one_finder.py", "__editable__.editable_one.pth"])
    distribution(tmp_path, "space-a", ["space/a.py", "space/own/__init__.py", "space/own/deep/x.py"])
    distribution(tmp_path, "space-b", ["space/b.py"])
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(QHarnessError, match="editable"):
        find_packages(("editable-one",))
    source = "import space.a, space.own.deep.x\ntry: import space.b\nexcept ImportError: pass\nelse: assert False"
    (outcome,) = execute_programs("python", [source], packages=["space-a"])
    assert outcome.passed, outcome


def distribution(folder: Path, name: str, files: list[str], needs: str = "") -> None:
    """An installed distribution of empty files."""
    information = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("")
    (information / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_packages_may_stand_beside_the_interpreter_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no virtual environment, they are in a folder that is otherwise hidden."""
    beside = Path(sysconfig.get_path("purelib", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}))
    if not list(beside.glob("pip-*.dist-info")):
        pytest.skip(f"needs pip in {beside}")
    monkeypatch.syspath_prepend(str(beside))
    find_packages.cache_clear()
    source = (
        f"import os, pip\nassert os.path.realpath(pip.__file__).startswith({str(beside.resolve())!r}), pip.__file__\n"
    )
    none_else = f"assert all(name.startswith('pip') for name in os.listdir({str(beside)!r}))"
    try:
        (outcome,) = execute_programs("python", [source + none_else], packages=["pip"])
    finally:
        find_packages.cache_clear()
    assert outcome.passed, outcome


def test_a_language_without_packages_says_so() -> None:
    with pytest.raises(QHarnessError, match="programs in java cannot have packages, and numpy is asked for"):
        find_toolchain(Java(), ("numpy",))


def test_the_versions_are_in_the_verdicts_key() -> None:
    program, isolation = Program("python", NUMPY, packages=("numpy",)), choose_isolation()
    plain, found = find_toolchain(Python()), find_toolchain(Python(), ("numpy",))
    assert found.packages == (("numpy", np.__version__),)
    other = dataclasses.replace(found, packages=(("numpy", "2.0.0"),))
    keys = {verdict_key(program, each, Limits(), isolation) for each in (plain, found, other)}
    keys.add(verdict_key(dataclasses.replace(program, packages=()), plain, Limits(), isolation))
    assert len(keys) == 4


# ---------------------------------------------------------------------------------------------------- a task that asks

PLUGIN = """
from pathlib import Path
from qharness import TaskSource, hookimpl, test_split

def dataset(packages=(), **metadata):
    row = {"task_id": "one", "prompt": "def f(x):\\n", "language": "python"}
    return test_split([{**row, "tests": "import numpy as np\\nassert np.allclose(f(2), 4)"}], packages)

def forgets(**metadata):
    return dataset()

@hookimpl
def qharness_tasks():
    return [TaskSource(Path(__file__).parent / "yamls")]
"""
YAML = """
task: {name}
custom_dataset: !function asks_plugin.{dataset}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{tests}}}}"
generation_kwargs: {{do_sample: false, max_gen_toks: 4, until: []}}
filter_list:
  - name: verdicts
    filter:
      - function: custom
        filter_fn: !function qharness.filters.run_programs
metric_list:
  - metric: !function qharness.filters.pass_at_k
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1
  packages: {packages}
"""
TASKS = {"asks": ("dataset", "[numpy]"), "lost": ("dataset", "[no-such-thing]"), "forgets": ("forgets", "[numpy]")}


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A plugin with a task that asks for numpy, one for what is not there, and one that forgets to pass it on."""
    (tmp_path / "yamls").mkdir()
    for name, (dataset, packages) in TASKS.items():
        (tmp_path / f"yamls/{name}.yaml").write_text(YAML.format(name=name, dataset=dataset, packages=packages))
    monkeypatch.syspath_prepend(install_plugin(tmp_path, "asks_plugin", PLUGIN))
    get_registry.cache_clear()
    yield tmp_path / "yamls"
    get_registry.cache_clear()
    sys.modules.pop("asks_plugin", None)


def test_a_task_asks_for_packages_and_a_run_records_them(tasks: Path, tmp_path: Path, random_llama: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    samples.write_text(json.dumps({"task_id": "one", "completion": "    return x + 2\n"}) + "\n")
    assert score("asks", samples).document["passed"] == 1
    result = run(RunSpec(task="asks", model=str(random_llama), output=tmp_path / "runs"))
    assert result.document["versions"]["packages"] == {"numpy": np.__version__}
    assert read_run(result.folder)


def test_what_is_missing_is_said_before_anything_is_computed(tasks: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="pip install no-such-thing"):
        run(RunSpec(task="lost", model="tinycoder", output=tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_documents_that_lack_what_their_yaml_declares_are_an_error(tasks: Path) -> None:
    with pytest.raises(PluginError, match=r"'forgets'.*numpy.*test_split"):
        load_task("forgets")


def test_packages_that_are_no_list_are_an_error(tasks: Path) -> None:
    (tasks / "asks.yaml").write_text(YAML.format(name="asks", dataset="dataset", packages="numpy"))
    with pytest.raises(PluginError, match=r"asks\.yaml .*such as \[numpy\]"):
        get_registry()


def test_doctor_and_list_show_them(tasks: Path) -> None:
    checks = {check.name: check for check in _task_packages(get_registry())}
    assert (checks["packages of asks"].ok, checks["packages of asks"].found) == (True, f"numpy {np.__version__}")
    assert (checks["packages of lost"].ok, checks["packages of lost"].fix) == (False, "pip install no-such-thing")
    listed = {row.name: row for row in _offers(get_registry())[ListedKind.TASKS]}
    assert listed["asks"].packages == ("numpy",) and listed["humaneval"].packages == ()


def test_plain_lm_eval_loads_the_yaml(tasks: Path) -> None:
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    task = manager.load(["asks"])["tasks"]["asks"]
    (doc,) = task.eval_docs
    assert doc["packages"] == ["numpy"]
    (filtering,) = task._filters
    assert filtering.filters[0]().apply([["    return x + 2\n"]], [doc])[0][0]["passed"]


# ------------------------------------------------------------------------------------------------------------ EvalPlus


@pytest.mark.slow
def test_evalplus_humaneval_references_pass_with_numpy(data_dir: Path) -> None:
    """All whose tests are right: 32's give `_poly` its arguments the wrong way round, so that no solution passes."""
    with gzip.open(data_dir / "evalplus/HumanEvalPlus-OriginFmt.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        row["test"] = row["test"].replace("_poly(*candidate(*inp), inp)", "_poly(*inp, candidate(*inp))")
    assert len(rows) == 164
    sources = [row["prompt"] + row["canonical_solution"] for row in rows]
    tests = [f"{row['test']}\ncheck({row['entry_point']})\n" for row in rows]
    limits = Limits(cpu_seconds=60, wall_seconds=120.0)
    outcomes = execute_programs("python", sources, tests=tests, packages=["numpy"], limits=limits)
    assert {row["task_id"]: o for row, o in zip(rows, outcomes, strict=True) if not o.passed} == {}
