"""The checker's process: it alone holds the tests and the verdict, and calls what they test in the program's process.

The tests run in a namespace that looks up undefined names in the program: functions and classes come as stand-ins,
values as they are, modules as this process has them. Builtins are this process's own. Tests that need the program's
process (`python_tests` decides which) run there instead, after the solution and by the harness, and the verdict says
so. The tests decide that, never the program.
"""

import ast
import builtins
import importlib
import json
import os
import resource
import signal
import sys
import types
import typing
import unittest

from qharness.plugins.languages.python_calls import Channel, Gone, Peer
from qharness.plugins.languages.python_cases import UnusableCasesError, judge, suite_of
from qharness.plugins.languages.python_harness import one_line, status_of
from qharness.plugins.languages.python_stand_ins import StandIn, awaited, iterated
from qharness.plugins.languages.python_unittest import UnittestMain, UnittestResult
from qharness.plugins.languages.python_values import CannotCross

_TOKEN_BYTES = 16
_MOST_LINES = 1000
_OF_ITSELF = frozenset(("compile-error", "failed", "error", "out-of-memory", "early-exit", "timeout"))
_LONGEST_DETAIL = 300
_CAUGHT_BY_MANY = (AssertionError, Exception, BaseException)  # a name for one of these would catch a failed assertion


class _CheckerPeer(Peer):
    """The checker's side of the calls. `marked`: the verdict relies on a statement of the program's."""

    def __init__(self, channel, functions):
        """`functions`: nodes of handles by name, which the program has sent beforehand."""
        super().__init__(channel)
        self.operations = {"call": self._call}
        self._functions = functions
        self.marked = False
        self._failure = None

    def mark(self):
        self.marked = True

    def ask(self, operation, *values, **named):
        """Ask as any peer does; turn StopIteration into RuntimeError, unless it ends an iterator."""
        try:
            return super().ask(operation, *values, **named)
        except (Gone, CannotCross) as error:
            self._failure = error
            raise
        except StopIteration as error:
            if operation != "__next__":
                raise RuntimeError(f"StopIteration: {error}") from None
            raise

    def named(self, name):
        """Return (kind, value or its name) of a name in the program."""
        if name not in self._functions:
            return self.ask("named", name)
        try:
            tag, *parts = self._functions[name]
            return "value", self.object_of(tag, parts)
        except Exception as error:
            raise Gone(f"no handle: {type(error).__name__}") from None

    def raise_failure(self):
        """Raise the failure, if there was one: a handler in the tests may have caught it."""
        if self._failure is not None:
            raise self._failure

    def _call(self, function, *values, **named):
        """Call a function that the tests gave the program; refuse any other."""
        if not self.gave(function):
            raise TypeError("not to be called from here")
        return function(*values, **named)

    def stand_in(self, number, kind, about):
        if kind == "iterator":
            return iterated(self)
        if kind == "awaitable":
            return awaited(self)
        if kind == "exception":
            return self.exception_class([tuple(map(str, each)) for each in about])
        return StandIn(self, kind)

    def describe(self, value):
        """Return None for a function, which the program may call; it cannot reach any other object of the tests."""
        if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
            return None
        raise CannotCross(f"{type(value).__name__} as an argument")


class _Namespace(dict):
    """The tests' globals. `entry_points`: names of builtins that the program redefines; `modules`: of the library."""

    def __init__(self, peer, entry_points, modules):
        super().__init__(__name__="__main__", __builtins__=builtins)
        self._peer = peer
        self._entry_points = entry_points
        self._modules = modules
        self._named = 0

    def __missing__(self, name):
        if hasattr(builtins, name) and name not in self._entry_points:
            raise KeyError(name)
        self[name] = importlib.import_module(name) if name in self._modules else self._of_the_program(name)
        return self[name]

    def _of_the_program(self, name):
        """Return what the program has under a name: a module, an exception's class, a value or a stand-in."""
        found, value = self._peer.named(name)
        if found == "absent":
            raise KeyError(name)
        if found == "module":
            return _own_module(str(value))
        if found == "typing":
            return getattr(typing, str(value))
        if type(value) is StandIn:
            object.__setattr__(value, "_named_", True)
        if isinstance(value, type) and issubclass(value, BaseException):
            return self._peer.exception_class([("solution", name)]) if value in _CAUGHT_BY_MANY else value
        self._named += 1
        if self._named > 1:  # one function's result may be judged by another
            self._peer.mark()
        return value


def _own_module(name):
    """Import a module of the library or of the task's packages. Raises KeyError for any other."""
    if name.partition(".")[0] not in {*sys.stdlib_module_names, *sys.modules}:
        raise KeyError(name)
    return importlib.import_module(name)


def check(job, channel, cpu_seconds):
    """Return (status, detail, whether in process): the tests' verdict on the program behind descriptor `channel`.

    `job` holds `source` and `tests`; `in_process`: the tests run in the program's process; `straight`: they leave this
    process unchanged and run in it, while others run in a fork, for at most `cpu_seconds`. With `cases` in place of
    these, they are compared in this process, and the names of the stages that passed follow. The status is `gone` where
    the program's process ended before its tests, `reach-in` where the tests turn out to need that process, `lost`
    where the fork died or the cases are not here, and `unusable` where the cases are faulty.
    """
    if "cases" in job:
        return _verdict_by_cases(job, channel)
    if job["in_process"] or job["straight"]:
        return _verdict(job, channel)
    answer, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
            os.write(told, json.dumps(_verdict(job, channel)).encode())
        finally:
            os._exit(0)
    os.close(told)
    with open(answer, "rb") as file:
        said = file.read()
    status = os.waitpid(pid, 0)[1]
    if said:
        return json.loads(said)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU):
        return "timeout", f"{cpu_seconds} s of CPU time in its tests", False
    return "lost", "", False


def _verdict_by_cases(job, channel):
    """Return (status, detail, False, stages that passed): the program's process makes the outputs of many inputs."""
    link, passed = Channel(channel), []
    try:
        link.send(["program", job["source"]])
        suite = suite_of(job["cases"])  # while the program loads
        if suite is None:
            return "lost", "", False
        loaded = link.receive()
        if loaded[0] != "loaded":
            return (*_reported(loaded), False)
        status, detail = judge(_CheckerPeer(link, loaded[2]).ask, suite, passed)
        return (*((status, detail) if status == "passed" else _reported((status, detail))), False, passed)
    except Gone as error:
        return "gone", str(error), False, passed
    except CannotCross as error:
        return "error", str(error), False, passed
    except UnusableCasesError as error:
        return "unusable", one_line(error), False


def _verdict(job, channel):
    """Return (status, detail, in process): the program's process loads the solution, this one runs the tests."""
    link, tests = Channel(channel), job["tests"]
    try:
        if job["in_process"]:
            return (*_judged_in_process(link, channel, job), True)
        link.send(["program", job["source"]])
        code = _compiled(tests)  # while the program loads
        loaded = link.receive()
        if loaded[0] != "loaded":
            return (*_reported(loaded), False)
        peer = _CheckerPeer(link, loaded[2])
        return (*_judged(peer, tests, code, frozenset(map(str, loaded[1])), job["modules"]), peer.marked)
    except Gone as error:
        return "gone", str(error), False
    except CannotCross as error:
        return "reach-in", str(error), True


def _classes(tests):
    if "class " not in tests:  # to parse is to make an object of each word
        return []
    try:
        return [node for node in ast.walk(ast.parse(tests)) if isinstance(node, ast.ClassDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _compiled(tests):
    """Compile the tests; return None if that fails, or if they have classes, whose `unittest.main()` is left out."""
    try:
        return None if "class " in tests else compile(tests, "tests.py", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _judged(peer, tests, code, redefined, modules):
    """Run the tests in this process; return (status, detail)."""
    try:
        namespace = _Namespace(peer, _entry_points(tests, redefined, modules), modules)
        sys.modules["__main__"] = types.ModuleType("__main__")
        cases = _classes(tests)
        code = code or compile(UnittestMain("pass").visit(ast.parse(tests)) if cases else tests, "tests.py", "exec")
        exec(code, namespace)  # noqa: S102 - the benchmark's own
        if cases:
            _run_cases(cases, namespace)
        peer.raise_failure()
    except (Gone, CannotCross):
        raise
    except BaseException as error:
        peer.raise_failure()
        return status_of(error), one_line(error)
    return "passed", ""


def _entry_points(tests, redefined, modules):
    """Return the redefined builtins that the tests mean: those they use, if they use no other name of the program."""
    if not redefined:
        return frozenset()
    nodes = list(ast.walk(ast.parse(tests)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    free = {node.id for node in names} - own - set(modules)
    return redefined & free if all(hasattr(builtins, name) for name in free) else frozenset()


def _run_cases(cases, namespace):
    """Run the tests' cases of unittest: all that are written there must run and succeed."""
    loader = unittest.TestLoader()
    found = [namespace[node.name] for node in cases if isinstance(namespace.get(node.name), type)]
    suite = unittest.TestSuite(map(loader.loadTestsFromTestCase, found))
    parts = [part for node in cases for part in node.body]
    written = sum(isinstance(part, ast.FunctionDef) and part.name.startswith("test") for part in parts)
    result = unittest.TextTestRunner(resultclass=UnittestResult).run(suite)
    assert result.wasSuccessful(), "unittest"
    left_out = len(result.skipped) + len(result.expectedFailures) + written - result.testsRun
    assert left_out <= 0, f"{left_out} of {written} tests did not run, or were skipped or expected to fail"


def _judged_in_process(link, channel, job):
    """Have the program's process run the tests; return (status, detail). A pass must be signed with the token."""
    token, given = os.urandom(_TOKEN_BYTES).hex(), False
    link.send(["in-process", job["source"], job["tests"]])
    for _ in range(_MOST_LINES):
        words = link.line().decode("utf-8", "replace").split(" ", 2)
        if words[0] == "+" and not given:
            given = bool(os.write(channel, token.encode()))
        if words[0] == token and words[1:2] == ["passed"]:
            return "passed", ""
        if words[0] == "-" and words[1:2] != ["passed"]:
            return _reported(words[1:])
    raise Gone("a report without an end")


def _reported(words):
    """Return (status, detail) that the program's process reports of itself: any status but a pass."""
    status, detail = [*map(str, words), "", ""][:2]
    return (status if status in _OF_ITSELF else "error"), detail[:_LONGEST_DETAIL]
