"""What a process does to itself so that nothing it runs can get out: Linux's own calls, by ctypes. Stdlib only.

A program's processes live in a pid and ipc namespace of their own, inside the outer sandbox, which has cut the network
and all but the readable files off already.
"""

import ctypes
import os
import platform
import resource
import signal
import stat
import struct
from pathlib import Path

_NEWNS, _NEWIPC, _NEWPID = 0x0002_0000, 0x0800_0000, 0x2000_0000
_NEWUSER = 0x1000_0000
_NOSUID, _NODEV, _NOEXEC, _READONLY, _BIND, _REC, _PRIVATE = 2, 4, 8, 1, 4096, 0x4000, 1 << 18
_REMOUNT = 32
_PDEATHSIG, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38
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
    pid = int(_libc.syscall(_CLONE[_ARCHITECTURES[platform.machine()][1]], flags, 0, 0, 0, 0))
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
    if (cpu := limits["cpu_seconds"]) >= 0:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))  # SIGKILL: a first process ignores SIGXCPU
    for name, field in (("NPROC", "processes"), ("NOFILE", "open_files"), ("FSIZE", "file_bytes")):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limits[field],) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if address_space:
        resource.setrlimit(resource.RLIMIT_AS, (limits["memory_bytes"],) * 2)


# ------------------------------------------------------------------------------------------------------------- seccomp

_ARCHITECTURES = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}
# What no benchmark needs: reading other processes, namespaces, mounts, kernel interfaces with a history of holes, and
# memory that no limit of ours counts. Numbers by architecture.
_DENIED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "mq_open": (240, 180), "shmget": (29, 194),
    "msgget": (68, 186), "semget": (64, 190), "kexec_load": (246, 104), "init_module": (175, 105),
    "personality": (135, 92),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), (435, 435)
_KILL, _TGKILL = (62, 129), (234, 131)
_SOCKET, _LOCAL, _EAFNOSUPPORT = (41, 198), 1, 97
_DEADLY = (4, 7, 8, 9, 11)  # which a first process that sends them to itself would survive
_LOAD, _EQUALS, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_EPERM, _ENOSYS = 1, 38


def filter_for(machine: str) -> bytes | None:
    """The system-call filter (classic BPF), None for an architecture that has no row here."""
    if machine not in _ARCHITECTURES:
        return None
    architecture, column = _ARCHITECTURES[machine]

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    def on(number: int, action: int) -> bytes:
        return step(_EQUALS, number, 0, 1) + step(_RETURN, action)

    foreign = step(_LOAD, 4) + step(_EQUALS, architecture, 1, 0) + step(_RETURN, _KILL_PROCESS)
    number = step(_LOAD, 0)
    if machine == "x86_64":  # the x32 calls have numbers of their own
        number += step(0x35, 0x4000_0000, 0, 1) + step(_RETURN, _ERRNO | _ENOSYS)
    denied = b"".join(on(numbers[column], _ERRNO | _EPERM) for numbers in _DENIED.values())
    threads = on(_CLONE3[column], _ERRNO | _ENOSYS)  # its flags lie in memory; the C library then takes clone
    clone = step(_EQUALS, _CLONE[column], 0, 3) + step(_LOAD, 16) + step(_ANY_BIT, _NEWUSER, 0, 1)
    clone += step(_RETURN, _ERRNO | _EPERM)

    def suicide(number: int, signal_at: int) -> bytes:
        """Be killed by what would kill any other process: a signal to oneself, or to one's group."""
        last = len(_DEADLY)
        body = step(_LOAD, 16) + step(_EQUALS, 1, 1, 0) + step(_EQUALS, 0, 0, last + 1) + step(_LOAD, signal_at)
        body += b"".join(step(_EQUALS, deadly, last - at, 0) for at, deadly in enumerate(_DEADLY))
        return (
            step(_EQUALS, number, 0, len(body) // 8 + 2) + body + step(_RETURN, _ALLOW) + step(_RETURN, _KILL_PROCESS)
        )

    sockets = step(_EQUALS, _SOCKET[column], 0, 4) + step(_LOAD, 16) + step(_EQUALS, _LOCAL, 1, 0)
    sockets += step(_RETURN, _ERRNO | _EAFNOSUPPORT) + step(_RETURN, _ALLOW)
    signals = suicide(_KILL[column], 24) + suicide(_TGKILL[column], 32)
    return foreign + number + denied + threads + sockets + signals + clone + step(_RETURN, _ALLOW)


_FILTER = filter_for(platform.machine())
_HELD = ctypes.create_string_buffer(_FILTER or b"")
_PROGRAM = struct.pack("HxxxxxxP", len(_FILTER or b"") // 8, ctypes.addressof(_HELD))


def filter_calls() -> None:
    """Refuse the calls above from now on, to us and all we start; nothing on an architecture without a filter."""
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    if _FILTER:
        _call("prctl", _SECCOMP, 2, _PROGRAM, 0, 0)
