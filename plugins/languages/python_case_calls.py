"""The program's side of cases: calls the solution's function on many inputs, and holds the outputs.

The checker gets a fingerprint of each output, which it compares with that of the expected one, and asks for those
outputs only whose fingerprints differ. An output is written down when its call ends: later calls may change it.
"""

import base64
import hashlib
import itertools
import json
import marshal
import signal

from qharness.plugins.languages.python_harness import one_line, status_of
from qharness.plugins.languages.python_values import Encoder, is_iterator

_FORM = 2  # of marshal: with no references, so that equal values have equal bytes
_FINGERPRINT_BYTES = 16
_MOST_VALUES = 100_000  # that are read of an iterator
_AGAIN_SECONDS = 1.0  # after which a call that goes on is interrupted again


class _TimeUpError(BaseException):
    """A call has used up its CPU time. It is no Exception, so that few solutions catch it by accident."""


def _time_up(number, frame):
    raise _TimeUpError


def fingerprint(value, dump=marshal.dumps, digest=hashlib.blake2b):
    """Return (fingerprint, bytes) of a value made of builtin types; raise ValueError for any other value.

    Values with equal fingerprints are equal and of equal types; equal values (1 and 1.0) may differ in theirs.
    """
    data = dump(value, _FORM)
    return digest(data, digest_size=_FINGERPRINT_BYTES).hexdigest(), data


def packed(inputs):
    """Return a list of calls' arguments as text."""
    return base64.b64encode(marshal.dumps(inputs)).decode("ascii")


def handle(value):
    """Return the node of an object without another form: an iterator's values, or a mere object."""
    if is_iterator(value):
        encoder = Encoder(handle)
        return ["it", *map(encoder.encode, itertools.islice(value, _MOST_VALUES))]
    return ["ob"]


class CaseCalls:
    """Calls a function of the solution, whose names are `names`, and holds the outputs of the last calls."""

    def __init__(self, names):
        self._names = names
        self._made = []

    def outputs(self, name, inputs, seconds):
        """Call a function on `packed` inputs, each for at most `seconds` of CPU time, up to a call that fails.

        Returns (fingerprints of the outputs, [status, detail] of the call that failed or None). A fingerprint is empty
        where the output has none.
        """
        self._made = []
        fingerprints = []
        signal.signal(signal.SIGPROF, _time_up)
        try:
            if name not in self._names:
                raise NameError(f"name {name!r} is not defined")
            function = self._names[name]
            for arguments in marshal.loads(base64.b64decode(inputs)):  # noqa: S302 - the checker's
                fingerprints.append(self._output(function, arguments, seconds))
        except _TimeUpError:
            return fingerprints, ["timeout", f"{seconds:g} s of CPU time in one call"]
        except BaseException as error:  # the solution's
            return fingerprints, [status_of(error), one_line(error)]
        return fingerprints, None

    def _output(self, function, arguments, seconds, limit=signal.setitimer):
        """Call the function once, write its output down, and return its fingerprint."""
        limit(signal.ITIMER_PROF, seconds, _AGAIN_SECONDS)
        try:
            value = function(*arguments)
            try:
                found, made = fingerprint(value)
            except ValueError:
                found, made = "", json.dumps(Encoder(handle).encode(value))
        finally:
            limit(signal.ITIMER_PROF, 0)
        self._made.append(made)
        return found

    def described(self, numbers):
        """Return the nodes of the outputs of these numbers, as JSON."""
        nodes = [self._node(self._made[number]) for number in numbers]
        return f"[{','.join(nodes)}]"

    def _node(self, made):
        if isinstance(made, str):
            return made
        return json.dumps(Encoder(handle).encode(marshal.loads(made)))  # noqa: S302 - of this process
