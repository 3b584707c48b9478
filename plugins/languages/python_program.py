"""The program's process: it holds the solution without its tests, and answers the checker's calls."""

import builtins
import itertools
import os
import types
import typing

from qharness.plugins.languages.python_calls import Channel, Gone, Peer, lineage_of
from qharness.plugins.languages.python_case_calls import CaseCalls
from qharness.plugins.languages.python_harness import close_off, compiled, main, one_line, prepare, status_of
from qharness.plugins.languages.python_stand_ins import OPERATIONS
from qharness.plugins.languages.python_values import kind_of

_AT_ONCE = 8  # functions whose handles are sent before they are asked for


class _ProgramPeer(Peer):
    """The program's side of the calls. `names`: the solution's definitions."""

    def __init__(self, channel, names):
        super().__init__(channel)
        self._names = names
        self._pending = {}
        self._pid, self._getpid, self._leave = os.getpid(), os.getpid, os._exit
        cases = CaseCalls(names)
        self.operations = {**OPERATIONS, "named": self._named, "some": self._some, "run": _run}
        self.operations |= {"outputs": cases.outputs, "described": cases.described}

    def only_the_first(self):
        """End a process that the program has forked: it must not answer."""
        if self._getpid() != self._pid:
            self._leave(0)

    def stand_in(self, number, kind, about):
        def callback(*values, **named):
            return self.ask("call", callback, *values, **named)

        return callback

    def describe(self, value):
        return lineage_of(value) if kind_of(value) == "exception" else None

    def described(self):
        """Return the builtins that the solution redefines, and handles of its first functions by their names."""
        names = [name for name in self._names if name[:2] != "__"]
        functions = [name for name in names if type(self._names[name]) is types.FunctionType][:_AT_ONCE]
        return [name for name in names if name in vars(builtins)], {
            name: self.handle(self._names[name]) for name in functions
        }

    def _named(self, name):
        """Return (kind, value or its name) of a name in the solution."""
        if name not in self._names:
            return "absent", None
        value = self._names[name]
        if isinstance(value, types.ModuleType):
            return "module", value.__name__
        if name in vars(typing) and vars(typing)[name] is value:
            return "typing", name
        return "value", value

    def _some(self, iterator, count):
        """Return the next values, at most `count`, none at the end; raise an exception after the values before it."""
        if id(iterator) in self._pending:
            raise self._pending.pop(id(iterator))
        values = []
        try:
            values.extend(itertools.islice(iterator, count))
        except BaseException as error:
            if not values:
                raise
            self._pending[id(iterator)] = error
        return values


def _run(awaitable):
    """Return an awaitable's result, in an event loop of its own."""
    import asyncio

    async def wait():
        return await awaitable

    return asyncio.run(wait())


def serve(channel):
    """Run the solution that comes on descriptor `channel`, and answer calls until the checker ends. Never returns."""
    link = Channel(channel)
    leave = os._exit
    try:
        job = link.receive()
        if job[0] == "in-process":
            main(*job[1:], channel)
        module = prepare("solution")
        solution, error = compiled(job[1])
        if error:
            link.send(["compile-error", one_line(error)])
            leave(0)
        close_off()
        peer = _ProgramPeer(link, module.__dict__)
        try:
            exec(solution, module.__dict__)  # noqa: S102 - in here, of all places
        except BaseException as error:
            peer.only_the_first()
            link.send([status_of(error), one_line(error)])
            leave(0)
        peer.only_the_first()
        link.send(["loaded", *peer.described()])
        while True:
            peer.answer(link.receive())
    except Gone:
        leave(0)
