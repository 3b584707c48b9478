"""`qharness setup`: what this machine lacks to run programs, for which tasks, and the commands that install it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from qharness.cli.options import Json
from qharness.cli.output import echo, print_json, print_table, registry
from qharness.errors import MissingDependencyError, QHarnessError
from qharness.execution.sandbox import choose_isolation
from qharness.execution.toolchains import find_toolchain
from qharness.progress import note
from qharness.registry import Registry, TaskEntry

_ROUNDS = 4  # a toolchain names what it lacks one after the other: Go, and then testify


@dataclass(frozen=True)
class Lack:
    """Something that is missing, the tasks that need it, and what installs it: a command for people, or argvs."""

    what: str
    tasks: tuple[str, ...]
    fix: str
    commands: tuple[tuple[str, ...], ...] = ()


def setup(
    tasks: Annotated[list[str] | None, typer.Argument(help="Tasks; all of ours by default.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run them: as root, or by a sudo that asks nothing.")] = False,
    json: Json = False,
) -> None:
    """What programs need that this machine lacks, for which tasks, and the commands that install it."""
    found = registry()
    wanted = {name: found.task(name) for name in tasks or found.tasks}
    lacks = list(_lacks(found, wanted))
    for _ in range(_ROUNDS if yes else 0):
        commands = dict.fromkeys(command for lack in lacks for command in lack.commands)
        if not commands or not all(list(map(_run, commands))):  # each is tried, whatever becomes of the others
            break
        lacks = list(_lacks(found, wanted))
    if json:
        print_json({"missing": [asdict(lack) for lack in lacks]})
    elif lacks:
        print_table(("missing", "for", "install it by"), [(lack.what, _few(lack.tasks), lack.fix) for lack in lacks])
    else:
        echo("nothing is missing")
    if lacks and yes:
        raise typer.Exit(1)


def _lacks(found: Registry, wanted: dict[str, TaskEntry]) -> Iterator[Lack]:
    """Look for the sandbox, and for the toolchain of each language and group of packages that the tasks name."""
    programs = {name: entry for name, entry in wanted.items() if entry.language}
    if programs:
        try:
            choose_isolation()
        except QHarnessError as error:
            yield Lack("a sandbox", tuple(programs), str(error).partition(": ")[2])
    needs = {(entry.language, entry.packages) for entry in programs.values()}
    for language, packages in sorted(needs, key=str):
        of = tuple(name for name, entry in programs.items() if (entry.language, entry.packages) == (language, packages))
        try:
            find_toolchain(found.language(str(language)), packages)
        except MissingDependencyError as error:
            yield Lack(error.what, of, error.install, _commands(error.debian))


def _commands(debian: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """What installs packages of Debian's on this machine; nothing where it is not Debian's kind, or we may not."""
    if not debian or not shutil.which("apt-get"):
        return ()
    sudo = () if os.geteuid() == 0 else ("sudo", "-n")
    if sudo and not _asks_nothing():
        return ()
    install = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends")
    return ((*sudo, "apt-get", "update", "-qq"), (*sudo, *install, *debian))


def _asks_nothing() -> bool:
    """Whether sudo is here and asks for no password."""
    return bool(shutil.which("sudo")) and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0


def _run(command: Sequence[str]) -> bool:
    """Run a command, its output on standard error; whether it succeeded."""
    note(f"running {shlex.join(command)}")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode:
        note((done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1])
    return done.returncode == 0


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
