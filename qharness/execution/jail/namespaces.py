"""What a process does to itself so that nothing it runs can get out: Linux's own calls, by ctypes. Stdlib only.

A program's processes live in a pid, mount and ipc namespace of their own, inside the outer sandbox, which has cut the
network and all but the readable files off already.
"""

import ctypes
import os
import platform
import resource
import signal
import struct

_NEWNS, _NEWIPC, _NEWPID = 0x0002_0000, 0x0800_0000, 0x2000_0000
_NEWUSER = 0x1000_0000
_NOSUID, _NODEV, _NOEXEC, _READONLY, _BIND, _REC, _PRIVATE = 2, 4, 8, 1, 4096, 0x4000, 1 << 18
_PDEATHSIG, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38
_FILES = 4096  # in the writable directory, which bounds what their names take beside their bytes

_libc = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock, as a fork must


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def fork_into_namespaces() -> int:
    """Fork a child that is the first process of a pid namespace, with mounts and ipc objects of its own.

    unshare would do once: after that only a process of the new namespace's parent may do it again. So it is the system
    call, between what Python does before and after any fork. The child is to fork once more by the usual way before it
    runs anything else, since the C library does not know of this one.
    """
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    flags = _NEWPID | _NEWNS | _NEWIPC | signal.SIGCHLD
    pid = int(_libc.syscall(_CLONE[_ARCHITECTURES[platform.machine()][1]], flags, 0, 0, 0, 0))
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    number = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, f"clone: {os.strerror(number)}")
    return pid


def die_with_parent() -> None:
    """Be killed when the parent ends."""
    _call("prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def own_files(disk_bytes: int, processes: bool, kept: list[str]) -> None:
    """An empty writable /tmp that goes with this mount namespace; in /proc the program's own `processes` or nothing.

    What is `kept` stands below /tmp, and may be read there as before.
    """
    _call("mount", None, b"/", None, _REC | _PRIVATE, None)
    held = [(path, os.open(path, os.O_PATH)) for path in kept]
    options = f"size={disk_bytes},nr_inodes={_FILES},mode=1777".encode()
    _call("mount", b"tmpfs", b"/tmp", b"tmpfs", _NOSUID | _NODEV | _NOEXEC, options)
    for path, descriptor in held:
        os.makedirs(path, mode=0o755)
        _call("mount", f"/proc/self/fd/{descriptor}".encode(), path.encode(), None, _BIND | _REC, None)
    kind, how = (b"proc", None) if processes else (b"tmpfs", b"size=4k,mode=555")
    _call("mount", kind, b"/proc", kind, _NOSUID | _NODEV | _NOEXEC | _READONLY, how)


def give_up_privileges(uid: int | None) -> None:
    """Be a user without capabilities, for good: of that id, or of our own."""
    if uid is None:
        _call("unshare", _NEWUSER)  # no one is mapped into it: our id reads as nobody's
    else:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header, nothing = struct.pack("Ii", 0x2008_0522, 0), bytes(24)  # version 3 of capset's structures
    _call("capset", header, nothing)
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _DUMPABLE, 0, 0, 0, 0)  # so that /proc/self/mem is not ours to read


def limit(limits: dict[str, int], address_space: bool) -> None:
    """Set the resource limits that hold for each process; the tree's are the supervisor's to watch."""
    cpu = limits["cpu_seconds"]
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))  # SIGXCPU, and SIGKILL for who ignores it
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
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "msgget": (68, 186),
    "semget": (64, 190), "kexec_load": (246, 104), "init_module": (175, 105), "personality": (135, 92),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), (435, 435)
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
    return foreign + number + denied + threads + clone + step(_RETURN, _ERRNO | _EPERM) + step(_RETURN, _ALLOW)


def filter_calls() -> bool:
    """Refuse the calls above from now on; whether this machine can."""
    code = filter_for(platform.machine())
    if code is None:
        return False
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(held))
    try:
        _call("prctl", _SECCOMP, 2, program, 0, 0)
    except OSError:
        return False
    return True
