"""The spawner: runs inside the outer sandbox and starts programs, each in namespaces of its own.

Its argument is how to run programs, in JSON. It says `ready`, and then reads a JSON line a program and answers with one.
A program is either run by the language's harness in a fork of this process, which has imported what programs import, or
by a command. Stdlib only: the package it belongs to is not to be seen in here.
"""

import contextlib
import gc
import json
import os
import secrets
import signal
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import namespaces
from supervision import Pipes, supervise

del sys.path[0]


def main() -> None:
    """Serve until standard input ends."""
    config = json.loads(sys.argv.pop())
    harness = _loaded(config["harness"]) if config["harness"] else None
    gc.collect()
    gc.freeze()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin.buffer:
        _say(_run(json.loads(line), config, harness))


def _loaded(source: str) -> types.ModuleType:
    harness = types.ModuleType("harness")
    exec(compile(source, "harness", "exec"), harness.__dict__)  # noqa: S102 - the plugin's own code
    return harness


def _say(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _run(job: dict[str, str], config: dict, harness: types.ModuleType | None) -> dict[str, object]:
    """One program from its start to its end: what it said of itself, and how it ended."""
    report, told = os.pipe()
    output, printed = os.pipe()
    given, feed = os.pipe()
    pid = namespaces.fork_into_namespaces() if config["isolate"] else os.fork()
    if pid == 0:
        try:
            _first_process(job, config, harness, (given, told, printed))
        except OSError as error:
            os.write(2, str(error).encode())
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


def _first_process(
    job: dict[str, str], config: dict, harness: types.ModuleType | None, pipes: tuple[int, int, int]
) -> None:
    """Process 1 of the program's own: makes its files, starts it, and reaps what it leaves until it ends."""
    os.dup2(pipes[2], 2)
    os.setsid()
    if config["isolate"]:
        namespaces.die_with_parent()
        namespaces.own_files(int(config["limits"]["disk_bytes"]), harness is None, config["kept"])
        child = os.fork()
        if child:
            os.closerange(0, 256)
            ended, status = 0, 0
            while ended != child:
                ended, status = os.wait()
            os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
        os.setsid()
    _program(job, config, harness, pipes)


def _program(job: dict[str, str], config: dict, harness: types.ModuleType | None, pipes: tuple[int, int, int]) -> None:
    """Become the program: limits set, privileges gone, descriptors 0 to 3 and no others."""
    given, told, printed = pipes
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
        namespaces.give_up_privileges(config["uid"])
        os.chdir("/tmp")  # noqa: S108 - the sandbox's own
        namespaces.filter_calls()
    if harness is None:
        os.execv(config["command"][0], config["command"])  # noqa: S606
    os.write(3, b"- started\n")
    run, modules = harness.main, sys.modules
    # What is left of us in this process must be of no use to the program.
    for module in (namespaces, modules["supervision"], modules["__main__"]):
        module.__dict__.clear()
    for name in ("ctypes", "_ctypes", "ctypes._endian", "namespaces", "supervision"):
        del modules[name]
    run(*job["fields"], 4, 3)


if __name__ == "__main__":
    main()
