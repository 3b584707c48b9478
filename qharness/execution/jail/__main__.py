"""The spawner: runs inside the outer sandbox and starts programs, each in namespaces of its own.

Its argument is a JSON document that says how to run programs. It writes `ready`; then it reads requests: a line of
HEADER bytes, which holds the length of the rest and a nonce, and the rest, which is JSON. It answers each request with
a line that begins with the nonce.

A program is run by a command, or by the language's harness in a fork of this process, which has imported the modules
that programs import. The tests run in another fork, the checker, which lives on: it reads a request's JSON itself,
after the program's process was forked, so that no test and no expected value was ever in the memory of that process or
of this one. An answer has the checker's verdict first, then a `SEPARATOR`, and then the ending that this process saw.

Stdlib only: the package that it belongs to is not visible in the sandbox.
"""

import _socket
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import site
import struct
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass

import namespaces
import process_tree
import single_process
from messages import HEADER, SEPARATOR
from spawning import become_descriptors, believed, killer, left_behind, read_exactly, seen
from supervision import Pipes, supervise

_HERE = os.path.dirname(__file__)  # noqa: PTH120 - pathlib would be more to fork
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


_CONCLUDING_SECONDS = 2.0  # that a checker gets when the program has gone


@dataclass
class Checker:
    """The process that holds the tests: its pid, and our end of the socket for programs and its `d`."""

    pid: int
    control: _socket.socket


def main() -> None:
    """Serve until standard input ends."""
    config = json.loads(sys.argv.pop())
    config["counted"] = process_tree.is_counted()
    own = ("namespaces", "supervision", "process_tree", "system_calls", "messages", "single_process", "spawning")
    for name in ("ctypes", "_ctypes", "ctypes._endian", *own):
        del sys.modules[name]  # so that programs cannot import them
    check, serve = _loaded(config) if not config["command"] else (None, None)
    gc.collect()
    gc.freeze()  # forks copy fewer pages, and gc lists no frozen object
    if config["isolate"]:
        namespaces.mount_writable_folders(
            config["limits"]["disk_bytes"], config["readable_below_tmp"], config["executable_files"]
        )
        if check:  # done once for all programs: doing it for each would cost more than a fork
            namespaces.hide_processes()
            _confine(config)
    checker = _start_checker(config, check) if check else None
    as_made = left_behind() if config["isolate"] else []
    os.write(1, b"ready\n")
    while header := read_exactly(0, HEADER):
        length, nonce = header.split()
        checked = checker is not None
        answer = _run_checked(header, config, serve, checker) if checked else _run_command(int(length), config)
        answer["spent"] |= bool(config["isolate"]) and left_behind() != as_made
        os.write(1, f"{nonce.decode()} {json.dumps(answer)}\n".encode())


def _confine(config: dict) -> None:
    if config["uid"] is None:
        namespaces.become_nobody()
    namespaces.filter_calls()


def _loaded(config: dict) -> tuple[Callable, Callable]:
    """Load the harness, and return its `check` and `serve`; the interpreter sees the stdlib and the packages asked for.

    The modules of a checked harness import each other by names that are removed before programs run.
    """
    _see(config["search_path"])
    sys.modules["ctypes"] = None  # programs cannot import it, so packages must not find it either
    for name in config["preload"]:
        with contextlib.suppress(Exception):  # a program that imports it gets the error itself
            importlib.import_module(name)
    del sys.modules["ctypes"]
    sources = config["checked_harness"] or [("harness", config["harness"])]
    for name, source in sources:
        module = sys.modules[name] = types.ModuleType(name)
        exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102 - the plugin's own code
    made = [sys.modules.pop(name).__dict__ for name, _ in sources]
    if not config["checked_harness"]:
        return single_process.check, functools.partial(single_process.serve, made[0]["main"])
    return made[-2]["check"], made[-1]["serve"]


def _see(search_path: list[str]) -> None:
    """Import from the standard library and then from `search_path`, here and in interpreters that programs start.

    This interpreter was started without `site`, so this adds `exit`, `quit`, `help` and so on, which programs expect.
    """
    sys.path[:] = [*(path for path in sys.path if path != _HERE), *search_path]
    if search_path:
        os.environ["PYTHONPATH"] = os.pathsep.join(search_path)
        os.environ.update(dict.fromkeys(_THREADS, "1"))  # threads count as processes, and a fork loses them
    for provide in (site.setquit, site.setcopyright, site.sethelper):
        provide()


def _run_command(length: int, config: dict) -> dict[str, object]:
    """Run one program by the command; return its report and its ending."""
    fields = json.loads(read_exactly(0, length))["fields"]
    report, told = os.pipe()
    output, printed = os.pipe()
    given, feed = os.pipe()
    pid = namespaces.fork_into_namespaces(own_mounts=True) if config["isolate"] else os.fork()
    if pid == 0:
        try:
            _become_command(config, given, told, printed)
        except OSError as error:
            os.write(told, f"- error the sandbox: {error}\n".encode())
        finally:
            os._exit(127)
    for theirs in (given, told, printed):
        os.close(theirs)
    token = os.urandom(16).hex()  # after the fork: no copy of it lies in the program's memory
    payload = "\n".join((token, *fields)) + "\n"
    pipes = Pipes(report, output, feed, counted=config["counted"])
    ending = supervise(pid, pipes, payload.encode(), config["limits"], killer(pid, config))
    return {"report": believed(bytes(ending.report), token), **seen(ending)}


def _become_command(config: dict, given: int, told: int, printed: int) -> None:
    """Become the command, with limits, without privileges, and with descriptors 0 to 2 only."""
    os.setsid()
    if config["isolate"]:
        namespaces.die_with_parent()
        namespaces.hide_processes_from_command(config["command"][0])
    become_descriptors((given, told, printed))
    namespaces.limit(config["limits"], config["address_space"])
    if config["isolate"]:
        _confine(config)
        _drop(config["uid"])
    os.execv(config["command"][0], config["command"])  # noqa: S606


def _drop(uid: int | None) -> None:
    namespaces.give_up_privileges(uid)
    os.chdir("/tmp")  # noqa: S108 - the sandbox's own


def _start_checker(config: dict, check: Callable) -> Checker:
    """Fork the checker, which dies with this process, and all that it starts with it."""
    ours, theirs = _socket.socketpair()
    pid = namespaces.fork_into_namespaces(own_mounts=False) if config["isolate"] else os.fork()
    if pid == 0:
        try:
            _check(config, check, theirs.detach())
        finally:
            os._exit(127)
    theirs.close()
    return Checker(pid, ours)


def _check(config: dict, check: Callable, control: int) -> None:
    """Check programs without end: a job comes on standard input, its channel on `control`; write a verdict."""
    if config["isolate"]:
        namespaces.die_with_parent()
    nothing = os.open(os.devnull, os.O_RDWR)
    become_descriptors((0, nothing, nothing, control, 1))
    namespaces.limit({**config["limits"], "cpu_seconds": -1}, config["address_space"])
    if config["isolate"]:
        _drop(config["checker_uid"])
    controls = _socket.socket(fileno=3)
    while True:
        header, passed, *_ = controls.recvmsg(HEADER, _socket.CMSG_SPACE(4))
        if not header:
            os._exit(0)
        length, nonce = header.split()
        channel = struct.unpack("i", passed[0][2])[0]
        job = json.loads(read_exactly(0, int(length)))
        verdict = check(job, channel, config["limits"]["cpu_seconds"])
        os.write(4, json.dumps([nonce.decode(), *verdict]).encode() + SEPARATOR.encode())
        os.close(channel)
        controls.send(b"d")


def _run_checked(header: bytes, config: dict, serve: Callable, checker: Checker) -> dict[str, object]:
    """Run one program until its checker has a verdict or it has reached a limit; return its ending."""
    output, printed = os.pipe()
    ours, theirs = _socket.socketpair()
    pid = namespaces.fork_into_namespaces(own_mounts=False) if config["isolate"] else os.fork()
    if pid == 0:
        try:
            _serve(config, serve, theirs.detach(), printed)
        finally:
            os._exit(127)
    os.close(printed)
    passed = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", ours.fileno()))
    with contextlib.suppress(OSError):  # a checker that died is noticed below
        checker.control.sendmsg([header], [passed])
    ours.close()
    theirs.close()
    nothing = [os.open(os.devnull, os.O_RDWR) for _ in range(2)]
    pipes = Pipes(nothing[0], output, nothing[1], checker.control.fileno(), checker.pid, config["counted"])
    ending = supervise(pid, pipes, b"", config["limits"], killer(pid, config))
    ready = select.select([checker.control], [], [], _CONCLUDING_SECONDS)[0]
    spent = not ready or checker.control.recv(1) != b"d"  # it has died or hangs: the worker must replace us
    return {**seen(ending), "spent": spent, "checked": True}


def _serve(config: dict, serve: Callable, channel: int, printed: int) -> None:
    """Become the program, with limits, without privileges, and with descriptors 0 to 3 only."""
    os.setsid()
    if config["isolate"]:
        namespaces.die_with_parent()
    become_descriptors((os.open(os.devnull, os.O_RDONLY), printed, printed, channel))
    namespaces.limit(config["limits"], config["address_space"])
    if config["isolate"]:
        _drop(config["uid"])
    tables = [vars(sys.modules["__main__"]), vars(namespaces)]
    # Empty our globals, so that a program that walks the stack finds none. A copy lives on, since freeing takes longer.
    atexit.register(id, [dict(table) for table in tables])
    for table in tables:
        table.clear()
    serve(3)


if __name__ == "__main__":
    main()
