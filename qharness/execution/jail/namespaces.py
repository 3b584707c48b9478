"""System calls by which a process confines itself and all that it starts, made by ctypes. Stdlib only.

A program's processes live in a pid and ipc namespace of their own. The outer sandbox around it has no network and shows
only the readable files.
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

# Flags of clone(2) and unshare(2), of mount(2), and the options of prctl(2).
_NEWNS, _NEWIPC, _NEWUSER, _NEWPID = 0x0002_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000
_NOSUID, _NODEV, _NOEXEC, _READONLY, _REMOUNT, _BIND, _REC, _PRIVATE = 2, 4, 8, 1, 32, 4096, 0x4000, 1 << 18
_PDEATHSIG, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_BACKSTOP = 2  # times the CPU limit: the supervisor enforces the limit itself; the kernel counts by coarse ticks
_OTHER_LIMITS = (("CORE", 0), ("NICE", 0), ("RTPRIO", 0), ("MSGQUEUE", 0), ("SIGPENDING", 1024))
"""No core dumps, no priority over others, even where the user may have it, and a share of the kernel's queues."""
_FILES = 4096  # the most files in the writable directory: it bounds the memory of their names

_libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL holds the interpreter's lock, as a fork must


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def fork_into_namespaces(own_mounts: bool) -> int:
    """Fork a child that is the first process of a pid namespace; return its pid here, and 0 in the child.

    It has mounts of its own if `own_mounts`, and ipc objects of its own where no filter denies ipc anyway.

    os.fork after unshare would work only once per process, so this makes the system call clone, and what Python does
    before and after any fork. As the first process of its namespace, the child ignores signals that it has no handler
    for, except those that the kernel itself sends; when it ends, the kernel kills the namespace's other processes.
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


def mount_writable_folders(disk_bytes: int, readable_below_tmp: list[str], executable: bool) -> None:
    """Mount an empty writable /tmp and /dev/shm of `disk_bytes` in all; some paths below /tmp stay readable.

    Files in them can be started only if `executable`.

    One file system holds both, so that shared memory and semaphores, which are files in /dev/shm, count as files do.
    """
    opened = [(Path(path), os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in readable_below_tmp]
    options = f"size={disk_bytes},nr_inodes={_FILES},mode=1777".encode()
    _call("mount", b"tmpfs", b"/tmp", b"tmpfs", _NOSUID | _NODEV | (0 if executable else _NOEXEC), options)
    for name, target in (("shm", b"/dev/shm"), ("files", b"/tmp")):  # the second hides the first
        folder = Path("/tmp", name)  # noqa: S108 - the sandbox's own
        folder.mkdir()
        folder.chmod(0o1777)
        _call("mount", bytes(folder), target, None, _BIND, None)
    for path, descriptor in opened:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            path.mkdir(mode=0o755)
        else:
            path.touch()
        _call("mount", f"/proc/self/fd/{descriptor}".encode(), bytes(path), None, _BIND | _REC, None)
        os.close(descriptor)
    _remount_devices()
    os.chdir("/")


def _remount_devices() -> None:
    """Remount the host's devices read-only: they can still be read and written, but their times cannot be changed."""
    for name in _DEVICES:
        path = f"/dev/{name}"
        with contextlib.suppress(FileNotFoundError):
            flags = os.statvfs(path).f_flag & (_NOSUID | _NOEXEC)  # a remount must not drop these
            _call("mount", None, path.encode(), None, _BIND | _REMOUNT | _READONLY | flags, None)


def hide_processes_from_command(executable: str) -> None:
    """Mount a /proc that holds only /proc/self/exe, which a command's dynamic linker reads."""
    _call("mount", None, b"/", None, _REC | _PRIVATE, None)
    flags = _NOSUID | _NODEV | _NOEXEC
    _call("mount", b"tmpfs", b"/proc", b"tmpfs", flags, b"size=4k,mode=755")
    own = Path("/proc/self")
    own.mkdir()
    (own / "exe").symlink_to(executable)
    _call("mount", None, b"/proc", None, flags | _READONLY | _REMOUNT, None)


def hide_processes() -> None:
    """Mount an empty folder on /proc; descriptors opened before still show the real one."""
    _call("mount", b"tmpfs", b"/proc", b"tmpfs", _NOSUID | _NODEV | _NOEXEC | _READONLY, b"size=4k,mode=555")


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    _call("prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def become_nobody() -> None:
    """Enter a user namespace that maps no user: our id reads as nobody's, and we own nothing outside."""
    _call("unshare", _NEWUSER)


def give_up_privileges(uid: int | None) -> None:
    """Become that user, if one is given, and drop all capabilities for good."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _call("capset", struct.pack("Ii", 0x2008_0522, 0), bytes(24))  # version 3 of its structures
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _DUMPABLE, 0, 0, 0, 0)  # makes /proc/self/mem unreadable


def limit(limits: dict[str, int], address_space: bool) -> None:
    """Set the resource limits of each process; the supervisor enforces those of the whole tree."""
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
_STEPS = ctypes.create_string_buffer(_FILTER or b"")
_PROGRAM = struct.pack("HxxxxxxP", len(_FILTER or b"") // 8, ctypes.addressof(_STEPS))  # struct sock_fprog


def filter_calls() -> None:
    """Filter the system calls of this process and all that it starts, on an architecture that has a filter."""
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    if _FILTER:
        _call("prctl", _SECCOMP, 2, _PROGRAM, 0, 0)
