"""Leases between machines that share only storage: a real S3 server's conditional writes, and other storage without."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from qharness import QHarnessError
from qharness.errors import BusyError
from qharness.storage import leases
from qharness.storage.lease_objects import ConditionalStore, LeaseStore, ReadBackStore, lease_store
from qharness.storage.leases import LeaseTerms, leased
from qharness.storage.object_store import ObjectStore, may_pass
from tests.s3_server import credentials, s3_server

PATH, WHAT = "run/.lease", "the run"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with s3_server() as port, pytest.MonkeyPatch.context() as patch:
        for name, value in credentials(port).items():
            patch.setenv(name, value)
        yield "s3://there/study"


@pytest.fixture(params=["s3", "memory"])
def objects(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ObjectStore:
    """A folder in storage that knows conditional writes, and in one that does not."""
    monkeypatch.setattr("qharness.storage.lease_objects.SETTLE_S", 0.05)
    monkeypatch.setattr(leases, "_POLL_S", 0.05)
    if request.param == "memory":
        return ObjectStore(f"memory://study/{tmp_path.name}")
    return ObjectStore(f"{request.getfixturevalue('s3_url')}/{tmp_path.name}")


def store_of(objects: ObjectStore) -> tuple[LeaseStore, str]:
    files, root = objects.opened()
    store = lease_store(files, root)
    assert isinstance(store, ConditionalStore if "s3" in objects.url else ReadBackStore)
    return store, f"{root}/{PATH}"


def test_a_lease_keeps_other_machines_out_and_goes_with_its_holder(objects: ObjectStore) -> None:
    store, path = store_of(objects)
    with leased(objects, PATH, WHAT, "here", wait=False):
        found = store.read(path)
        assert found and found.age_s < 5 and LeaseTerms.read(found.content).owner == "here"
        with (
            pytest.raises(BusyError, match=r"^the run is being made by process \d+ on \S+$"),
            leased(objects, PATH, WHAT, "there", wait=False),
        ):
            pytest.fail("two machines hold one lease")
    assert store.read(path) is None
    with leased(objects, PATH, WHAT, "there", wait=False):
        assert store.read(path)


def test_who_waits_gets_it_when_the_holder_lets_go(objects: ObjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    order = []

    def second() -> None:
        with leased(objects, PATH, WHAT, "there", wait=True):
            order.append("there")

    with leased(objects, PATH, WHAT, "here", wait=True):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.3)
        order.append("here")
    waiting.join(10)
    assert order == ["here", "there"]
    assert capsys.readouterr().err.count("the run is being made by process") == 1


def test_of_many_at_once_one_gets_it(objects: ObjectStore) -> None:
    """Ten machines that each find no lease, and ten that each find one that has run out."""
    store, path = store_of(objects)
    for version_of in (lambda: None, lambda: store.create(path, b"of a machine that died")):
        version = version_of()
        barrier = threading.Barrier(10)

        def attempt(number: int, version: str | None = version, barrier: threading.Barrier = barrier) -> str | None:
            content = f"of machine {number}".encode()
            barrier.wait()
            return store.create(path, content) if version is None else store.replace(path, content, version)

        with ThreadPoolExecutor(10) as pool:
            got = [each for each in pool.map(attempt, range(10)) if each is not None]
        found = store.read(path)
        assert found and got == [found.version]
        store.remove(path, found.version)


def test_what_has_changed_is_neither_replaced_nor_removed(objects: ObjectStore) -> None:
    store, path = store_of(objects)
    first = store.create(path, b"one")
    assert first and store.create(path, b"two") is None
    second = store.replace(path, b"two", first)
    assert second and store.replace(path, b"three", first) is None
    store.remove(path, first)
    found = store.read(path)
    assert found and found.content == b"two" and found.version == second
    store.remove(path, second)
    assert store.read(path) is None and store.replace(path, b"four", second) is None
    store.remove(path, second)


@pytest.mark.slow
def test_a_lease_is_renewed_while_it_is_held_and_runs_out_when_it_is_not(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LASTS_S", 2.0)
    monkeypatch.setattr(leases, "_GRACE_S", 1.0)
    store, path = store_of(objects)
    with leased(objects, PATH, WHAT, "here", wait=False):
        first, end = store.read(path), time.monotonic() + 5
        while time.monotonic() < end:
            with pytest.raises(BusyError), leased(objects, PATH, WHAT, "there", wait=False):
                pytest.fail("taken over while it is renewed")
            time.sleep(0.5)
        now = store.read(path)
        assert first and now and now.version != first.version
    assert store.create(path, LeaseTerms.of("a machine that died").content)
    begun = time.monotonic()
    with leased(objects, PATH, WHAT, "here", wait=True):
        assert 1 < time.monotonic() - begun < 10


def test_what_a_dead_process_of_this_machine_left_is_free_at_once(objects: ObjectStore) -> None:
    store, path = store_of(objects)
    assert store.create(path, LeaseTerms.of("here").content)
    with leased(objects, PATH, WHAT, "here", wait=False):
        pass
    assert store.create(path, b"\xff no JSON")
    with pytest.raises(BusyError, match="the run is being made by process 0 on another machine"):
        leased(objects, PATH, WHAT, "here", wait=False).__enter__()


def test_a_lease_that_is_taken_over_is_known_to_be_lost(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a pause of the whole machine: the note says who has it, and the other's lease stays."""
    monkeypatch.setattr(leases, "LASTS_S", 0.4)
    store, path = store_of(objects)
    with leased(objects, PATH, WHAT, "here", wait=False) as lease:
        while True:
            found = store.read(path)
            assert found
            if store.replace(path, LeaseTerms.of("there").content, found.version):
                break
        end = time.monotonic() + 10
        while not lease.lost:
            assert time.monotonic() < end
            time.sleep(0.05)
    found = store.read(path)
    assert found and LeaseTerms.read(found.content).owner == "there"
    assert "the run was taken over by process" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["create", "replace"])
def test_a_write_whose_answer_was_lost_is_ours(
    objects: ObjectStore, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client repeats such a request, and the server refuses the second one."""
    store, path = store_of(objects)
    original: Any = getattr(type(store), method)

    def answer_lost(*arguments: Any) -> None:
        assert original(*arguments) is not None
        assert original(*arguments) is None

    leases._store_of(objects)
    if method == "replace":
        assert store.create(path, LeaseTerms.of("here").content)
    with monkeypatch.context() as patch:
        patch.setattr(type(store), method, answer_lost)
        lease = leased(objects, PATH, WHAT, "here", wait=False)
        held = lease.__enter__()
    held._renew_once()
    assert not held.lost
    lease.__exit__(None, None, None)
    assert store.read(path) is None


class IgnoresConditions:
    """A server of the S3 kind that takes every write, as those from before 2024 do."""

    protocol = ("s3", "s3a")

    def __init__(self, files: Any) -> None:
        self._files = files

    def call_s3(self, method: str, **arguments: Any) -> Any:
        arguments = {name: value for name, value in arguments.items() if name not in ("IfMatch", "IfNoneMatch")}
        return self._files.call_s3(method, **arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


def test_a_server_that_ignores_conditions_is_found_out(s3_url: str) -> None:
    files, root = ObjectStore(f"{s3_url}/old").opened()
    assert isinstance(lease_store(files, root), ConditionalStore)
    assert isinstance(lease_store(IgnoresConditions(files), root), ReadBackStore)
    assert files.find(root) == []


class DeletesUnconditionally(IgnoresConditions):
    """A server that refuses a condition on the removal of an object, as S3 itself did until 2025."""

    def call_s3(self, method: str, **arguments: Any) -> Any:
        if method == "delete_object" and "IfMatch" in arguments:
            from botocore.exceptions import ClientError
            from s3fs.errors import translate_boto_error

            said = {"Error": {"Code": "NotImplemented", "Message": "A header implies what is not implemented"}}
            raise translate_boto_error(ClientError(said, "DeleteObject"))
        return self._files.call_s3(method, **arguments)


def test_a_server_that_removes_without_conditions(s3_url: str) -> None:
    files, root = ObjectStore(f"{s3_url}/removal").opened()
    store = lease_store(DeletesUnconditionally(files), root)
    assert isinstance(store, ConditionalStore)
    path = f"{root}/{PATH}"
    first = store.create(path, b"one")
    assert first and store.replace(path, b"two", first)
    store.remove(path, first)
    found = store.read(path)
    assert found and found.content == b"two"
    store.remove(path, found.version)
    assert store.read(path) is None


def test_a_server_that_refuses_is_one_line(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    files, root = ObjectStore(f"{s3_url}/refused").opened()
    monkeypatch.setattr(type(files), "call_s3", refuse)
    with pytest.raises(QHarnessError, match=r"^s3://there/study/refused: no run can be claimed: Access Denied: allow"):
        lease_store(files, root)


def test_what_may_pass_is_tried_again_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("qharness.storage.object_store._FIRST_PAUSE_S", 0.01)
    store, failures = ObjectStore("memory://x"), [ConnectionError("reset"), TimeoutError("late"), OSError("busy")]

    def call() -> str:
        if failures:
            raise failures.pop(0)
        return "there"

    assert store.patiently(call) == "there"
    assert capsys.readouterr().err == "memory://x: reset: trying again, for up to 5 min\n"
    failures.append(FileNotFoundError("gone"))
    with pytest.raises(FileNotFoundError):
        store.patiently(call)
    lasting = (
        PermissionError(),
        KeyError(),
        AssertionError(),
        OSError(28, "No space left on device"),
        QHarnessError("x"),
        KeyboardInterrupt(),
    )
    assert not any(map(may_pass, lasting))
