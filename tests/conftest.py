"""Fixtures: the local mirror of the benchmarks' data, small models, and the command line as a user runs it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
WARMUP = REPOSITORY / "examples/qharness-warmup"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cache of the tests' own: verdicts of other days would hide what has changed since."""
    os.environ["QHARNESS_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The benchmarks' data; skips where there is none."""
    folder = Path(os.environ.get("QHARNESS_TEST_DATA", REPOSITORY.parent / "shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"needs the benchmarks' data: {folder} is missing (QHARNESS_TEST_DATA names another place)")
    return folder


@pytest.fixture(scope="session")
def random_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random Llama on disk."""
    from tests.tiny_models import save_model

    return save_model("llama", tmp_path_factory.mktemp("models") / "random-llama")


@pytest.fixture(scope="session")
def memorized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama that knows most of the warm-up problems' solutions."""
    from qharness_warmup.memorize import train

    folder = tmp_path_factory.mktemp("models") / "memorized"
    train(folder)
    return folder


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `qharness` with these arguments in an empty folder; keyword arguments change the environment."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("qharness")), *map(str, arguments)]
        kept = {k: v for k, v in os.environ.items() if k not in ("QHARNESS_DATA_DIR", "QHARNESS_ALLOW_UNSANDBOXED")}
        offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(elsewhere / "hf")}
        return subprocess.run(
            command, capture_output=True, text=True, cwd=elsewhere, env={**kept, **offline, **environment}, timeout=300
        )

    return run


def install_plugin(folder: Path, name: str, code: str) -> str:
    """A distribution with an entry point in group `qharness`; returns the PYTHONPATH that makes it visible."""
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[qharness]\n{name} = {name}\n")
    (folder / f"{name}.py").write_text(code)
    return str(folder)


@contextmanager
def copy_for_everyone() -> Iterator[Path]:
    """A folder anyone can read, with what executing programs needs: our package, pluggy, yaml and hostile programs."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    leave_out = shutil.ignore_patterns("__pycache__")
    for name in ("pluggy", "yaml"):
        origin = Path(importlib.util.find_spec(name).origin)  # type: ignore[union-attr, arg-type]
        shutil.copytree(origin.parent, folder / name, ignore=leave_out)
    copies = {"qharness": "qharness", "plugins": "qharness/plugins", "tasks": "qharness/tasks"}
    for source, target in {**copies, "tests/hostile": "tests/hostile"}.items():
        shutil.copytree(REPOSITORY / source, folder / target, ignore=leave_out)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def system_python() -> Path:
    """The system's Python: ours may be in root's home, where no other user may read. Skips if it is too old."""
    python = Path("/usr/bin/python3")
    asked = [python, "-c", "import sys; print(sys.version_info >= (3, 11))"]
    if not python.exists() or subprocess.run(asked, capture_output=True, text=True).stdout.strip() != "True":
        pytest.skip("needs a system Python of 3.11 or newer")
    return python
