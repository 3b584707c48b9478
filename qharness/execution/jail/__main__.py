"""The spawner: runs inside the outer sandbox and starts programs, each in namespaces of its own.

Its argument is how to run programs, in JSON. It says `ready`; then it reads a JSON line a program and answers with one,
in which it asks to be replaced where the program has left files. A program is either run by the language's harness in a
fork of this process, which has imported what programs import, or by a command. Stdlib only: the package it belongs to
is not to be seen in here.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import secrets
import signal
import site
import sys
import types
from pathlib import Path

import namespaces
from supervision import Pipes, supervise

_HERE = str(Path(__file__).parent)
_WRITABLE = ("/tmp", "/dev/shm")  # noqa: S108 - the sandbox's own
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    """Serve until standard input ends."""
    config = json.loads(sys.argv.pop())
    for name in ("ctypes", "_ctypes", "ctypes._endian", "namespaces", "supervision"):
        del sys.modules[name]  # we have them; programs are not to
    harness = _loaded(config) if config["harness"] else None
    gc.collect()
    gc.freeze()  # forks copy fewer pages, and what is frozen is not listed
    if config["isolate"]:
        namespaces.own_files(config["limits"]["disk_bytes"], config["kept"])
        if harness:  # what follows is for all programs at once: each by itself would cost more than a fork
            namespaces.hide_processes()
            _confine(config)
    empty = _files() if config["isolate"] else []
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin.buffer:
        answer = _run(json.loads(line), config, harness)
        answer["last"] = bool(config["isolate"]) and _files() != empty
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _files() -> list[set[str]]:
    """What lies in the folders that programs may write to."""
    return [set(os.listdir(folder)) for folder in _WRITABLE]  # noqa: PTH208


def _confine(config: dict) -> None:
    if config["uid"] is None:
        namespaces.become_nobody()
    namespaces.filter_calls()


def _loaded(config: dict) -> types.ModuleType:
    """The language's harness, in an interpreter that sees the standard library, the packages asked for, and no more."""
    _see(config["search_path"])
    sys.modules["ctypes"] = None  # programs are not to have it, so packages are not to find it either
    for name in config["preload"]:
        with contextlib.suppress(Exception):  # which is the program's to see, if it imports that
            importlib.import_module(name)
    del sys.modules["ctypes"]
    harness = types.ModuleType("harness")
    exec(compile(config["harness"], "harness", "exec"), harness.__dict__)  # noqa: S102 - the plugin's own code
    return harness


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


def _run(job: dict[str, str], config: dict, harness: types.ModuleType | None) -> dict[str, object]:
    """One program from its start to its end: what it said of itself, and how it ended."""
    report, told = os.pipe()
    output, printed = os.pipe()
    given, feed = os.pipe()
    pid = namespaces.fork_into_namespaces(own_mounts=harness is None) if config["isolate"] else os.fork()
    if pid == 0:
        try:
            _program(job, config, harness, (given, told, printed))
        except OSError as error:
            os.write(told, f"- error the sandbox: {error}\n".encode())
        finally:
            os._exit(127)
    for theirs in (given, told, printed):
        os.close(theirs)
    token = secrets.token_hex(16)  # after the fork: no copy of it lies in the program's memory
    payload = token if harness else "\n".join((token, *job["fields"])) + "\n"

    def kill() -> None:
        """The first process of a pid namespace takes the others along; without one, its group goes."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL) if config["isolate"] else os.killpg(pid, signal.SIGKILL)

    ending = supervise(pid, Pipes(report, output, feed), payload.encode(), config["limits"], kill)
    return {
        "report": _believed(bytes(ending.report), token),
        "killed": ending.killed,
        "detail": ending.detail,
        "exit_status": ending.exit_status,
        "seconds": round(ending.seconds, 4),
        "last_words": bytes(ending.output[-300:]).decode("utf-8", "replace"),
    }


def _believed(report: bytes, token: str) -> list[list[str]]:
    """The lines of a report that count: those with the token, and those with a dash that claim no pass."""
    lines = [line.split(" ", 2) for line in report.decode("utf-8", "replace").splitlines()]
    return [
        words[1:]
        for words in lines
        if len(words) > 1 and (words[0] == token or (words[0] == "-" and words[1] != "passed"))
    ]


def _program(job: dict[str, str], config: dict, harness: types.ModuleType | None, pipes: tuple[int, int, int]) -> None:
    """Become the program: limits set, privileges gone, descriptors 0 to 3 and no others."""
    given, told, printed = pipes
    os.dup2(printed, 2)
    os.setsid()
    if config["isolate"]:
        namespaces.die_with_parent()
        if harness is None:
            namespaces.hide_processes_from_command(config["command"][0])
    nothing = os.open(os.devnull, os.O_RDONLY)
    tokens = os.dup(given)
    os.dup2(nothing if harness else given, 0)
    os.dup2(printed if harness else told, 1)
    if harness:
        top = max(told, tokens) + 1
        os.dup2(told, top)
        os.dup2(tokens, top + 1)
        os.dup2(top, 3)
        os.dup2(top + 1, 4)
    os.closerange(5 if harness else 3, 256)
    namespaces.limit(config["limits"], config["address_space"])
    if config["isolate"]:
        if harness is None:
            _confine(config)
        namespaces.give_up_privileges(config["uid"])
        os.chdir("/tmp")  # noqa: S108 - the sandbox's own
    if harness is None:
        os.execv(config["command"][0], config["command"])  # noqa: S606
    run, tables = harness.main, [vars(sys.modules["__main__"]), vars(namespaces)]
    # A program that looks up the stack finds none of what we use. It is kept from being freed, which takes longer.
    atexit.register(id, [dict(table) for table in tables])
    for table in tables:
        table.clear()
    run(*job["fields"], 4, 3)


if __name__ == "__main__":
    main()
