"""Loops over AQLM's codes, compiled by numba: the products of a weight with some inputs, and the weight itself.

A group of weights is a sum of codebook vectors. numba has no vectors, so what is done with a group is written as LLVM's
instructions here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_INTEGER, _FLOAT, _FLOAT_BYTES = ir.IntType(64), ir.FloatType(), 4
_INTEGER_TYPE = types.intp
LINES = 2
"""Lines of the weight that are multiplied at once; it must have as many."""


@dataclass(frozen=True)
class Form:
    """The form of codebooks [count, entries, 1, group]; `entries` is a power of two, a code has so many bytes."""

    count: int
    entries: int
    group: int
    code_bytes: int


@dataclass(frozen=True)
class Loops:
    """Compiled loops, in as many threads as numba has. They take addresses of contiguous arrays, float32 but for codes.

    `products(codes, codebooks, scales, inputs, y, rows, out, groups)` writes y [rows, out], and `dequantize(codes,
    codebooks, scales, weight, out, groups)` the weight [out, groups * group].
    """

    products: Callable[..., None]
    dequantize: Callable[..., None]


@cache
def loops(form: Form) -> Loops:
    """Compile the loops for codebooks of a form: about a second, at their first calls."""
    one, four, eight = _dots(form, 1, parts=2), _dots(form, 4, parts=1), _dots(form, 8, parts=1)
    write_line = _line(form)

    compiled = numba.njit(parallel=_can_be_parallel(), nogil=True)

    @compiled
    def products(
        codes: int, codebooks: int, scales: int, inputs: int, y: int, rows: int, out: int, groups: int
    ) -> None:
        for pair in numba.prange((out + LINES - 1) // LINES):
            line = min(pair * LINES, out - LINES)  # the last may be in part the ones before; so may be the last rows
            if rows < 4:
                for row in range(rows):
                    one(codes, codebooks, scales, inputs, y, out, groups, line, row)
            elif rows < 8:
                for start in range(0, rows, 4):
                    four(codes, codebooks, scales, inputs, y, out, groups, line, min(start, rows - 4))
            else:
                for start in range(0, rows, 8):
                    eight(codes, codebooks, scales, inputs, y, out, groups, line, min(start, rows - 8))

    @compiled
    def dequantize(codes: int, codebooks: int, scales: int, weight: int, out: int, groups: int) -> None:
        for line in numba.prange(out):
            write_line(codes, codebooks, scales, weight, groups, line)

    return Loops(products, dequantize)


def _can_be_parallel() -> bool:
    """Whether numba has OpenMP here; the threads of its own end a process that calls them from two."""
    try:
        import numba.np.ufunc.omppool
    except ImportError:
        return False
    return bool(numba.np.ufunc.omppool)


def _dots(form: Form, rows: int, parts: int) -> Any:
    """Make f(codes, codebooks, scales, inputs, y, out, groups, line, row), for so many rows of inputs from `row` on.

    It multiplies lines of the weight from `line` on with these rows, and writes into y[row:, line:]. A sum has so many
    parts, for an addition waits for the one before.
    """

    def write(code: _Code, given: Sequence[Any]) -> None:
        codes, codebooks, scales, inputs, y, out, groups, line, row = given
        builder = code.builder
        lines = [builder.add(line, _INTEGER(number)) for number in range(LINES)]
        places = [builder.add(row, _INTEGER(number)) for number in range(rows)]
        sums = [[[code.zeros() for _ in places] for _ in lines] for _ in range(parts)]

        def add(group: Any, totals: Sequence[Sequence[Any]]) -> None:
            weights = [code.entry(codes, codebooks, builder.add(builder.mul(each, groups), group)) for each in lines]
            for number, place in enumerate(places):
                numbers = code.load(inputs, builder.add(builder.mul(place, groups), group))
                for of_line, weight in zip(totals, weights, strict=True):
                    code.add_product(of_line[number], weight, numbers)

        with cgutils.for_range(builder, builder.udiv(groups, _INTEGER(parts))) as loop:
            for number, part in enumerate(sums):
                add(builder.add(builder.mul(loop.index, _INTEGER(parts)), _INTEGER(number)), part)
        with cgutils.for_range(builder, builder.urem(groups, _INTEGER(parts))) as loop:
            add(builder.sub(builder.sub(groups, _INTEGER(1)), loop.index), sums[0])
        for number, each in enumerate(lines):
            scale = builder.load(code.floats(scales, each))
            for place, totals in zip(places, zip(*(of_part[number] for of_part in sums), strict=True), strict=True):
                target = code.floats(y, builder.add(builder.mul(place, out), each))
                builder.store(builder.fmul(code.total(totals), scale), target)

    @intrinsic
    def dots(
        _: Any, codes: Any, codebooks: Any, scales: Any, inputs: Any, y: Any, out: Any, groups: Any, line: Any, row: Any
    ) -> Any:
        return _of_integers(form, 9, write)

    return dots


def _line(form: Form) -> Any:
    """Make f(codes, codebooks, scales, weight, groups, line), which writes that line of the weight."""

    def write(code: _Code, given: Sequence[Any]) -> None:
        codes, codebooks, scales, weight, groups, line = given
        builder = code.builder
        scale = code.repeated(builder.load(code.floats(scales, line)))
        first = builder.mul(line, groups)
        with cgutils.for_range(builder, groups) as loop:
            group = builder.add(first, loop.index)
            code.store(builder.fmul(code.entry(codes, codebooks, group), scale), weight, group)

    @intrinsic
    def line(_: Any, codes: Any, codebooks: Any, scales: Any, weight: Any, groups: Any, number: Any) -> Any:
        return _of_integers(form, 6, write)

    return line


def _of_integers(form: Form, count: int, write: Callable[[_Code, Sequence[Any]], None]) -> Any:
    """What numba asks of a function of so many integers without a result, whose code `write` writes."""

    def generate(context: Any, builder: Any, signature: Any, given: Sequence[Any]) -> Any:
        write(_Code(form, builder), given)
        return context.get_dummy_value()

    return types.void(*[_INTEGER_TYPE] * count), generate


class _Code:
    """Writes LLVM's instructions for groups of weights."""

    def __init__(self, form: Form, builder: Any) -> None:
        self.builder = builder
        self._form, self._vector = form, ir.VectorType(_FLOAT, form.group)

    def zeros(self) -> Any:
        """A place for a sum, which begins with zeros."""
        return cgutils.alloca_once_value(self.builder, self._vector([0.0] * self._form.group))

    def floats(self, address: Any, number: Any) -> Any:
        """Where the float of that number is."""
        return self.builder.gep(self.builder.inttoptr(address, _FLOAT.as_pointer()), [number])

    def load(self, address: Any, group: Any) -> Any:
        """The group of that number."""
        vector = self.builder.load(self._place(address, group))
        vector.align = _FLOAT_BYTES
        return vector

    def store(self, vector: Any, address: Any, group: Any) -> None:
        """Write the group of that number."""
        self.builder.store(vector, self._place(address, group)).align = _FLOAT_BYTES

    def entry(self, codes: Any, codebooks: Any, group: Any) -> Any:
        """The sum of a group's codebook vectors; codes are wrapped, so their lowest bits count."""
        builder, form = self.builder, self._form
        first = builder.inttoptr(codes, ir.IntType(8 * form.code_bytes).as_pointer())
        total = None
        for book in range(form.count):
            place = builder.add(builder.mul(group, _INTEGER(form.count)), _INTEGER(book))
            code = builder.zext(builder.load(builder.gep(first, [place])), _INTEGER)
            number = builder.add(builder.and_(code, _INTEGER(form.entries - 1)), _INTEGER(book * form.entries))
            vector = self.load(codebooks, number)
            total = vector if total is None else builder.fadd(total, vector)
        return total

    def add_product(self, total: Any, first: Any, second: Any) -> None:
        """Add first * second to the sum at `total`, rounded once."""
        name, kind = f"llvm.fma.v{self._form.group}f32", ir.FunctionType(self._vector, [self._vector] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        self.builder.store(self.builder.call(function, [first, second, self.builder.load(total)]), total)

    def total(self, places: Sequence[Any]) -> Any:
        """The sum of all numbers of the vectors at these places."""
        vector, *others = (self.builder.load(place) for place in places)
        for other in others:
            vector = self.builder.fadd(vector, other)
        total = self.builder.extract_element(vector, _INTEGER(0))
        for place in range(1, self._form.group):
            total = self.builder.fadd(total, self.builder.extract_element(vector, _INTEGER(place)))
        return total

    def repeated(self, number: Any) -> Any:
        """A vector of the same number."""
        vector = self._vector(ir.Undefined)
        for place in range(self._form.group):
            vector = self.builder.insert_element(vector, number, _INTEGER(place))
        return vector

    def _place(self, address: Any, group: Any) -> Any:
        first = self.floats(address, self.builder.mul(group, _INTEGER(self._form.group)))
        return self.builder.bitcast(first, self._vector.as_pointer())
