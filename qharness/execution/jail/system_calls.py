"""The system-call filter: the kernel refuses some calls of a program, and answers some without executing them.

A filter is a program of classic BPF, which the kernel runs at each call: it loads a word of the call into its one
register A, compares A, skips a number of steps, and returns what becomes of the call (seccomp(2)). Stdlib only.
"""

import struct
from collections.abc import Iterable

# Call numbers by architecture, as in asm/unistd_64.h and asm-generic/unistd.h; None where there is no such call.
Numbers = tuple[int | None, int | None]
_ARCHITECTURES = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}
CLONE: Numbers = (56, 220)

# No benchmark needs these. First: calls that reach into other processes, or observe them.
_PROCESSES: dict[str, Numbers] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438), "kcmp": (312, 272), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "perf_event_open": (298, 241),
}  # fmt: skip
# Calls that make namespaces and mounts, or open files without their names.
_NAMESPACES: dict[str, Numbers] = {
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "statmount": (457, 457), "listmount": (458, 458), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "quotactl": (179, 60), "quotactl_fd": (443, 443),
}  # fmt: skip
# Objects that outlive or connect programs (keys, System V and POSIX objects), and events of files shared with others.
_SHARED: dict[str, Numbers] = {
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262), "cachestat": (451, 451),
}  # fmt: skip
# Parts of the kernel that have a history of holes, count their contexts for the whole machine, or take memory that
# none of our limits counts.
_KERNEL: dict[str, Numbers] = {
    "bpf": (321, 280), "userfaultfd": (323, 282), "io_setup": (206, 0), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "vmsplice": (278, 75), "remap_file_pages": (216, 234), "modify_ldt": (154, None),
    "personality": (135, 92),
}  # fmt: skip
# Calls that need a capability, which no program has: the filter refuses them as well.
_ADMINISTRATION: dict[str, Numbers] = {
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "syslog": (103, 116), "acct": (163, 89), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "sethostname": (170, 161), "setdomainname": (171, 162),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "vhangup": (153, 58), "iopl": (172, None), "ioperm": (173, None),
}  # fmt: skip
REFUSED = {**_PROCESSES, **_NAMESPACES, **_SHARED, **_KERNEL, **_ADMINISTRATION}
# Locks, advice and flushing: on a file that others read they would hold up others, and on the program's own files
# nobody else sees them. So a lock is always granted, even to two processes at a time.
IGNORED: dict[str, Numbers] = {
    "flock": (73, 32), "sync": (162, 81), "syncfs": (306, 267), "fadvise64": (221, 223), "readahead": (187, 213),
}  # fmt: skip
_FCNTL: Numbers = (72, 25)
_IGNORED_COMMANDS = {"F_SETLK": 6, "F_SETLKW": 7, "F_OFD_SETLK": 37, "F_OFD_SETLKW": 38}
_REFUSED_COMMANDS = {"F_SETLEASE": 1024, "F_NOTIFY": 1026, "F_SETPIPE_SZ": 1031, "F_SET_RW_HINT": 1036}
_REFUSED_COMMANDS["F_SET_FILE_RW_HINT"] = 1038
_CLONE3: Numbers = (435, 435)
_SOCKET, _SOCKETPAIR = (41, 198), (53, 199)
_KILL, _TKILL, _TGKILL = (62, 129), (200, 130), (234, 131)
_DEADLY = (4, 7, 8, 9, 11)  # signals that the first process of a pid namespace survives if it sends them to itself
_LOCAL, _NEWUSER, _X32 = 1, 0x1000_0000, 0x4000_0000

_LOAD, _EQUALS, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # operations, as in linux/bpf_common.h
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, (16, 24, 32)  # offsets in struct seccomp_data, in bytes


def filter_for(machine: str) -> bytes | None:
    """Return the filter as bytes of struct sock_filter; None for an architecture that is not in the table.

    A comment precedes each step or block with its pseudo-code. ALLOW executes the call; FAIL(e) makes it return the
    error e without executing it, and FAIL(0) makes it seem to succeed; KILL ends the process.
    """
    if machine not in _ARCHITECTURES:
        return None
    architecture, column = _ARCHITECTURES[machine]

    def calls(*rows: Numbers) -> list[int]:
        return [row[column] for row in rows if row[column] is not None]  # type: ignore[misc]

    # A = family;  if A == AF_UNIX: ALLOW;  FAIL(EAFNOSUPPORT)
    local = _load(_ARGUMENTS[0]) + _if_in([_LOCAL], _ALLOWED) + _answer(_EAFNOSUPPORT)
    # A = command;  if A in IGNORED_COMMANDS: FAIL(0);  if A in REFUSED_COMMANDS: FAIL(EPERM);  ALLOW
    by_command = _load(_ARGUMENTS[1]) + _if_in(_IGNORED_COMMANDS.values(), _answer(0))
    by_command += _if_in(_REFUSED_COMMANDS.values(), _answer(_EPERM)) + _ALLOWED
    # A = flags;  if A & CLONE_NEWUSER: FAIL(EPERM);  ALLOW
    by_flags = _load(_ARGUMENTS[0]) + _if_any_bit(_NEWUSER, _answer(_EPERM)) + _ALLOWED
    blocks = [
        # A = architecture;  if A == ours: skip 1;  KILL
        _load(_ARCHITECTURE) + _step(_EQUALS, architecture, 1, 0) + _step(_RETURN, _KILL_PROCESS),
        # A = number of the call
        _load(_NUMBER),
        # if A < 0x4000_0000: skip 1;  FAIL(ENOSYS)      (calls of the x32 architecture)
        _step(_AT_LEAST, _X32, 0, 1) + _answer(_ENOSYS),
        # if A == clone3: FAIL(ENOSYS)                   (its flags lie in memory; the C library then takes clone)
        _if_in(calls(_CLONE3), _answer(_ENOSYS)),
        # if A in REFUSED: FAIL(EPERM)
        _if_in(calls(*REFUSED.values()), _answer(_EPERM)),
        # if A in IGNORED: FAIL(0)
        _if_in(calls(*IGNORED.values()), _answer(0)),
        # if A == fcntl: go by its command
        _if_in(calls(_FCNTL), by_command),
        # if A in (socket, socketpair): go by its family
        _if_in(calls(_SOCKET, _SOCKETPAIR), local),
        # if A == clone: go by its flags
        _if_in(calls(CLONE), by_flags),
        # if A in (kill, tkill): go by its target and its signal, the second argument
        _if_in(calls(_KILL, _TKILL), _to_oneself(_ARGUMENTS[1])),
        # if A == tgkill: the same; its signal is the third argument
        _if_in(calls(_TGKILL), _to_oneself(_ARGUMENTS[2])),
        # ALLOW
        _ALLOWED,
    ]
    return b"".join(blocks)


def call_number(numbers: Numbers, machine: str) -> int:
    """Return a call's number on an architecture that has a filter and the call."""
    number = numbers[_ARCHITECTURES[machine][1]]
    assert number is not None
    return number


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """One step; a comparison skips `yes` of the next steps if it holds, and `no` of them if not."""
    return struct.pack("HBBI", code, yes, no, value)


def _load(offset: int) -> bytes:
    """A = the word at that offset."""
    return _step(_LOAD, offset)


def _answer(number: int) -> bytes:
    """FAIL(number)."""
    return _step(_RETURN, _ERRNO | number)


_ALLOWED = _step(_RETURN, _ALLOW)
_STEP = len(_ALLOWED)


def _if_in(values: Iterable[int], block: bytes) -> bytes:
    """If A is one of these, run the block, which must return; else go on behind it. For a block of B steps:

    if A == value 0: skip all comparisons that follow (to the block)
    if A == value 1: skip all comparisons that follow
    if A == last value: skip 0, else skip B (behind the block)
    the block
    """
    tests = list(values)
    last = len(tests) - 1
    jumps = (_step(_EQUALS, value, last - at, len(block) // _STEP * (at == last)) for at, value in enumerate(tests))
    return b"".join(jumps) + block


def _if_any_bit(bits: int, block: bytes) -> bytes:
    """If A & bits: skip 0, to the block, which must return; else skip the block."""
    return _step(_ANY_BIT, bits, 0, len(block) // _STEP) + block


def _to_oneself(signal_at: int) -> bytes:
    """Kill the first process if it sends a deadly signal to itself (1) or its group (0); allow anything else.

    A = target;  if A in (0, 1): (A = signal;  if A in DEADLY: KILL;  ALLOW);  ALLOW
    """
    deadly = _load(signal_at) + _if_in(_DEADLY, _step(_RETURN, _KILL_PROCESS)) + _ALLOWED
    return _load(_ARGUMENTS[0]) + _if_in((0, 1), deadly) + _ALLOWED
