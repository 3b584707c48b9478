"""What a process does to itself so that nothing it runs can get out: Linux's own calls, by ctypes. Stdlib only.

A program's processes live in a pid and ipc namespace of their own, inside the outer sandbox, which has cut the network
and all but the readable files off already.
"""

import contextlib
import ctypes
import os
import platform
import resource
import signal
import stat
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qharness.execution.jail.system_calls import CLONE, call_number, filter_for
else:
    from system_calls import CLONE, call_number, filter_for

_NEWNS, _NEWIPC, _NEWPID = 0x0002_0000, 0x0800_0000, 0x2000_0000
_NEWUSER = 0x1000_0000
_NOSUID, _NODEV, _NOEXEC, _READONLY, _REMOUNT, _BIND, _REC, _PRIVATE = 2, 4, 8, 1, 32, 4096, 0x4000, 1 << 18
_PDEATHSIG, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_BACKSTOP = 2  # times the CPU limit, which the supervisor keeps to where it can: the kernel counts by ticks, loosely
_OTHER_LIMITS = (("CORE", 0), ("NICE", 0), ("RTPRIO", 0), ("MSGQUEUE", 0), ("SIGPENDING", 1024))
"""No core dumps, no priority over others, though the user may have it, and a share of what the kernel queues."""
_FILES = 4096  # in the writable directory, which bounds what their names take beside their bytes

_libc = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock, as a fork must


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def fork_into_namespaces(own_mounts: bool) -> int:
    """Fork a child that is the first process of a pid namespace, and has mounts of its own if asked for.

    Where no filter denies them, it has ipc objects of its own too.

    unshare would do once: after that only a process of the new namespace's parent may do it again. So it is the system
    call, between what Python does before and after any fork. As the first process of its namespace, the child is spared
    by signals that it has no handler for, but for those that the kernel itself sends; when it ends, all others do.
    """
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    flags = _NEWPID | (0 if _FILTER else _NEWIPC) | (_NEWNS if own_mounts else 0) | signal.SIGCHLD
    pid = int(_libc.syscall(call_number(CLONE, platform.machine()), flags, 0, 0, 0, 0))
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    number = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, f"clone: {os.strerror(number)}")
    return pid


def own_files(disk_bytes: int, kept: list[str]) -> None:
    """Mount an empty writable /tmp and /dev/shm, of bounded size together; what is `kept` below /tmp stays readable.

    One file system holds both, so that shared memory and semaphores, which are files in /dev/shm, count as files do.
    """
    held = [(Path(path), os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in kept]
    options = f"size={disk_bytes},nr_inodes={_FILES},mode=1777".encode()
    _call("mount", b"tmpfs", b"/tmp", b"tmpfs", _NOSUID | _NODEV | _NOEXEC, options)
    for name, target in (("shm", b"/dev/shm"), ("files", b"/tmp")):  # the second hides the first
        folder = Path("/tmp", name)  # noqa: S108 - the sandbox's own
        folder.mkdir()
        folder.chmod(0o1777)
        _call("mount", bytes(folder), target, None, _BIND, None)
    for path, descriptor in held:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            path.mkdir(mode=0o755)
        else:
            path.touch()
        _call("mount", f"/proc/self/fd/{descriptor}".encode(), bytes(path), None, _BIND | _REC, None)
        os.close(descriptor)
    _keep_devices()
    os.chdir("/")


def hide_processes_from_command(executable: str) -> None:
    """Leave of /proc the one link that a command's dynamic linker wants: no process, no memory, no descriptor."""
    _call("mount", None, b"/", None, _REC | _PRIVATE, None)
    flags = _NOSUID | _NODEV | _NOEXEC
    _call("mount", b"tmpfs", b"/proc", b"tmpfs", flags, b"size=4k,mode=755")
    own = Path("/proc/self")
    own.mkdir()
    (own / "exe").symlink_to(executable)
    _call("mount", None, b"/proc", None, flags | _READONLY | _REMOUNT, None)


def _keep_devices() -> None:
    """Show the host's devices so that they can be read and written, but not dated: no program is to leave a mark."""
    for name in _DEVICES:
        path = f"/dev/{name}"
        with contextlib.suppress(FileNotFoundError):
            flags = os.statvfs(path).f_flag & (_NOSUID | _NOEXEC)  # what it has, it must keep
            _call("mount", None, path.encode(), None, _BIND | _REMOUNT | _READONLY | flags, None)


def hide_processes() -> None:
    """Leave /proc empty for everyone who has no descriptor of it."""
    _call("mount", b"tmpfs", b"/proc", b"tmpfs", _NOSUID | _NODEV | _NOEXEC | _READONLY, b"size=4k,mode=555")


def die_with_parent() -> None:
    """Be killed when the parent ends."""
    _call("prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def become_nobody() -> None:
    """Enter a user namespace into which no one is mapped: our id reads as nobody's, and nothing outside is ours."""
    _call("unshare", _NEWUSER)


def give_up_privileges(uid: int | None) -> None:
    """Be without capabilities, for good; as that user, where we can."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _call("capset", struct.pack("Ii", 0x2008_0522, 0), bytes(24))  # version 3 of its structures
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _DUMPABLE, 0, 0, 0, 0)  # so that /proc/self/mem is not ours to read


def limit(limits: dict[str, int], address_space: bool) -> None:
    """Set the resource limits that hold for each process; the tree's are the supervisor's to watch."""
    if (cpu := limits["cpu_seconds"] * (_BACKSTOP if sys.platform == "linux" else 1)) >= 0:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))  # SIGKILL: a first process ignores SIGXCPU
    for name, field in (("NPROC", "processes"), ("NOFILE", "open_files"), ("FSIZE", "file_bytes")):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limits[field],) * 2)
    for name, most in _OTHER_LIMITS:
        if hasattr(resource, f"RLIMIT_{name}"):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    if address_space:
        resource.setrlimit(resource.RLIMIT_AS, (limits["memory_bytes"],) * 2)


_FILTER = filter_for(platform.machine())
_HELD = ctypes.create_string_buffer(_FILTER or b"")
_PROGRAM = struct.pack("HxxxxxxP", len(_FILTER or b"") // 8, ctypes.addressof(_HELD))


def filter_calls() -> None:
    """Filter the calls of ours, and of all we start, from now on; none on an architecture without a filter."""
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    if _FILTER:
        _call("prctl", _SECCOMP, 2, _PROGRAM, 0, 0)
