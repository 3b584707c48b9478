"""A corpus of hostile programs: each ends as it must, and the host is as it was.

It runs in a process of its own, as this user and, where that is root, as an ordinary one as well. This process adopts
whatever that process leaves behind, so that nothing of it goes unseen.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from qharness.execution.toolchains import find_toolchain
from qharness.registry import get_registry
from tests.conftest import REPOSITORY, copy_for_everyone, system_python
from tests.hostile import BROKEN_IN, SECRET, Hostile, Places, corpus

CORPUS = corpus()
USERS = ["this user", "an ordinary user"]
UID = 50_000 + os.getpid() % 10_000
"""A user that nobody is and nothing belongs to."""
_PR_SET_CHILD_SUBREAPER = 36
LONGEST = 40.0
"""Seconds of wall time, in which a busy machine has given a program its second or two of CPU time."""


@dataclass(frozen=True)
class Report:
    """What came of a run: (status, detail, seconds) by name, all it printed, and what it did to the host."""

    outcomes: dict[str, tuple[str, str, float]]
    printed: str
    canary: str
    zombies: list[str]
    strays: list[str]
    connections: int
    left: list[str]
    changed: list[str]


@dataclass(frozen=True)
class User:
    """Who runs the corpus: an id, the process's options, the interpreter, the package's folder and the home."""

    uid: int
    options: dict[str, object]
    python: Path
    package: Path
    home: Path


@contextmanager
def as_this_user(tmp_path: Path) -> Iterator[User]:
    yield User(os.getuid(), {}, Path(sys.executable), REPOSITORY, Path.home())


@contextmanager
def as_an_ordinary_user(tmp_path: Path) -> Iterator[User]:
    """The package's files are this user's own, so that only the sandbox keeps programs from writing to them."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    home = Path(tempfile.mkdtemp(dir="/var/tmp"))  # in /tmp it would be hidden anyway
    os.chown(home, UID, UID)
    python = system_python()
    with copy_for_everyone() as package:
        for path in (package, *package.rglob("*")):
            os.chown(path, UID, UID)
        try:
            yield User(UID, {"user": UID, "group": UID, "extra_groups": []}, python, package, home)
        finally:
            shutil.rmtree(home)


WAYS: dict[str, Callable[[Path], object]] = dict(zip(USERS, (as_this_user, as_an_ordinary_user), strict=True))


@contextmanager
def listening(abstract: str) -> Iterator[tuple[int, list[socket.socket]]]:
    """(port, sockets): listeners on loopback and at an abstract address, which nothing may reach."""
    inet = socket.create_server(("127.0.0.1", 0))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(inet.getsockname())
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(f"\0{abstract}")
    unix.listen()
    sockets = [inet, datagrams, unix]
    try:
        yield inet.getsockname()[1], sockets
    finally:
        for each in sockets:
            each.close()


def reached(sockets: list[socket.socket]) -> int:
    """How many of the listeners something came to."""
    count = 0
    for each in sockets:
        each.setblocking(False)
        try:
            _ = each.recv(1) if each.type == socket.SOCK_DGRAM else each.accept()
        except BlockingIOError:
            continue
        count += 1
    return count


@contextmanager
def adopting() -> Iterator[list[str]]:
    """Collect the processes that those started inside leave behind; none may live on."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = set(psutil.Process().children())
    strays: list[str] = []
    try:
        yield strays
        deadline = time.monotonic() + 5
        while (living := _alive(before)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in living:
            with contextlib.suppress(psutil.NoSuchProcess):
                strays.append(" ".join(process.cmdline()))
        for process in living:  # not before all have been looked at: the end of one may be that of another
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        deadline = time.monotonic() + 5
        while _alive(before) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _alive(before: set[psutil.Process]) -> list[psutil.Process]:
    """Our new descendants that live; of those that have ended, our own children are reaped."""
    living = []
    for process in set(psutil.Process().children(recursive=True)) - before:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                process.wait(0)
            else:
                living.append(process)
        except (psutil.NoSuchProcess, psutil.TimeoutExpired):
            continue  # ended meanwhile
    return living


def snapshot(user: User, places: Places) -> dict[str, tuple[int, int, int]]:
    """(size, time of change, mode) of the files a program might want to change."""
    folders = [user.package / name for name in ("qharness", "plugins", "tasks", "tests")]
    files = [f for top in (*folders, Path(places.jdk)) for f in top.rglob("*") if "__pycache__" not in f.parts]
    for top in (Path(places.site), Path(sysconfig.get_path("stdlib")), user.package):
        files += [f for f in top.iterdir() if f.name != "__pycache__" and not f.is_dir()]
    stats = {str(f): f.lstat() for f in files}
    return {name: (stat.st_size, stat.st_mtime_ns, stat.st_mode) for name, stat in stats.items()}


def leftovers(mark: str) -> list[str]:
    """Files with the programs' mark, files of the ordinary user's, and System V objects with the programs' key."""
    found = []
    for top in ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/usr", "/etc", str(Path.home())):
        for path in Path(top).iterdir():
            if mark in path.name or path.lstat().st_uid == UID:
                found.append(str(path))
    for kind in ("shm", "sem", "msg"):
        rows = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()
        found += [f"{kind} {row}" for row in rows if row.split()[0] == str(0x51484152)]
    return found


ROOT_IS_SLOW = [pytest.mark.slow] if os.geteuid() == 0 else []  # an ordinary user runs the same then


@pytest.fixture(scope="module", params=[pytest.param(USERS[0], marks=ROOT_IS_SLOW), USERS[1]])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """One run of the whole corpus."""
    tmp_path = tmp_path_factory.mktemp("hostile")
    canary, mark = SECRET + secrets.token_hex(16), f"qharness-{secrets.token_hex(6)}"
    with ExitStack() as stack:
        user = stack.enter_context(WAYS[request.param](tmp_path))  # type: ignore[arg-type, var-annotated]
        port, sockets = stack.enter_context(listening(f"{mark}-listener"))
        home_file = user.home / f".qharness-hostile-canary-{os.getpid()}"
        home_file.write_text(canary)
        home_file.chmod(0o644)
        stack.callback(home_file.unlink)
        scratch = user.home / f".hostile-{secrets.token_hex(6)}"
        scratch.mkdir(mode=0o755)
        os.chown(scratch, user.uid, user.uid)
        stack.callback(shutil.rmtree, scratch)
        places = Places(
            port=port,
            abstract=f"{mark}-listener",
            home_file=str(home_file),
            repository=str(user.package),
            site=sysconfig.get_path("purelib"),
            jdk=str(Path(shutil.which("javac") or "/usr/bin/javac").resolve().parents[1]),
            mark=mark,
            cpus=len(os.sched_getaffinity(0)),
            nice=os.nice(0),
        )
        return watched(user, places, scratch, canary, sockets)


def watched(user: User, places: Places, scratch: Path, canary: str, sockets: list[socket.socket]) -> Report:
    """Run the corpus and see what becomes of the host."""
    for name in ("tmp", "cache"):
        (scratch / name).mkdir()
        os.chown(scratch / name, user.uid, user.uid)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(user.home),
        "PYTHONPATH": str(user.package),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(scratch / "tmp"),
        "QHARNESS_CACHE_DIR": str(scratch / "cache"),
        "QHARNESS_CANARY": canary,
        "AWS_SECRET_ACCESS_KEY": canary,
    }
    before = snapshot(user, places)
    known = leftovers(places.mark)
    command = [user.python, "-m", "tests.hostile", json.dumps(dataclasses.asdict(places))]
    with adopting() as strays:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd="/", env=environment, timeout=400, **user.options
        )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    after = snapshot(user, places)
    return Report(
        outcomes={name: tuple(outcome) for name, outcome in document["outcomes"].items()},
        printed=done.stdout + done.stderr,
        canary=canary,
        zombies=document["zombies"],
        strays=strays,
        connections=reached(sockets),
        left=[*document["left"], *map(str, (scratch / "tmp").iterdir()), *set(leftovers(places.mark)) - set(known)],
        changed=[name for name in {**before, **after} if before.get(name) != after.get(name)],
    )


@pytest.mark.parametrize("program", CORPUS, ids=lambda program: program.name)
def test_ends_as_it_must(report: Report, program: Hostile) -> None:
    if program.name not in report.outcomes:
        find_toolchain(get_registry().language(program.language))  # which says what is missing
    status, detail, seconds = report.outcomes[program.name]
    assert status in program.ends, detail
    assert BROKEN_IN not in detail
    assert seconds <= LONGEST


def test_right_programs_between_them_pass(report: Report) -> None:
    bystanders = {name: outcome for name, outcome in report.outcomes.items() if "bystander" in name}
    assert len(bystanders) > len(report.outcomes) / 8
    assert {name: outcome for name, outcome in bystanders.items() if outcome[0] != "passed"} == {}


def test_no_secret_is_seen(report: Report) -> None:
    assert report.canary not in report.printed


def test_nothing_listening_is_reached(report: Report) -> None:
    assert report.connections == 0


def test_no_process_stays(report: Report) -> None:
    assert report.strays == [] and report.zombies == []


def test_no_file_stays_or_changes(report: Report) -> None:
    assert report.left == [] and report.changed == []


def test_it_is_a_corpus() -> None:
    names = [program.name for program in CORPUS]
    assert len(set(names)) == len(names)
    assert sum(program.language == "python" for program in CORPUS) >= 30
    assert sum(program.language == "java" for program in CORPUS) >= 18


def test_the_watch_sees_what_stays() -> None:
    """The checks on the host are able to fail."""
    mark = f"qharness-{secrets.token_hex(6)}"
    with adopting() as strays, listening(mark) as (port, sockets):
        subprocess.run(["sh", "-c", f"setsid sh -c 'sleep 60; : {mark}' & exit 0"], check=True)
        socket.create_connection(("127.0.0.1", port), 1).close()
        assert reached(sockets) == 1
        with tempfile.NamedTemporaryFile(dir="/var/tmp", prefix=mark) as file:
            assert leftovers(mark) == [file.name]
    assert any(mark in stray for stray in strays)
