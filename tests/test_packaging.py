"""The wheel and the editable install, from outside the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.long
@pytest.mark.parametrize("editable", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["wheel", "editable"])
def test_installs_and_lists_every_plugin_and_task(editable: bool, tmp_path: Path) -> None:
    """Without dependencies or build isolation, into an environment that sees this one's packages."""
    source = tmp_path / "source"
    made = shutil.ignore_patterns(".*", "build", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(REPOSITORY, source, ignore=made)  # building must not touch the tree that other tests use
    venv.create(tmp_path / "env", with_pip=True, symlinks=True)
    python = tmp_path / "env/bin/python"
    site = next((tmp_path / "env/lib").glob("python*/site-packages"))
    ours = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    visible = "".join(f"{path}\n" for path in (ours,))
    pip = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, *(["-e"] if editable else []), source], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ours)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (site / "host.pth").write_text(visible)
    listed = subprocess.run(
        [tmp_path / "env/bin/qharness", "list", "--json"], capture_output=True, text=True, cwd="/", check=True
    )
    document = json.loads(listed.stdout)
    assert {"none", "int8-dynamic"} <= {row["name"] for row in document["quantizers"]}
    assert {"python", "java"} <= {row["name"] for row in document["languages"]}
    home = str(source if editable else site)
    for task in ("humaneval", "mceval-python", "mceval-java", "mbpp", "multiple-java", "tiny-java"):
        path = next(row["path"] for row in document["tasks"] if row["name"] == task)
        assert path.startswith(home) and Path(path).is_file(), path
    code = (
        "from qharness.registry import get_registry\n"
        "from qharness.plugins.languages import java, python\n"
        "assert all(p.is_file() for p in (*java._SOURCES, *python._HARNESS))\n"
        "import qharness, importlib.metadata as m\n"
        "print(qharness.__file__)\n"
        "from qharness.models.checkpoint import BUNDLED\n"
        "assert (BUNDLED['tinycoder'] / 'model.safetensors').is_file()\n"
        "from qharness.evaluate.run.lm_eval_bridge import load_task\n"
        "assert len(load_task('tiny-java').tasks['tiny-java'].eval_docs) == 100\n"
        "assert 'qharness' in {e.name for e in m.entry_points(group='lm_eval.models')}\n"
    )
    where = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd="/")
    assert where.returncode == 0, where.stderr
    assert where.stdout.startswith(home)


def test_nothing_shadows_the_mapped_packages() -> None:
    assert not (REPOSITORY / "qharness/plugins").exists()
    assert not (REPOSITORY / "qharness/tasks").exists()


def test_every_package_is_declared() -> None:
    import tomllib

    declared = set(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = set()
    for root, prefix in (("qharness", ""), ("plugins", "qharness."), ("tasks", "qharness.")):
        for path in (REPOSITORY / root).rglob("__init__.py"):
            found.add(prefix + ".".join(path.parent.relative_to(REPOSITORY).parts))
    assert declared == found
