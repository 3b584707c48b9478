"""The system-call filter: which calls of a program the kernel refuses, and which it answers without doing anything.

A filter is a program of classic BPF, which the kernel runs at each call. Stdlib only.
"""

import struct
from collections.abc import Iterable

# Numbers by architecture, as in asm/unistd_64.h and asm-generic/unistd.h; None where there is no such call.
Numbers = tuple[int | None, int | None]
_ARCHITECTURES = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}
CLONE: Numbers = (56, 220)

# What no benchmark needs. First what reaches into other processes, or tells of them.
_PROCESSES: dict[str, Numbers] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438), "kcmp": (312, 272), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "perf_event_open": (298, 241),
}  # fmt: skip
# Other namespaces, other mounts, and files by other ways than their names.
_NAMESPACES: dict[str, Numbers] = {
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "statmount": (457, 457), "listmount": (458, 458), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "quotactl": (179, 60), "quotactl_fd": (443, 443),
}  # fmt: skip
# What outlives or joins programs: keys, System V and POSIX objects; and news of files that programs share with others.
_SHARED: dict[str, Numbers] = {
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262), "cachestat": (451, 451),
}  # fmt: skip
# Parts of the kernel with a history of holes, whose contexts are counted for the whole machine, or whose memory no
# limit of ours counts.
_KERNEL: dict[str, Numbers] = {
    "bpf": (321, 280), "userfaultfd": (323, 282), "io_setup": (206, 0), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "vmsplice": (278, 75), "remap_file_pages": (216, 234), "modify_ldt": (154, None),
    "personality": (135, 92),
}  # fmt: skip
# What takes a capability that no program has: refused here too.
_ADMINISTRATION: dict[str, Numbers] = {
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "syslog": (103, 116), "acct": (163, 89), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "sethostname": (170, 161), "setdomainname": (171, 162),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "vhangup": (153, 58), "iopl": (172, None), "ioperm": (173, None),
}  # fmt: skip
REFUSED = {**_PROCESSES, **_NAMESPACES, **_SHARED, **_KERNEL, **_ADMINISTRATION}
# Locks, advice and flushing: on a file that others read too they would hold up or slow down others, and on the
# program's own no other program could see them. So a lock is always granted, even to two processes at a time.
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
_DEADLY = (4, 7, 8, 9, 11)  # which a first process that sends them to itself would survive
_LOCAL, _NEWUSER, _X32 = 1, 0x1000_0000, 0x4000_0000

_LOAD, _EQUALS, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, (16, 24, 32)  # where they lie in what a filter reads


def filter_for(machine: str) -> bytes | None:
    """The filter, None for an architecture that has no row here. It is

    if not our architecture: kill
    if an x32 call, or clone3: there is no such call      (clone3's flags lie in memory; the C library takes clone)
    if one of REFUSED: not permitted
    if one of IGNORED: done
    if fcntl: done, not permitted or allowed, by its command
    if socket or socketpair: only local ones
    if clone: not into a new user namespace
    if kill, tkill or tgkill: where the first process, or its group, sends itself what would kill any other: kill
    allow
    """
    if machine not in _ARCHITECTURES:
        return None
    architecture, column = _ARCHITECTURES[machine]

    def calls(*rows: Numbers) -> list[int]:
        return [row[column] for row in rows if row[column] is not None]  # type: ignore[misc]

    local = _load(_ARGUMENTS[0]) + _if_in([_LOCAL], _ALLOWED) + _answer(_EAFNOSUPPORT)
    by_command = _load(_ARGUMENTS[1]) + _if_in(_IGNORED_COMMANDS.values(), _answer(0))
    by_command += _if_in(_REFUSED_COMMANDS.values(), _answer(_EPERM)) + _ALLOWED
    by_flags = _load(_ARGUMENTS[0]) + _if_any_bit(_NEWUSER, _answer(_EPERM)) + _ALLOWED
    blocks = [
        _load(_ARCHITECTURE) + _step(_EQUALS, architecture, 1, 0) + _step(_RETURN, _KILL_PROCESS),
        _load(_NUMBER),
        _step(_AT_LEAST, _X32, 0, 1) + _answer(_ENOSYS),
        _if_in(calls(_CLONE3), _answer(_ENOSYS)),
        _if_in(calls(*REFUSED.values()), _answer(_EPERM)),
        _if_in(calls(*IGNORED.values()), _answer(0)),
        _if_in(calls(_FCNTL), by_command),
        _if_in(calls(_SOCKET, _SOCKETPAIR), local),
        _if_in(calls(CLONE), by_flags),
        _if_in(calls(_KILL, _TKILL), _to_oneself(_ARGUMENTS[1])),
        _if_in(calls(_TGKILL), _to_oneself(_ARGUMENTS[2])),
        _ALLOWED,
    ]
    return b"".join(blocks)


def call_number(numbers: Numbers, machine: str) -> int:
    """A call's number on an architecture that has a filter and the call."""
    number = numbers[_ARCHITECTURES[machine][1]]
    assert number is not None
    return number


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """One instruction; a test skips so many of the next if it holds, and so many if not."""
    return struct.pack("HBBI", code, yes, no, value)


def _load(offset: int) -> bytes:
    """Take a word of the call, which tests are then of."""
    return _step(_LOAD, offset)


def _answer(number: int) -> bytes:
    """End: the call is not made, and fails with that error; with 0, it looks as if it was made."""
    return _step(_RETURN, _ERRNO | number)


_ALLOWED = _step(_RETURN, _ALLOW)
_STEP = len(_ALLOWED)


def _if_in(values: Iterable[int], block: bytes) -> bytes:
    """Where the word is one of these, go through the block, which must end; else go on behind it."""
    tests = list(values)
    last = len(tests) - 1
    jumps = (_step(_EQUALS, value, last - at, len(block) // _STEP * (at == last)) for at, value in enumerate(tests))
    return b"".join(jumps) + block


def _if_any_bit(bits: int, block: bytes) -> bytes:
    return _step(_ANY_BIT, bits, 0, len(block) // _STEP) + block


def _to_oneself(signal_at: int) -> bytes:
    """Kill the first process where it sends a deadly signal to itself (1) or its group (0); allow anything else."""
    deadly = _load(signal_at) + _if_in(_DEADLY, _step(_RETURN, _KILL_PROCESS)) + _ALLOWED
    return _load(_ARGUMENTS[0]) + _if_in((0, 1), deadly) + _ALLOWED
