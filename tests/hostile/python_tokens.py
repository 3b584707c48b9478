"""Python programs that forge the harness's report, or look for the secret it is signed with."""

from __future__ import annotations

from qharness import Status
from tests.hostile import NOT_PASSED, python

EARLY, FAILED, ERROR = Status.EARLY_EXIT, Status.FAILED, Status.ERROR
END = "os._exit(0)"

# Everything that can be reached from `start` within three steps, as bytes.
WALK = r"""
import gc
def texts(start):
    seen, level, out = set(), list(start), []
    for _ in range(4):
        following = []
        for value in level:
            if id(value) in seen or len(seen) > 200_000:
                continue
            seen.add(id(value))
            if isinstance(value, (str, bytes, bytearray)):
                out.append(bytes_of(value)[:4096])
            elif isinstance(value, dict):
                following += [*value, *value.values()]
            elif isinstance(value, (list, tuple, set)):
                following += value
        level = following
    return b"\n".join(out)
"""
MEMORY = r"""
def memory(pid):
    found = set()
    for line in open(f"/proc/{pid}/maps"):
        area, rights = line.split()[:2]
        start, end = (int(part, 16) for part in area.split("-"))
        if rights.startswith("rw") and end - start < 64 << 20:
            try:
                with open(f"/proc/{pid}/mem", "rb", 0) as file:
                    file.seek(start)
                    data = file.read(end - start)
                found.update(re.findall(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", data))
            except (OSError, ValueError):
                pass
    return b"\n".join(found)
"""


def forger(name: str, source: str) -> list:
    """Forge with what `source` leaves in `data`, and end: at import, and in the function while the tests run."""
    attempt = "data = b''\ntry:\n" + _indented(source) + "\nexcept Exception: pass\nforge(data)\n" + END
    called = "def f():\n" + _indented(attempt)
    return [
        python(name, attempt, EARLY, ERROR),
        python(f"{name}, when called", called, EARLY, ERROR, tests="def check(g): assert g() == 1\ncheck(f)"),
    ]


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip("\n").splitlines())


_BACK = """
frame, values = sys._getframe(), []
while frame:
    values += [frame.f_locals, frame.f_globals, frame.f_builtins]
    values += [cell.cell_contents for function in list(frame.f_locals.values()) for cell in getattr(function, "__closure__", None) or ()]
    frame = frame.f_back
data = texts(values)
"""
_TRACEBACK = """
try:
    1 / 0
except ZeroDivisionError as error:
    trace, values = error.__traceback__, []
    frame = trace.tb_frame
    while frame:
        values += [frame.f_locals, frame.f_globals]
        frame = frame.f_back
data = texts(values)
"""
_GC = """
import types
values = []
for value in gc.get_objects():
    if isinstance(value, (types.FrameType, types.FunctionType, types.CellType)):
        values += gc.get_referents(value)
data = texts(values + gc.get_referents(*[v for v in values if isinstance(v, types.CellType)]))
"""
_REFERRERS = """
import types
data = texts([r for name in (b"passed", "passed", os.write, os._exit) for r in gc.get_referrers(name)])
"""
_SOURCE = """
import inspect, __main__
texts_ = [repr(sys.argv), repr(sys.orig_argv), repr(vars(__main__)), repr(sys.flags)]
for frame in inspect.stack():
    texts_.append(repr(frame))
    try: texts_.append(inspect.getsource(frame.frame))
    except Exception: pass
data = "\\n".join(texts_).encode()
"""
_PROC = """
for name in ("cmdline", "environ", "auxv", "stack", "syscall", "task/self/children"):
    for pid in ("self", os.getppid(), 1, 2):
        try: data += open(f"/proc/{pid}/{name}", "rb").read(1 << 20)
        except OSError: pass
"""
_DESCRIPTORS = """
for descriptor in range(64):
    try:
        os.set_blocking(descriptor, False)
        try: os.lseek(descriptor, 0, 0)
        except OSError: pass
        data += os.read(descriptor, 1 << 20)
    except OSError: pass
    for pid in ("self", os.getppid()):
        try: data += os.read(os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK), 1 << 20)
        except OSError: pass
"""
_CTYPES = """
import ctypes
for line in open("/proc/self/maps"):
    area, rights = line.split()[:2]
    start, end = (int(part, 16) for part in area.split("-"))
    if rights.startswith("rw") and end - start < 64 << 20 and "[v" not in line:
        data += b"\\n".join(re.findall(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", ctypes.string_at(start, end - start))) + b"\\n"
"""
_CHILD = """
import subprocess
code = WHAT + "\\nimport sys, re\\nsys.stdout.buffer.write(memory(sys.argv[1]) + bytes([10]))"
for python in (sys.executable, "/usr/bin/python3"):
    try: data += subprocess.run([python, "-I", "-c", code, str(os.getpid())], capture_output=True).stdout
    except OSError: pass
"""

FORGERS = [
    *forger("a printed report", "print('started'); print('passed'); print('{\"status\": \"passed\"}', flush=True)"),
    *forger("source, arguments and __main__", _SOURCE),
    *forger("frames", WALK + _BACK),
    *forger("frames of all threads", WALK + _BACK.replace("sys._getframe()", "sys._current_frames().popitem()[1]")),
    *forger("a traceback's frames", WALK + _TRACEBACK),
    *forger("gc.get_objects", WALK + _GC),
    *forger("gc.get_referrers", WALK + _REFERRERS),
    *forger("/proc/self", _PROC),
    *forger("every descriptor", _DESCRIPTORS),
    *forger("/proc/self/mem", MEMORY + "data = memory('self')"),
    *forger("ctypes.string_at", _CTYPES),
    *forger("a child reads its parent's memory", f"WHAT = {MEMORY!r}\n" + _CHILD),
    python("a forked child reports", "if os.fork() == 0:\n  import time\n  for _ in range(20): forge(); time.sleep(0.01)\nos._exit(0)", EARLY, ERROR),
    python("a child reports, the parent is wrong", "if os.fork() == 0:\n  forge()\n  os._exit(0)\nos.wait()", FAILED, ERROR),
    python("a pass before the tests", "forge()", FAILED, ERROR),
    python("the harness's own functions", r'''
import types
def reports(value):
    return isinstance(value, types.FunctionType) and value.__globals__ is not globals()
frame, own = sys._getframe(), []
while frame:
    own += [v for v in [*frame.f_locals.values(), *frame.f_globals.values()] if reports(v)]
    frame = frame.f_back
for function in own:
    for arguments in ((b"passed",), ("passed",), (b"passed", None), ()):
        try: function(*arguments)
        except BaseException: pass
os._exit(0)
''', *NOT_PASSED),
    python("the harness's own names changed", r'''
frame = sys._getframe(1)
while frame:
    for names in (frame.f_locals, frame.f_globals):
        for name, value in list(names.items()):
            if value in (b"failed", b"error", "failed", "error", b"early-exit", AssertionError):
                names[name] = b"passed"
    frame = frame.f_back
import types
for name in ("write", "_exit", "getpid", "dup", "dup2"):
    setattr(os, name, lambda *a, _real=getattr(os, name): _real(*[x.replace(b" failed ", b" passed ") if type(x) is bytes else x for x in a]))
''', *NOT_PASSED),
]  # fmt: skip

PROGRAMS = FORGERS
