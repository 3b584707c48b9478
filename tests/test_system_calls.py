"""What programs may ask of the kernel: the filter answers as its table says, and honest programs do not notice."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
import threading
import time
from pathlib import Path

import pytest

from qharness import Outcome, Program, execute_programs
from qharness.execution import choose_isolation
from qharness.execution.jail.system_calls import IGNORED, REFUSED, filter_for
from qharness.execution.worker import SandboxWorker
from qharness.registry import get_registry

MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
HEADERS = (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h"))
ALLOWED, KILLED, DONE, EPERM, ENOSYS, NO_FAMILY = 0x7FFF_0000, 0x8000_0000, 0x5_0000, 0x5_0001, 0x5_0026, 0x5_0061
LIBRARY_FILE = os.__file__
"""A file that every program can read, and others can too."""

OTHER_CALLS = {
    "x86_64": {"fcntl": 72, "socket": 41, "socketpair": 53, "clone": 56, "clone3": 435, "kill": 62, "tgkill": 234, "read": 0, "fork": 57, "futex": 202, "fsync": 74},
    "aarch64": {"fcntl": 25, "socket": 198, "socketpair": 199, "clone": 220, "clone3": 435, "kill": 129, "tgkill": 131, "read": 63, "futex": 98, "fsync": 82},
}  # fmt: skip
ANSWERS = [
    ("read", (), ALLOWED), ("futex", (), ALLOWED), ("fork", (), ALLOWED), ("fsync", (), ALLOWED), ("clone3", (), ENOSYS),
    ("fcntl", (3, fcntl.F_SETLK), DONE), ("fcntl", (3, fcntl.F_SETLKW), DONE), ("fcntl", (3, 37), DONE), ("fcntl", (3, 38), DONE),
    ("fcntl", (3, fcntl.F_GETLK), ALLOWED), ("fcntl", (3, fcntl.F_SETFD), ALLOWED), ("fcntl", (3, fcntl.F_DUPFD_CLOEXEC), ALLOWED),
    ("fcntl", (3, fcntl.F_SETLEASE), EPERM), ("fcntl", (3, fcntl.F_NOTIFY), EPERM), ("fcntl", (3, 1031), EPERM),
    ("socket", (1,), ALLOWED), ("socket", (2,), NO_FAMILY), ("socket", (16,), NO_FAMILY), ("socket", (38,), NO_FAMILY),
    ("socketpair", (1,), ALLOWED), ("socketpair", (30,), NO_FAMILY),
    ("clone", (17,), ALLOWED), ("clone", (0x1000_0011,), EPERM),
    ("kill", (1, 11), KILLED), ("kill", (0, 9), KILLED), ("kill", (1, 15), ALLOWED), ("kill", (7, 9), ALLOWED),
    ("tgkill", (1, 1, 11), KILLED), ("tgkill", (1, 11, 0), ALLOWED), ("tgkill", (7, 7, 11), ALLOWED),
]  # fmt: skip


def answer(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What a filter returns, by the rules of classic BPF."""
    call = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    at = word = 0
    while True:
        code, yes, no, value = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        match code:
            case 0x20:
                (word,) = struct.unpack_from("=I", call, value)
            case 0x15:
                at += yes if word == value else no
            case 0x35:
                at += yes if word >= value else no
            case 0x45:
                at += yes if word & value else no
            case 0x06:
                return value
            case _:
                raise AssertionError(code)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_answers_as_its_table_says(machine: str) -> None:
    column, architecture = MACHINES[machine]
    program = filter_for(machine)
    assert program and len(program) <= 8 * 4096
    for table, due in ((REFUSED, EPERM), (IGNORED, DONE)):
        for name, numbers in table.items():
            number = numbers[column]
            assert number is None or answer(program, architecture, number) == due, name
    for name, arguments, due in ANSWERS:
        if name in OTHER_CALLS[machine]:
            assert answer(program, architecture, OTHER_CALLS[machine][name], *arguments) == due, (name, arguments)
    assert answer(program, architecture ^ 1, 0) == KILLED
    assert answer(program, architecture, 0x4000_0000) == ENOSYS


def test_an_architecture_without_a_table_has_no_filter() -> None:
    assert filter_for("riscv64") is None


@pytest.mark.parametrize("column", [0, 1])
def test_numbers_are_the_headers(column: int) -> None:
    if not HEADERS[column].exists():
        pytest.skip(f"needs {HEADERS[column]} (linux-libc-dev on x86-64)")
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[column].read_text()))
    checked = [
        name for name, numbers in {**REFUSED, **IGNORED}.items() if name in known and numbers[column] is not None
    ]
    assert len(checked) > 50
    assert [name for name in checked if {**REFUSED, **IGNORED}[name][column] != int(known[name])] == []


# ------------------------------------------------------------------------------------------------ tried from inside

PERL = "use Errno; for (@ARGV) { $! = 0; my $r = syscall($_, 0, 0, 0, 0, 0, 0); print $r == -1 ? $!+0 : 'done', ' '; }"
_CLOSED_IN_PYTHON = {
    "a lease": f"import fcntl\nfcntl.fcntl(open({LIBRARY_FILE!r}), fcntl.F_SETLEASE, fcntl.F_RDLCK)",
    "news of a folder": "import fcntl, os\nfcntl.fcntl(os.open('/usr', 0), fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_MULTISHOT)",
    "a pipe of a megabyte": "import fcntl, os\nfcntl.fcntl(os.pipe()[1], 1031, 1 << 20)",
    "a device's date": "import os\nos.utime('/dev/null')",
    "a device's mode": "import os\nos.chmod('/dev/zero', 0o600)",
    "a pair of sockets of another family": "import socket\nsocket.socketpair(30, socket.SOCK_SEQPACKET)",
    "a real-time priority": "import os\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
}  # fmt: skip
HONEST = {
    "a lock on an own file": "import fcntl\nf = open('own', 'w')\nfcntl.lockf(f, fcntl.LOCK_EX)\nfcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\nfcntl.lockf(f, fcntl.LOCK_UN)",
    "sqlite": "import sqlite3\nfor mode in ('delete', 'wal'):\n  a, b = (sqlite3.connect(f'/tmp/{mode}') for _ in 'ab')\n  a.execute(f'pragma journal_mode={mode}'); a.execute('create table t (x)'); a.execute('insert into t values (7)'); a.commit()\n  b.execute('insert into t values (8)'); b.commit()\n  assert a.execute('select x from t order by x').fetchall() == [(7,), (8,)]",
    "sqlite by two processes": "import multiprocessing as m, sqlite3\ndef add(n):\n  c = sqlite3.connect('/tmp/db', timeout=9); c.execute('insert into t values (?)', (n,)); c.commit(); c.close()\nc = sqlite3.connect('/tmp/db'); c.execute('create table t (x)'); c.commit()\nfor n in (1, 2):\n  p = m.Process(target=add, args=(n,)); p.start(); p.join()\nassert c.execute('select count(*) from t').fetchone() == (2,)",
    "dbm and shelve": "import shelve\nwith shelve.open('/tmp/s') as s: s['x'] = [1]\nwith shelve.open('/tmp/s') as s: assert s['x'] == [1]",
    "a mailbox": "import mailbox\nm = mailbox.mbox('/tmp/box'); m.lock(); m.add('From: x\\n\\ny'); m.flush(); m.unlock(); assert len(mailbox.mbox('/tmp/box')) == 1",
    "flushing": "import os\nwith open('own', 'w') as f: f.write('x'); f.flush(); os.fsync(f.fileno()); os.fdatasync(f.fileno()); os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)\nos.sync()",
    "devices": "import os\nopen('/dev/null', 'w').write('x')\nassert len(open('/dev/urandom', 'rb').read(4)) == 4 and open('/dev/zero', 'rb').read(2) == bytes(2)",
    "its own processors": "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); os.nice(1)",
    "pairs of sockets and pidfds": "import os, select, signal, socket\na, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'\nif (pid := os.fork()) == 0: os._exit(0)\nselect.select([os.pidfd_open(pid)], [], [], 9); os.waitpid(pid, 0)",
}  # fmt: skip
_JAVA = "import java.io.*; import java.nio.channels.*; import java.nio.file.*; class Main {{ public static void main(String[] a) throws Throwable {{ {} }} }}"
JAVA = {
    "a lock on an own file": 'try (RandomAccessFile f = new RandomAccessFile("/tmp/own", "rw"); FileLock l = f.getChannel().lock()) { assert l.isValid(); f.getChannel().force(true); }',
    "no news of files": "try { FileSystems.getDefault().newWatchService(); } catch (IOException e) { return; } assert false;",
    "no process, no memory": 'for (String name : "loadavg locks stat meminfo version cmdline sys net".split(" ")) assert !new File("/proc/" + name).exists() : name; assert !new File("/proc/self/mem").exists() && new File("/proc").list().length == 1;',
    "no host's name": 'Process p = new ProcessBuilder("uname", "-n").start(); assert new String(p.getInputStream().readAllBytes()).trim().equals("sandbox");',
    "locks of many threads": 'FileChannel c = FileChannel.open(Path.of("/tmp/own"), StandardOpenOption.CREATE, StandardOpenOption.WRITE); Thread t = new Thread(() -> { try { c.lock(5, 1, false).release(); } catch (IOException e) { throw new RuntimeException(e); } }); c.lock(0, 1, false); t.start(); t.join(); c.close();',
}  # fmt: skip


def outcomes(language: str, sources: list[str]) -> list[Outcome]:
    return execute_programs(language, sources, workers=2)


@pytest.mark.skipif(not shutil.which("perl") or os.uname().machine not in MACHINES, reason="needs perl and a filter")
def test_each_refused_call_is_refused() -> None:
    column, _ = MACHINES[os.uname().machine]
    numbers = [numbers[column] for numbers in REFUSED.values() if numbers[column] is not None]
    done = [numbers[column] for name, numbers in IGNORED.items() if numbers[column] is not None]
    source = f"import subprocess\ncalls = {[str(n) for n in (*numbers, *done)]!r}\nfound = subprocess.run(['/usr/bin/perl', '-e', {PERL!r}, *calls], capture_output=True, text=True).stdout.split()\nassert found == {['1'] * len(numbers) + ['done'] * len(done)!r}, [pair for pair in zip(calls, found) if pair[1] != '1']"
    (outcome,) = outcomes("python", [source])
    assert outcome.passed, outcome


def test_what_is_closed_is_an_error() -> None:
    for case, outcome in zip(_CLOSED_IN_PYTHON, outcomes("python", list(_CLOSED_IN_PYTHON.values())), strict=True):
        assert re.match("(PermissionError|OSError):", outcome.detail), (case, outcome)


def test_honest_uses_go_on_working() -> None:
    for case, outcome in zip(HONEST, outcomes("python", list(HONEST.values())), strict=True):
        assert outcome.passed, (case, outcome)


def test_java_programs() -> None:
    for case, outcome in zip(JAVA, outcomes("java", [_JAVA.format(body) for body in JAVA.values()]), strict=True):
        assert outcome.passed, (case, outcome)


def test_the_hosts_name_is_not_seen() -> None:
    (outcome,) = outcomes("python", ["import os, platform, socket\nassert {os.uname().nodename, platform.node(), socket.gethostname()} == {'sandbox'}"])  # fmt: skip
    assert outcome.passed, outcome


def is_locked(file: object) -> bool:
    """Whether anyone holds a lock of either kind that would make the holder of an exclusive one wait."""
    asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind = struct.unpack_from("h", fcntl.fcntl(file, fcntl.F_GETLK, asked))[0]  # type: ignore[call-overload]
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]
        fcntl.flock(file, fcntl.LOCK_UN)  # type: ignore[arg-type]
    except BlockingIOError:
        return True
    return bool(kind != fcntl.F_UNLCK)


LOCKS = {
    "python": f"import fcntl, time\nf = open({LIBRARY_FILE!r})\nfcntl.flock(f, fcntl.LOCK_EX)\nfcntl.lockf(f, fcntl.LOCK_SH)\nend = time.time() + 0.6\nwhile time.time() < end: time.sleep(0.01)",
    "java": _JAVA.format('FileChannel c = FileChannel.open(Path.of("/usr/bin/env")); c.lock(0, 1, true); Thread.sleep(600);'),
}  # fmt: skip


@pytest.mark.parametrize("language", LOCKS)
def test_no_program_locks_a_file_for_others(language: str) -> None:
    """Neither for the host nor, then, for the program of another worker, which opens the same file."""
    worker = SandboxWorker(get_registry().language(language), choose_isolation())
    path = {"python": LIBRARY_FILE, "java": "/usr/bin/env"}[language]
    ended: list[Outcome] = []
    thread = threading.Thread(target=lambda: ended.append(worker.run(Program(language, LOCKS[language]))))
    with Path(path).open() as file:
        assert not is_locked(file)
        thread.start()
        found = []
        while thread.is_alive():
            found.append(is_locked(file))
            time.sleep(0.01)
    worker.close()
    assert ended[0].passed, ended
    assert len(found) > 10 and not any(found)


def test_programs_at_the_same_time_find_nothing_of_one_another() -> None:
    """One makes what another could find by its name, and stays; the other, of another worker, looks for half a second."""
    make = "import socket, time\ns = socket.socket(socket.AF_UNIX); s.bind('\\0qharness-meeting'); s.listen()\nopen('/dev/shm/meeting', 'w'); open('/tmp/meeting', 'w')\ntime.sleep(1.5)"
    look = "import os, socket, time\nend, found = time.time() + 0.5, []\nwhile time.time() < end:\n  found += [n for n in ('/dev/shm/meeting', '/tmp/meeting') if os.path.exists(n)]\n  try: socket.socket(socket.AF_UNIX).connect('\\0qharness-meeting'); found.append('socket')\n  except ConnectionRefusedError: pass\n  time.sleep(0.02)\nassert not found, found"
    maker, looker = (SandboxWorker(get_registry().language("python"), choose_isolation()) for _ in range(2))
    assert looker.run(Program("python", "x = 1")).passed
    thread = threading.Thread(target=maker.run, args=(Program("python", make),))
    thread.start()
    time.sleep(0.6)
    outcome = looker.run(Program("python", look))
    assert thread.is_alive()  # else it looked for what was not there yet, or no longer
    thread.join()
    maker.close()
    looker.close()
    assert outcome.passed, outcome
