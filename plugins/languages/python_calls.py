"""Calls between a program's process and its checker's, over a socket: each asks, and answers while it waits.

A message is a line of JSON. `["?", operation, node]` asks for an operation on the values of the node's list;
`["!", node, changes]` answers, where a change is the number of a mutable argument and its new content; `["x", ...]` is
the exception that it raised. Values cross as `python_values` describes. Objects without such a form cross as handles:
each side numbers its own objects that the other side has met.
"""

import contextlib
import json
import os
import sys

from qharness.plugins.languages.python_values import Decoder, Encoder, kind_of

_CHUNK = 1 << 16
_LONGEST = 1 << 26
_LONGEST_TEXT = 10_000
_RUNNERS = frozenset(("unittest", "doctest"))  # their exceptions skip a test or stop the run


class Gone(BaseException):
    """The other side has ended or sent nonsense. It is no Exception, so that no test catches it."""


class Channel:
    """Sends and receives lines of JSON over a descriptor."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._rest = b""

    def send(self, message, dump=json.dumps, write=os.write):
        """Send a message. Raises Gone where nobody reads, ValueError for an integer too long for JSON."""
        data = memoryview(dump(message, separators=(",", ":"), check_circular=False).encode() + b"\n")
        try:
            while data:
                data = data[write(self._descriptor, data) :]
        except OSError:
            raise Gone("") from None

    def line(self, read=os.read):
        """Read the next line, without its end. Raises Gone where there is none, or it is too long."""
        pieces = [self._rest]
        size = len(self._rest)
        while b"\n" not in pieces[-1]:
            try:
                piece = read(self._descriptor, _CHUNK)
            except OSError:
                raise Gone("") from None
            size += len(piece)
            if not piece:
                raise Gone("")
            if size > _LONGEST:
                raise Gone("a message that is too long")
            pieces.append(piece)
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        return line

    def receive(self, load=json.loads):
        """Read the next message. Raises Gone at the end, and for a malformed one."""
        try:
            message = load(self.line())
        except (ValueError, RecursionError) as error:
            raise Gone(f"{type(error).__name__} in a message") from None
        if type(message) is not list or not message:
            raise Gone("no message")
        return message


class Peer:
    """One side of the calls. A subclass represents the other side's objects here, and describes ours to it."""

    operations = {}
    """The operations that the other side may ask for, by name."""

    def __init__(self, channel):
        self.channel = channel
        self._ours, self._numbers = [], {}
        self._theirs, self._held = {}, {}
        self._exceptions = {}

    def stand_in(self, number, kind, about):
        """Return the object that represents here the other side's object of that number."""
        raise NotImplementedError

    def describe(self, value):
        """Return a description of an object of ours, as a node. Raises CannotCross for one that must not be reached."""
        raise NotImplementedError

    def only_the_first(self):
        """End this process if it is a fork of the one that began."""

    def ask(self, operation, *values, **named):
        """Return the result of the other side's operation; change mutable arguments as they were changed there."""
        encoder = Encoder(self.handle)
        node = [encoder.encode(list(values))]
        if named:
            node.append(encoder.encode(named))
        self.channel.send(["?", operation, node])
        while (message := self.channel.receive())[0] == "?":
            self.answer(message)
        return self._result_of(message, encoder.met)

    def answer(self, message):
        """Perform the operation that a message asks for, and send its result or exception."""
        try:
            _, operation, node = message
            decoder = Decoder(self.object_of)
            values, *named = map(decoder.decode, node)
            met = decoder.met
            before = self._contents(met) if len(met) > len(node) else []  # besides the arguments' own list and dict
            result = self.operations[operation](*values, **(named[0] if named else {}))
            encoder = Encoder(self.handle, met)
            told = ["!", encoder.encode(result), self._changes(encoder, met, before)]
            self.only_the_first()
            self.channel.send(told)
        except Gone:
            raise
        except BaseException as error:  # of the operation, or of an answer that has no room
            self.only_the_first()
            self.channel.send(["x", *self._description_of(error)])

    def _contents(self, met):
        """Return the containers' contents as text, in which `[1]` and `[True]` differ."""
        encoder = Encoder(self.handle, met)
        return [json.dumps(encoder.content(each)) for each in met]

    def _changes(self, encoder, met, before):
        """Return (number, content) of the containers that have changed."""
        now = [(number, encoder.content(met[number])) for number in range(len(before))]
        return [[number, content] for number, content in now if json.dumps(content) != before[number]]

    def _result_of(self, message, met):
        """Read an answer: apply its changes, and return its result or raise its exception."""
        try:
            if message[0] == "x":
                raised = self._exception(*message[1:])
            else:
                _, answer, changes = message
                decoder = Decoder(self.object_of, met)
                result = decoder.decode(answer)
                for number, content in changes:
                    decoder.refill(met[number], content)
                return result
        except Exception as error:
            raise Gone(f"no answer: {type(error).__name__}: {error}") from None
        raise raised

    def _description_of(self, error):
        """Return an exception as the lineage of its class, its arguments, its attributes and its text."""
        lineage = lineage_of(type(error))
        encoder = Encoder(self.handle)
        attributes = {name: value for name, value in vars(error).items() if not name.startswith("_")}
        try:
            return [lineage, encoder.encode(list(error.args)), encoder.encode(attributes), str(error)[:_LONGEST_TEXT]]
        except BaseException:  # raised by the program's own exception class
            return [lineage, ["l"], ["d"], ""]

    def _exception(self, lineage, arguments, attributes, text):
        """Make the exception that represents the other side's."""
        decoder = Decoder(self.object_of)
        kind = self.exception_class([tuple(map(str, each)) for each in lineage])
        values = decoder.decode(arguments)
        try:
            error = kind(*values)
        except Exception:
            error = RuntimeError(f"{lineage[0][1]}: {text}")
        for name, value in decoder.decode(attributes).items():
            if not str(name).startswith("_"):
                with contextlib.suppress(AttributeError, TypeError):  # attributes that the class computes
                    setattr(error, name, value)
        return error

    def exception_class(self, lineage):
        """Return the first library class of a lineage; for one of the program's classes, derive one from it."""
        library = next(filter(None, map(_library_exception, lineage)), Exception)
        if _library_exception(lineage[0]):
            return library
        if lineage[0] not in self._exceptions:
            made = type(lineage[0][1].rpartition(".")[2], (library,), {"__module__": "solution"})
            self._exceptions[lineage[0]] = made
        return self._exceptions[lineage[0]]

    def gave(self, value):
        """Whether the other side has met this object of ours."""
        number = self._numbers.get(id(value))
        return number is not None and self._ours[number] is value

    def handle(self, value):
        """Return the node of an object without another form: the number of one of the other side's, or of ours."""
        if id(value) in self._held:
            return ["y", self._held[id(value)]]
        number = self._numbers.get(id(value))
        if number is not None:
            return ["o", number, "", None]
        about = self.describe(value)
        number = self._numbers[id(value)] = len(self._ours)
        self._ours.append(value)
        return ["o", number, kind_of(value), about]

    def object_of(self, tag, parts):
        """Return the object that a handle stands for."""
        if tag == "y":
            return self._ours[parts[0]]
        if tag != "o":
            raise ValueError("an unknown tag")
        number, kind, about = parts
        if number not in self._theirs:
            made = self._theirs[number] = self.stand_in(number, kind, about)
            self._held[id(made)] = number
        return self._theirs[number]


def lineage_of(kind):
    """Return (module, name) of an exception class and its bases; the module is `solution` outside the library."""
    named = [(each.__module__, each.__qualname__, each) for each in kind.__mro__[:-1]]
    return [
        [module if _library_exception((module, name)) is each else "solution", name] for module, name, each in named
    ]


def _library_exception(named):
    """Return the library's exception class of that (module, name); None for any other, and for a test runner's own."""
    module, name = named
    root = module.partition(".")[0]
    if root not in sys.stdlib_module_names or root in _RUNNERS or module not in sys.modules:
        return None
    found = getattr(sys.modules[module], name, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None
