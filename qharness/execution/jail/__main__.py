"""The spawner: runs inside the outer sandbox and starts programs, each in namespaces of its own.

Its argument is how to run programs, in JSON. It says `ready`; then it reads requests: a line of HEADER bytes, which
holds the length of the rest and a nonce, and the rest, which is JSON. It answers each with a line, that begins with
the nonce.

A program is either run by a command, or by the language's harness in a fork of this process, which has imported what
programs import. The harness's tests run in another, the checker, which stays: it reads a request's JSON itself, after
the program's process was forked, so that no test and no expected value was ever in that process's memory, nor in this.
The checker's verdict comes first in an answer, and what this process saw of the end after a `SEPARATOR`.

Stdlib only: the package it belongs to is not to be seen in here.
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
import single_process
from messages import HEADER, SEPARATOR
from spawning import become_descriptors, believed, killer, left_behind, read_exactly, seen
from supervision import Pipes, supervise

_HERE = os.path.dirname(__file__)  # noqa: PTH120 - pathlib would be more to fork
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


_CONCLUDING_SECONDS = 2.0  # that a checker gets when the program has gone


@dataclass
class Checker:
    """The process that holds the tests: its pid, and our end of the socket by which it gets programs and says `d`."""

    pid: int
    control: _socket.socket


def main() -> None:
    """Serve until standard input ends."""
    config = json.loads(sys.argv.pop())
    own = ("namespaces", "supervision", "process_tree", "system_calls", "messages", "single_process", "spawning")
    for name in ("ctypes", "_ctypes", "ctypes._endian", *own):
        del sys.modules[name]  # we have them; programs are not to
    check, serve = _loaded(config) if not config["command"] else (None, None)
    gc.collect()
    gc.freeze()  # forks copy fewer pages, and what is frozen is not listed
    if config["isolate"]:
        namespaces.own_files(config["limits"]["disk_bytes"], config["readable_below_tmp"])
        if check:  # what follows is for all programs at once: each by itself would cost more than a fork
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
    """The harness's `check` and `serve`, in an interpreter that sees the standard library and the packages asked for.

    The modules of one that has a checker know each other by their names, which programs do not find.
    """
    _see(config["search_path"])
    sys.modules["ctypes"] = None  # programs are not to have it, so packages are not to find it either
    for name in config["preload"]:
        with contextlib.suppress(Exception):  # which is the program's to see, if it imports that
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
    """Import from the standard library and then from `search_path`; interpreters that programs start do so too.

    This one was started without `site`, whose `exit`, `quit`, `help` and so on programs expect.
    """
    sys.path[:] = [*(path for path in sys.path if path != _HERE), *search_path]
    if search_path:
        os.environ["PYTHONPATH"] = os.pathsep.join(search_path)
        os.environ.update(dict.fromkeys(_THREADS, "1"))  # they would count as processes, and no fork has them
    for provide in (site.setquit, site.setcopyright, site.sethelper):
        provide()


def _run_command(length: int, config: dict) -> dict[str, object]:
    """One program, run by the command: what it said of itself, and how it ended."""
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
    ending = supervise(pid, Pipes(report, output, feed), payload.encode(), config["limits"], killer(pid, config))
    return {"report": believed(bytes(ending.report), token), **seen(ending)}


def _become_command(config: dict, given: int, told: int, printed: int) -> None:
    """Become the command: limits set, privileges gone, descriptors 0 to 2 and no others."""
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
    """Fork the checker. It goes with this process, and all that it starts with it."""
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
    """Be the checker: for each program a channel to it comes on the control socket, and the job on standard input."""
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
    """One program, until its checker has a verdict or it has met a limit: how it ended."""
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
    pipes = Pipes(nothing[0], output, nothing[1], checker.control.fileno(), checker.pid)
    ending = supervise(pid, pipes, b"", config["limits"], killer(pid, config))
    ready = select.select([checker.control], [], [], _CONCLUDING_SECONDS)[0]
    spent = not ready or checker.control.recv(1) != b"d"  # it has died, or hangs: we are to be replaced
    return {**seen(ending), "spent": spent, "checked": True}


def _serve(config: dict, serve: Callable, channel: int, printed: int) -> None:
    """Become the program: limits set, privileges gone, descriptors 0 to 3 and no others."""
    os.setsid()
    if config["isolate"]:
        namespaces.die_with_parent()
    become_descriptors((os.open(os.devnull, os.O_RDONLY), printed, printed, channel))
    namespaces.limit(config["limits"], config["address_space"])
    if config["isolate"]:
        _drop(config["uid"])
    tables = [vars(sys.modules["__main__"]), vars(namespaces)]
    # A program that looks up the stack finds none of what we use. It is kept from being freed, which takes longer.
    atexit.register(id, [dict(table) for table in tables])
    for table in tables:
        table.clear()
    serve(3)


if __name__ == "__main__":
    main()
