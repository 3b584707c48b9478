"""The checker's side of cases: holds inputs and expected outputs, and compares what a program's function returns.

The comparison is EvalPlus's (Liu et al. 2023, its evaluator in version 0.3): outputs must be equal; where floats are
expected, or the cases have a tolerance, numbers may differ by it and by 1e-7 of what is expected. The cases of the last
program stay in this process, so that all samples of a problem share them. What a program returns comes as plain values
of exact types: no operation on one calls the program.
"""

import base64
import json
import marshal
import math
import numbers
import re
import sys

from qharness.plugins.languages.python_calls import Gone
from qharness.plugins.languages.python_case_calls import fingerprint, packed
from qharness.plugins.languages.python_values import Decoder

_AT_A_TIME = 64  # calls; of cases with a reference, whose outputs may be large, one
_LONGEST_TEXT = 120
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_RELATIVE, _OF_FLOATS = 1e-7, 1e-6  # tolerances


class UnusableCasesError(Exception):
    """The cases themselves are faulty: no program is to blame."""


class _Chunk:
    """Inputs whose calls are asked for at once, with the outputs that are expected, computed when first needed."""

    def __init__(self, start, inputs, outputs, reference):
        self.start, self.inputs, self.packed = start, inputs, packed(inputs)
        self._outputs, self._reference, self._fingerprints = outputs, reference, None

    @property
    def outputs(self):
        """The expected outputs; those of a reference are computed each time, since they may be large."""
        if self._reference is None:
            return self._outputs
        try:
            return [self._reference(*arguments) for arguments in _copies(self.packed)]
        except Exception as error:
            raise UnusableCasesError(f"input {self.start}: {type(error).__name__}: {error}") from None

    @property
    def fingerprints(self):
        """Those of the expected outputs, None where one has none."""
        if self._fingerprints is None:
            self._fingerprints = [_fingerprint_or_none(output) for output in self.outputs]
        return self._fingerprints


class _Suite:
    """The cases of one problem, ready to be used. `stages`: (name, chunks)."""

    def __init__(self, given):
        self.digest = given["digest"]
        self.function, self.seconds, self.tolerance = given["function"], given["call_seconds"], given["tolerance"]
        space = {"inf": math.inf, "nan": math.nan}
        for name in ("reference", "same"):
            exec(compile(given[name], name, "exec"), space)  # noqa: S102 - the benchmark's own
        inputs = eval(compile(given["inputs"], "inputs", "eval"), space)  # noqa: S307 - the benchmark's own
        outputs = eval(compile(given["outputs"], "outputs", "eval"), space) if given["outputs"] else None  # noqa: S307
        if outputs is not None and len(outputs) != len(inputs):
            raise ValueError(f"{len(inputs)} inputs, {len(outputs)} outputs")
        self.same = space.get("same")
        reference = space["ref_func"] if outputs is None else None
        size = _AT_A_TIME if reference is None else 1

        def chunk(start, end):
            return _Chunk(start, inputs[start:end], outputs and outputs[start:end], reference)

        firsts = [*(first for _, first in given["stages"]), len(inputs)]
        self.stages = [
            (name, [chunk(start, min(start + size, end)) for start in range(first, end, size)])
            for (name, first), end in zip(given["stages"], firsts[1:], strict=True)
        ]


_held = []
"""The suite of the last program, alone in a list."""


def suite_of(given):
    """Return the suite that is held, or the given one; None where only the digest of another one is given.

    Raises UnusableCasesError for a faulty one.
    """
    if not _held or _held[0].digest != given["digest"]:
        if "inputs" not in given:
            return None
        most = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(0)
        try:
            _held[:] = [_Suite(given)]
        except Exception as error:
            raise UnusableCasesError(f"{type(error).__name__}: {error}") from None
        finally:
            sys.set_int_max_str_digits(most)
    return _held[0]


def judge(ask, suite, passed):
    """Return (status, detail) of a program, whose process `ask(operation, *values)` reaches.

    Appends the names of the stages that it passed to `passed`, as it passes them.
    """
    for name, chunks in suite.stages:
        agreement = _Agreement(suite.tolerance, suite.same)
        for chunk in chunks:
            fault = _fault(ask, suite, chunk, agreement)
            if fault:
                status, number, detail = fault
                return status, f"{name} input {chunk.start + number}: {detail}" if status == "failed" else detail
        passed.append(name)
    return "passed", ""


def _fault(ask, suite, chunk, agreement):
    """Return (status, number in the chunk, detail) of the first call that failed or gave another output; or None."""
    found, failure = _listed(ask("outputs", suite.function, chunk.packed, suite.seconds), len(chunk.inputs))
    expected = chunk.fingerprints
    asked = suite.same is not None
    other = [n for n, (a, b) in enumerate(zip(found, expected, strict=False)) if asked or not a or a != b]
    if other:
        outputs = chunk.outputs
        for number, node in zip(other, _nodes(ask("described", other), len(other)), strict=True):
            output = _decoded(node)
            if not agreement.holds(chunk.inputs[number], output, outputs[number]):
                right = "right" if outputs[number] is None else _short(outputs[number])
                return "failed", number, f"{_short(output)} is not {right}"
    if failure:
        return str(failure[0]), len(found), str(failure[1])
    return None


def _listed(answer, count):
    """Return (fingerprints, failure) of an answer to `outputs`. Raises Gone for another shape."""
    match answer:
        case ([*found], None) if len(found) == count:
            return found, None
        case ([*found], [_, _] as failure) if len(found) < count:
            return found, failure
    raise Gone("no outputs of its calls")


def _nodes(answer, count):
    """Return the nodes of an answer to `described`. Raises Gone for another shape."""
    try:
        nodes = json.loads(answer)
    except (TypeError, ValueError, RecursionError) as error:
        raise Gone(f"{type(error).__name__} in its outputs") from None
    if not isinstance(nodes, list) or len(nodes) != count:
        raise Gone("not the outputs that were asked for")
    return nodes


def _decoded(node):
    try:
        return Decoder(_no_object).decode(node)
    except Exception as error:
        raise Gone(f"no output: {type(error).__name__}: {error}") from None


def _no_object(tag, parts):
    """Return what stands for an object that cannot cross: its values, of an iterator, else an object equal to none."""
    if tag == "it":
        return iter(list(map(Decoder(_no_object).decode, parts)))
    return object()


class _Agreement:
    """Decides whether outputs agree, one after another of one stage.

    As in EvalPlus's evaluator, the tolerance of floats, once floats were expected, stays for the inputs after.
    """

    def __init__(self, tolerance, same):
        self._tolerance, self._same = tolerance, same

    def holds(self, arguments, output, expected):
        """Whether an output agrees; comparing it may fail in any way, and then it does not."""
        try:
            equal = self._same(arguments, output, expected) if self._same else output == expected
            if self._tolerance == 0 and _is_floats(expected):
                self._tolerance = _OF_FLOATS
            if equal or self._tolerance == 0:
                return bool(equal)
            return type(output) is type(expected) and _close(output, expected, self._tolerance)
        except (Exception, RecursionError):
            return False


def _is_floats(value):
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(each, float) for each in value)
    return isinstance(value, float)


def _close(value, expected, tolerance):
    """Whether numbers, or all in lists or tuples of one length, are as near as numpy's `allclose` asks for."""
    if isinstance(expected, (list, tuple)) and isinstance(value, (list, tuple)):
        return len(value) == len(expected) and all(
            _close(*each, tolerance) for each in zip(value, expected, strict=True)
        )
    if not isinstance(value, numbers.Number) or not isinstance(expected, numbers.Number):
        return False
    if value == expected:
        return True
    return math.isfinite(abs(expected)) and abs(value - expected) <= tolerance + _RELATIVE * abs(expected)


def _fingerprint_or_none(value):
    try:
        return fingerprint(value)[0]
    except ValueError:
        return None


def _copies(text):
    """Return inputs from their packed text: a reference may change them."""
    return marshal.loads(base64.b64decode(text))  # noqa: S302 - of this process


def _short(value):
    """Return a value as text, without the addresses of objects, which differ from run to run."""
    try:
        text = _ADDRESS.sub("", repr(value))
    except Exception:
        return type(value).__name__
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
