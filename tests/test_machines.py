"""Studies of several machines at one S3 URL. A machine is a process with folders of its own; the server is moto's."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.s3_server import BUCKET, Break, BreakingProxy, credentials, s3_server
from tests.test_run import lines
from tests.test_scale import keys, kill_tree

pytestmark = pytest.mark.slow
PROBLEMS, SAMPLES = 6, 4


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as found:
        yield found


def storage(port: int) -> Any:
    import s3fs

    settings = {"endpoint_url": credentials(port)["AWS_ENDPOINT_URL"], "key": "somebody", "secret": "something"}
    return s3fs.S3FileSystem(**settings, use_listings_cache=False)


@dataclass(frozen=True)
class Machine:
    """A machine: its folder, in which its cache, its home and its temporary files lie."""

    folder: Path
    port: int

    def start(self, study: Path, url: str) -> subprocess.Popen[bytes]:
        """Begin a study whose lines go to the machine's `said`."""
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        own = {"HOME": "home", "TMPDIR": "tmp", "QHARNESS_CACHE_DIR": "cache", "XDG_CACHE_HOME": "home/.cache"}
        environment = {
            **os.environ,
            **{name: str(self.folder / value) for name, value in own.items()},
            **credentials(self.port),
            **{"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)},
        }
        command = [sys.executable, "-m", "qharness", "study", str(study), "--output", url]
        with (self.folder / "said").open("ab") as said:
            return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=said)

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text()

    def made(self) -> Counter[str]:
        """The names of the run folders that it has made, from its lines."""
        return Counter(re.findall(r"^(?:\[\d+\] )?running .*/(\S+)$", self.said, re.MULTILINE))


def study_file(model: Path, folder: Path, quants: list[str], samples: int = SAMPLES) -> Path:
    """Six runs, of three seeds, or more."""
    path = folder / "study.toml"
    names = ", ".join(f'"{quant}"' for quant in quants)
    path.write_text(
        f'models = ["{model}"]\nquants = [{names}]\ntasks = ["warmup-python"]\nseeds = [0, 1, 2]\n'
        f"samples = {samples}\nbatch_size = 3\nmax_new_tokens = 150\n"
    )
    return path


def run_folders(port: int, url: str, target: Path) -> list[Path]:
    """The storage's run folders, copied; asserts that each is whole, and that no lease is left."""
    files = storage(port)
    root = url.removeprefix("s3://")
    found = [path for path in files.find(root) if "/robustness" not in path]
    assert not [path for path in found if path.rsplit("/", 1)[1].startswith(".")], found
    for path in found:
        place = target / path.removeprefix(root).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        files.get_file(path, str(place))
    folders = sorted(target.iterdir())
    for folder in folders:
        names = {"run.json", "results.json", "samples.jsonl", "journal.jsonl"}
        assert {path.name for path in folder.iterdir()} == names
        assert len(keys(folder)) == len(set(keys(folder))), folder
    return folders


def ended(*processes: subprocess.Popen[bytes]) -> list[int]:
    return [process.wait(600) for process in processes]


def test_two_machines_make_each_run_once(random_llama: Path, port: int, tmp_path: Path) -> None:
    study, url = study_file(random_llama, tmp_path, ["none", "rtn:3"]), f"s3://{BUCKET}/two"
    machines = [Machine(tmp_path / name, port) for name in ("one", "other")]
    begun = time.monotonic()
    assert ended(*[machine.start(study, url) for machine in machines]) == [0, 0], [each.said for each in machines]
    sys.stderr.write(f"{time.monotonic() - begun:.0f} s; runs by machine: {[len(each.made()) for each in machines]}\n")
    folders = run_folders(port, url, tmp_path / "there")
    assert machines[0].made() + machines[1].made() == Counter(folder.name for folder in folders)
    assert len(folders) == 6 and all(len(keys(folder)) == PROBLEMS * SAMPLES for folder in folders)
    assert all(machine.made() for machine in machines)


def test_the_run_of_a_machine_that_died_is_taken_over(random_llama: Path, port: int, tmp_path: Path) -> None:
    """The other machine leaves it for later, and takes it when the lease has run out."""
    study, url = study_file(random_llama, tmp_path, ["none"], samples=20), f"s3://{BUCKET}/died"
    dead, other = (Machine(tmp_path / name, port) for name in ("dead", "other"))
    process, files = dead.start(study, url), storage(port)
    end = time.monotonic() + 120
    while not [path for path in files.find(f"{BUCKET}/died") if path.endswith("/.lease")]:
        assert time.monotonic() < end and process.poll() is None, dead.said
        time.sleep(0.05)
    kill_tree(process)
    begun = time.monotonic()
    assert ended(other.start(study, url)) == [0], other.said
    sys.stderr.write(f"taken over, and the study ended, {time.monotonic() - begun:.0f} s after the machine died\n")
    folders = run_folders(port, url, tmp_path / "there")
    assert len(folders) == 3 and other.made() == Counter(folder.name for folder in folders)
    assert len(re.findall(r"^run 1 of 3: ", other.said, re.MULTILINE)) == 2, other.said  # refused, and later taken


def test_a_connection_that_breaks_ten_times(random_llama: Path, port: int, tmp_path: Path) -> None:
    """In the midst of uploads and downloads; the study ends with the completions of one whose results stay here."""
    rng = random.Random(0)
    outages = [rng.uniform(0.2, 6.0) for _ in range(8)] + [30.0, 45.0]  # the last two outlast s3fs's own patience
    breaks = [Break(rng.randrange(2_000, 30_000), seconds) for seconds in rng.sample(outages, 10)]
    proxy = BreakingProxy(port, breaks)
    study, url = study_file(random_llama, tmp_path, ["none", "rtn:3"], samples=20), f"s3://{BUCKET}/broken"
    machine = Machine(tmp_path / "machine", proxy.port)
    begun = time.monotonic()
    assert ended(machine.start(study, url)) == [0], machine.said
    sys.stderr.write(f"{time.monotonic() - begun:.0f} s; cut {proxy.broken}, refused {proxy.refused}\n{machine.said}")
    proxy.close()
    assert "trying again" in machine.said and "Traceback" not in machine.said
    assert len(proxy.broken) == 10 and sum(proxy.broken) >= 10
    folders = run_folders(port, url, tmp_path / "there")
    assert machine.made() == Counter(folder.name for folder in folders)
    assert ended(machine.start(study, str(tmp_path / "whole"))) == [0]
    assert [folder.name for folder in folders] == sorted(path.name for path in (tmp_path / "whole").iterdir())
    for folder in folders:
        assert lines(folder / "samples.jsonl") == lines(tmp_path / "whole" / folder.name / "samples.jsonl")
