"""What keeps a program in: bubblewrap, with a user of its own where we are root and a user namespace where not.

Inside there is no network (not even loopback), no process of the host's to see, one empty writable directory of
bounded size, the system's /usr and the language's own files to read, and an empty environment.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qharness.errors import SandboxError
from qharness.types import Limits, Toolchain

_SYSTEM_DIRECTORIES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives")
_FIRST_UID = 0x4000_0000  # far above any user that exists, so that RLIMIT_NPROC counts the program's processes only
_uids = itertools.count(os.getpid() << 8)


@dataclass(frozen=True)
class Isolation:
    """One way to start a program. `enter` gives the argv that precedes the program's own."""

    name: str
    enter: Callable[[Sequence[Path], Limits], list[str]]

    def argv(self, toolchain: Toolchain, limits: Limits) -> list[str]:
        """The whole command that runs a toolchain's harness inside, its resource limits set."""
        return [*self.enter(toolchain.readable, limits), *_rlimits(limits, toolchain), *toolchain.command]


def _rlimits(limits: Limits, toolchain: Toolchain) -> list[str]:
    """Set from inside: a limit on processes counts those of the user that the program runs as."""
    argv = [
        "prlimit",
        f"--cpu={limits.cpu_seconds}:{limits.cpu_seconds + 1}",  # SIGXCPU, and SIGKILL for who ignores it
        f"--nproc={limits.processes}",
        f"--nofile={limits.open_files}",
        f"--fsize={limits.file_bytes}",
        "--core=0",
    ]
    if toolchain.limit_address_space:
        argv.append(f"--as={limits.memory_bytes}")
    return [*argv, "--"]


def _bubblewrap(readable: Sequence[Path], limits: Limits) -> list[str]:
    argv = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    argv += ["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]
    for directory in map(Path, _SYSTEM_DIRECTORIES):
        if directory.is_symlink():
            argv += ["--symlink", str(directory.readlink()), str(directory)]
        elif directory.is_dir():
            argv += ["--ro-bind", str(directory), str(directory)]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    argv += ["--perms", "1777", "--size", str(limits.disk_bytes), "--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
    for path in (*map(Path, _SYSTEM_FILES), *readable):  # after /tmp, for a toolchain may stand below it
        if not path.is_relative_to("/usr"):
            for parent in reversed(path.parents[:-1]):  # bwrap's own would be closed to the program's user
                if parent != Path("/tmp"):  # noqa: S108
                    argv += ["--perms", "0755", "--dir", str(parent)]
            argv += ["--ro-bind-try", str(path), str(path)]
    argv += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]  # noqa: S108
    for name, value in (("PATH", "/usr/bin:/bin"), ("HOME", "/tmp"), ("LANG", "C.UTF-8")):  # noqa: S108
        argv += ["--setenv", name, value]
    return argv


def _with_own_user(readable: Sequence[Path], limits: Limits) -> list[str]:
    """For root: a user id that nothing else has, and no way back."""
    uid = str(_FIRST_UID + next(_uids) % _FIRST_UID)
    drop = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--inh-caps=-all", "--no-new-privs", "--"]
    keep = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--"]
    return [*_bubblewrap(readable, limits), *keep, *drop]


def _with_user_namespace(readable: Sequence[Path], limits: Limits) -> list[str]:
    """For everyone else: a user namespace in which the program is nobody."""
    return [*_bubblewrap(readable, limits), "--unshare-user", "--uid", "65534", "--gid", "65534", "--"]


def _without(readable: Sequence[Path], limits: Limits) -> list[str]:
    return []


OWN_USER = Isolation("bubblewrap with a user of its own", _with_own_user)
USER_NAMESPACE = Isolation("bubblewrap in a user namespace", _with_user_namespace)
NONE = Isolation("none", _without)


@cache
def _works(isolation: Isolation) -> str:
    """Empty if `isolation` can run a program here, else what it said."""
    probe = Toolchain(command=("true",), readable=(), version="")
    try:
        done = subprocess.run(
            isolation.argv(probe, Limits()), capture_output=True, text=True, timeout=20, env=_host_env()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit status {done.returncode}")


def _host_env() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}


def choose_isolation(allow_unsandboxed: bool = False) -> Isolation:
    """The strongest isolation that works here, tried and not guessed.

    Where none does: no isolation if `allow_unsandboxed` or the environment's QHARNESS_ALLOW_UNSANDBOXED=1 says so,
    else SandboxError.
    """
    candidates = (OWN_USER, USER_NAMESPACE) if os.geteuid() == 0 else (USER_NAMESPACE,)
    said = ""
    if shutil.which("bwrap"):
        for isolation in candidates:
            said = _works(isolation)
            if not said:
                return isolation
    if allow_unsandboxed or os.environ.get("QHARNESS_ALLOW_UNSANDBOXED") == "1":
        return NONE
    fix = (
        "install bubblewrap (apt-get install bubblewrap)"
        if not said
        else f"bubblewrap fails here ({said.splitlines()[-1]})"
    )
    raise SandboxError(
        f"no sandbox for the generated programs: {fix}; `qharness doctor` tells more; "
        "--allow-unsandboxed runs them unprotected"
    )
