"""Python programs that end before their tests do, or that change what the tests use."""

from __future__ import annotations

from qharness import Status
from tests.hostile import NOT_PASSED, python

EARLY, FAILED, ERROR = Status.EARLY_EXIT, Status.FAILED, Status.ERROR
WRONG = "assert f() == 1"
CLOSE = "value = f()\nassert abs(value - 1.0) < 1e-6"
MATH = "import math\nvalue = f()\nassert math.isclose(value, 1.0)"
UNITTEST = """
import unittest
class Test(unittest.TestCase):
    def test_one(self):
        value = f()
        self.assertEqual(value, 1)
if __name__ == "__main__":
    unittest.main()
"""
ENDED_BY_SIGNAL = "import os, signal, time\nos.kill(os.getpid(), signal.{})\ntime.sleep(0.3)\nos._exit(7)"

EXITS = [
    python("exit at import", "sys.exit(0)", EARLY),
    python("exit in the function", "def f(): raise SystemExit", EARLY, tests=WRONG),
    python("hard exit", "def f(): os._exit(0)", EARLY, tests=WRONG),
    python("exit in atexit", "import atexit\natexit.register(os._exit, 0)\ndef f(): return 2", tests=WRONG),
    python("exit, and atexit exits harder", "import atexit\natexit.register(os._exit, 0)\nsys.exit(1)", EARLY),
    python("exit in a thread", "import threading\ndef f(): threading.Thread(target=sys.exit).start(); return 2", tests=WRONG),
    python("hard exit in a thread", "import threading, time\ndef f(): threading.Thread(target=os._exit, args=(0,)).start(); time.sleep(5)", EARLY, tests=WRONG),
    python("another program in its place", "os.execv('/bin/true', ['true'])", EARLY),
    python("SIGKILL to itself", ENDED_BY_SIGNAL.format("SIGKILL"), ERROR, EARLY),
    python("SIGTERM to itself", ENDED_BY_SIGNAL.format("SIGTERM"), ERROR, EARLY),
    python("SIGSEGV to itself", ENDED_BY_SIGNAL.format("SIGSEGV"), ERROR, EARLY),
    python("abort", "os.abort()", ERROR, EARLY),
    python("SIGSTOP to itself", "import signal\nos.kill(os.getpid(), signal.SIGSTOP)\nos.kill(0, signal.SIGSTOP)\nimport time; time.sleep(100)", Status.TIMEOUT),
    python("an interrupt", "raise KeyboardInterrupt", ERROR),
    python("closes all descriptors", "os.closerange(0, 1 << 16)", *NOT_PASSED),
    python("closes all descriptors and exits", "os.closerange(0, 1 << 16)\nos._exit(0)", EARLY),
    python("the parent exits, the child goes on", "if os.fork(): os._exit(0)", EARLY, tests="pass"),
    python("the child exits, the parent is wrong", "if os.fork() == 0: os._exit(0)\ndef f(): return 2", tests=WRONG),
]  # fmt: skip

_TRACER = """
def f():
    def trace(frame, event, argument):
        if event == "line" and frame is outer and frame.f_lineno == 2:
            frame.f_lineno = 3
        return trace
    outer = sys._getframe(1)
    sys.settrace(trace)
    outer.f_trace = trace
    return 2
"""
_PROFILER = """
def f():
    def profile(frame, event, argument):
        if event == "c_call":
            outer.f_globals["value"] = 1
    outer = sys._getframe(1)
    sys.setprofile(profile)
    return 2
"""
_LINES = "value = f()\nassert value == 1\nlast = 1"


def _twice(name: str, change: str, tests: str, setup: str = "") -> list:
    """A change that is made when the solution is imported, and one that its function makes when it is called."""
    imported = f"{setup}\n{change}\ndef f(): return 2"
    indented = "\n".join(f"    {line}" for line in f"global isinstance_\n{change}".splitlines()[1:])
    called = f"{setup}\ndef f():\n{indented}\n    return 2"
    return [
        python(f"{name}, at import", imported, *NOT_PASSED, tests=tests),
        python(f"{name}, when called", called, *NOT_PASSED, tests=tests),
    ]


_FAKE = """
import builtins, types
class Fake(types.ModuleType):
    def __getattr__(self, name):
        return lambda *a, **k: True
class Case: pass
fake = Fake("math")
tests = types.ModuleType("unittest")
tests.TestCase, tests.main = Case, lambda *a, **k: None
"""

PATCHES = [
    *_twice("TestCase.assertEqual", "import unittest\nunittest.TestCase.assertEqual = lambda *a: None", UNITTEST),
    *_twice("TestCase.run", "import unittest\nunittest.TestCase.run = lambda self, result=None: result", UNITTEST.replace("value = f()", "value = f(); f()")),
    *_twice("unittest.main", "import unittest\nunittest.main = unittest.TestProgram = lambda *a, **k: None", "value = f()\n" + UNITTEST),
    *_twice("abs", "builtins.abs = lambda x: 0", CLOSE, "import builtins"),
    *_twice("len", "builtins.len = lambda x: 3", "value = [f()]\nassert len(value) == 3", "import builtins"),
    *_twice("isinstance", "builtins.isinstance = lambda a, b: True", "value = f()\nassert isinstance(value, str)", "import builtins"),
    *_twice("AssertionError", "builtins.AssertionError = lambda *a: SystemExit(0)", "if f() != 1: raise AssertionError('wrong')", "import builtins"),
    *_twice("all", "__builtins__['all'] = lambda x: True", "value = f()\nassert all([value == 1])", "import builtins; __builtins__ = builtins.__dict__"),
    *_twice("__import__", "builtins.__import__ = lambda *a, **k: fake", "value = f()\n" + MATH, _FAKE),
    *_twice("sys.modules['math']", "sys.modules['math'] = fake", "value = f()\n" + MATH, _FAKE),
    *_twice("math.isclose", "import math\nmath.isclose = lambda *a, **k: True", MATH),
    *_twice("sys.modules['unittest']", "sys.modules['unittest'] = tests", "value = f()\n" + UNITTEST, _FAKE),
    *_twice("sys.exit", "sys.exit = lambda *a: None", "import sys\nif f() != 1: sys.exit(1)"),
    *_twice("sys.excepthook", "sys.excepthook = sys.unraisablehook = lambda *a: os._exit(0)", WRONG),
    python("settrace jumps over an assertion", _TRACER, *NOT_PASSED, tests=_LINES),
    python("setprofile changes the result", _PROFILER, *NOT_PASSED, tests="value = f()\nid(0)\nassert value == 1"),
]  # fmt: skip

PROGRAMS = [*EXITS, *PATCHES]
