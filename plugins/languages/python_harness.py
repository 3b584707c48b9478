"""Runs a program and its tests in one process: `main` is called in a fork, and never returns.

A token signs a pass. It lies in a pipe until the solution is about to run, and from then on only on the interpreter's
own stack, where no frame, garbage collector or file shows it. An audit hook, which cannot be removed, denies deeper
access. Functions and classes of the library that a program replaces are restored before the tests run; one that is
replaced after the tests is an error. Functions that run beside the program hold all they use in closures.

A solution that has tests is a module, `solution`, and `__main__` is empty while it runs, as in any import of a program:
code under `if __name__ == "__main__"` does not run. The tests then run in the same module, as `__main__`. A program
without tests is `__main__` from the start.
"""

import _thread
import abc
import ast
import bisect
import builtins
import collections.abc
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import heapq
import io
import itertools
import json
import math
import operator
import os
import random
import re
import signal
import statistics
import string
import sys
import time
import types
import typing
import unittest

from qharness.plugins.languages.python_unittest import UnittestMain, UnittestResult

_DENIED = ("ctypes", "gc.", "sys.settrace", "sys.setprofile", "sys._current", "sys.monitoring", "code.__new__")
_NOT_IMPORTED = frozenset(("ctypes", "_ctypes", "_testcapi", "_testinternalcapi", "_xxsubinterpreters"))
_NOT_SET = frozenset(("__code__", "__defaults__", "__kwdefaults__"))
_KINDS = (types.FunctionType, types.BuiltinFunctionType, type)
_NOT_LIBRARY = frozenset(("__main__", "harness"))
_CPUS = 2  # on every machine, so that a pool of one process per CPU stays below the limit on processes


def _cpu_count():
    return _CPUS


def _setting_none(set_function):
    """Wrap `sys.settrace` or `sys.setprofile`, so that None, which doctest sets after each example, has no effect."""

    def set_or_refuse(function):
        if function is not None:
            set_function(function)  # the audit hook refuses it

    return set_or_refuse


sys.settrace, sys.setprofile = _setting_none(sys.settrace), _setting_none(sys.setprofile)
for _name in ("cpu_count", "process_cpu_count"):
    if hasattr(os, _name):
        setattr(os, _name, _cpu_count)
if sys.version_info >= (3, 14):  # before, it is the default; a server could not import what a program defines
    import multiprocessing

    multiprocessing.set_start_method("fork")


def _table_rows(name, module):
    """Return rows (class or None, its table or the module's, names, values, size) that a program must not change."""
    watched = _KINDS if name.partition(".")[0] in sys.stdlib_module_names else collections.abc.Callable
    kept = [(key, value) for key, value in vars(module).items() if isinstance(value, watched)]
    rows = [(None, vars(module), *map(tuple, zip(*kept, strict=True)), 0)] if kept else []
    for _, cls in kept if name.startswith("unittest") else ():
        if isinstance(cls, type) and cls.__module__ == name:
            rows.append((cls, cls.__dict__, tuple(cls.__dict__), tuple(cls.__dict__.values()), len(cls.__dict__)))
    return rows


def _watched(tests):
    """Return (modules, rows) to watch: of builtins and modules that the tests name; modules may use all builtins.

    It leaves out the rest of the library, because reading an object writes to its page, which the fork then copies.
    """
    words = set(_WORD.findall(tests))
    names = [name for name in _LIBRARY if name.partition(".")[0] in words]
    if names:
        names.append("builtins")
        return tuple((name, _MODULES[name]) for name in names), tuple(row for name in names for row in _LIBRARY[name])
    used = tuple(words & _BUILTINS.keys())
    return (), ((None, _BUILTINS, used, tuple(map(_BUILTINS.get, used)), 0),)


def _refusal(denied, not_imported, not_set, functions, library, frame_at, error, import_error):
    def refuse(event, arguments):
        if event == "import" and arguments[0] in not_imported:
            raise import_error(arguments[0] + " is not to be had in here")
        if event == "code.__new__" and frame_at(1).f_code.co_filename == library:  # this is how coroutines are made
            return
        if event.startswith(denied):
            raise error(event + " is not to be had in here")
        if event == "object.__setattr__" and arguments[1] in not_set and arguments[0] in functions:
            raise error(arguments[1] + " of the library's functions is not to be set in here")

    return refuse


def _unittest_runner(run, runner_class, result_class):
    def run_unittest():
        outcome = run(argv=["tests"], exit=False, testRunner=runner_class(resultclass=result_class))
        assert outcome.result.wasSuccessful(), "unittest"

    return run_unittest


def _end(number, frame, leave=os._exit):
    leave(128 + number)


_SIGNALS = (
    signal.SIGABRT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGXCPU,
)
for _number in _SIGNALS:  # the first process of a pid namespace ignores signals without a handler
    signal.signal(_number, _end)


def _end_children_at_once(numbers, end, handler_of, handle, default, change_mask, thread, register):
    """Make signals end a process that the program forks as they end any other.

    A handler in Python runs between bytecodes only, and a signal during a fork is lost: a pool would wait for ever for
    a process that waits for a lock. So signals are blocked until the new process has the default handlers.
    """
    masks = {}

    def block(how=signal.SIG_BLOCK):
        masks[thread()] = change_mask(how, numbers)

    def unblock(how=signal.SIG_SETMASK):
        change_mask(how, masks.pop(thread()))

    def restore():
        for number in numbers:
            if handler_of(number) is end:
                handle(number, default)
        unblock()

    register(before=block, after_in_parent=unblock, after_in_child=restore)


_WORD = re.compile(r"[a-zA-Z_]+")
_MODULES = {name: module for name, module in sorted(sys.modules.items()) if name not in _NOT_LIBRARY}
_BUILTINS = vars(builtins)
_RUN_UNITTEST = _unittest_runner(unittest.main, unittest.TextTestRunner, UnittestResult)
_LIBRARY = {name: _table_rows(name, module) for name, module in _MODULES.items()}

_FUNCTIONS = frozenset(
    value
    for rows in _LIBRARY.values()
    for row in rows
    for value in (_RUN_UNITTEST, *row[3])
    if isinstance(value, types.FunctionType)
)


def _runner(solution, checks, module, watched):
    """Return a function of no arguments that runs the program and returns the report of a pass."""
    (modules, library), loaded, names = watched, sys.modules, "__run_unittest__"
    space = module.__dict__
    execute, pairs, same, get, put = exec, zip, operator.is_, operator.getitem, setattr
    pid, getpid, leave, error = os.getpid(), os.getpid, os._exit, RuntimeError
    run_unittest = _RUN_UNITTEST

    def run():
        """Run solution and tests, return the report; raise where the program has replaced what the tests use."""
        execute(solution, space)
        loaded["__main__"], space["__name__"] = module, "__main__"
        for name, original in modules:
            loaded[name] = original
        for owner, table, keys, values, _ in library:
            for key, value in pairs(keys, values):
                if key not in table or not same(get(table, key), value):
                    if owner is None:
                        table[key] = value
                    else:
                        put(owner, key, value)
        space[names] = run_unittest
        execute(checks, space)
        for _, table, keys, values, size in library:
            for key, value in pairs(keys, values):
                if not same(get(table, key), value):
                    raise error("the program has replaced " + key)
            if size and len(table) != size:
                raise error("the program has added to a class of unittest")
        for name, original in modules:
            if not same(get(loaded, name), original):
                raise error("the program has replaced module " + name)
        if getpid() != pid:  # a child that the program forked must not report
            leave(0)
        return b"passed \n"

    return run


def compiled(source):
    """Return (code of a solution, None), or (None, the error of compiling it)."""
    try:
        return compile(source, "solution.py", "exec"), None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # ValueError: of a NUL or a lone surrogate
        return None, error


def prepare(name):
    """Prepare this process for a program, and return the module that it will run in."""
    handling = (signal.getsignal, signal.signal, signal.SIG_DFL, signal.pthread_sigmask)
    _end_children_at_once(_SIGNALS, _end, *handling, _thread.get_ident, os.register_at_fork)
    module, sys.modules["__main__"] = types.ModuleType(name), types.ModuleType("__main__")
    sys.modules[name] = module
    sys.argv[:] = [""]
    return module


def close_off():
    """Refuse, from now on, access to the interior of this process."""
    bound = (_DENIED, _NOT_IMPORTED, _NOT_SET, _FUNCTIONS, types.__file__, sys._getframe, RuntimeError, ImportError)
    sys.addaudithook(_refusal(*bound))


def status_of(error):
    """Return the status of a program that ended in this exception."""
    for kind, status in ((AssertionError, "failed"), (MemoryError, "out-of-memory"), (SystemExit, "early-exit")):
        if isinstance(error, kind):
            return status
    return "error"


def one_line(error):
    """Return an exception's class and text, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def main(source, tests, channel):
    """Run `source` and then `tests` in one module; read the token from `channel`, report there, and exit."""
    pid, getpid, leave, write, read = os.getpid(), os.getpid, os._exit, os.write, os.read

    def tell(status, error):
        if getpid() == pid:
            write(channel, f"- {status} {one_line(error)}\n".encode("utf-8", "replace"))
        leave(0)

    module = prepare("solution" if tests else "__main__")
    solution, error = compiled(source)
    if error:
        tell("compile-error", error)
    try:
        tree = UnittestMain("__run_unittest__()").visit(ast.parse(tests)) if "unittest" in tests else tests
        checks = compile(tree, "tests.py", "exec")
        close_off()
        program = [_runner(solution, checks, module, _watched(tests))]
        write(channel, b"+\n")
        # Evaluated from left to right: the token is read, and then the program runs, out of anyone's hands.
        write(channel, b" ".join((read(channel, 32), program.pop()())))
    except BaseException as error:
        tell(status_of(error), error)
    leave(0)
