"""Writes values as JSON, and builds them anew of exact types in the other one of a program's and a checker's process.

A scalar stands for itself. Everything else is a list that begins with a tag: a container or number of the tables below,
a type by its name, or a handle of an object that stays where it is. Mutable containers are numbered in the order in
which they occur, and a second occurrence is a reference, so that one object here is one object there.
Reading calls no code that the sender chose: a class that only pretends to be a list cannot cross as one.
"""

import array
import base64
import collections
import collections.abc
import datetime
import decimal
import fractions
import sys
import types
import uuid

_SCALARS = frozenset((str, float, bool, type(None)))
_SMALL = 1 << 10_000  # beyond it, an integer crosses in hexadecimal: Python limits decimal digits


class CannotCross(BaseException):
    """A value has no form outside its process. It is no Exception, so that no test catches it by accident."""


class _ForeignZoneError(Exception):
    """A time zone with rules of its own, which has no form outside its process."""


def _bytes(text):
    return base64.b64decode(text, validate=True)


def _text(data):
    return base64.b64encode(bytes(data)).decode("ascii")


def _pairs(parts):
    return list(zip(parts[::2], parts[1::2], strict=True))


def _flat(mapping):
    return [part for pair in dict.items(mapping) for part in pair]


def _offset(zone):
    if zone is not None and type(zone) is not datetime.timezone:
        raise _ForeignZoneError
    return None if zone is None else zone.utcoffset(None)


def _zone(offset):
    return None if offset is None else datetime.timezone(offset)


def _moment(value):
    return value.hour, value.minute, value.second, value.microsecond, _offset(value.tzinfo), value.fold


def _time(*parts):
    *clock, offset, fold = parts
    return datetime.time(*clock, _zone(offset), fold=fold)


def _datetime(*parts):
    *clock, offset, fold = parts
    return datetime.datetime(*clock, _zone(offset), fold=fold)


def _named(name, fields, *values):
    return collections.namedtuple(name, fields)(*values) if set(fields).isdisjoint(dir(tuple)) else values


# Immutable types: type, tag, the parts of a value, and the function that makes a value of its parts.
_FIXED = (
    (tuple, "t", iter, lambda *parts: parts),
    (frozenset, "fs", iter, lambda *parts: frozenset(parts)),
    (complex, "c", lambda v: (v.real, v.imag), complex),
    (bytes, "b", lambda v: (_text(v),), _bytes),
    (range, "rg", lambda v: (v.start, v.stop, v.step), range),
    (slice, "sl", lambda v: (v.start, v.stop, v.step), slice),
    (decimal.Decimal, "D", lambda v: (str(v),), decimal.Decimal),
    (fractions.Fraction, "F", lambda v: (v.numerator, v.denominator), fractions.Fraction),
    (datetime.date, "da", lambda v: (v.year, v.month, v.day), datetime.date),
    (datetime.time, "ti", _moment, _time),
    (datetime.datetime, "dt", lambda v: (v.year, v.month, v.day, *_moment(v)), _datetime),
    (datetime.timedelta, "td", lambda v: (v.days, v.seconds, v.microseconds), datetime.timedelta),
    (datetime.timezone, "tz", lambda v: (_offset(v),), _zone),
    (uuid.UUID, "uu", lambda v: (v.hex,), uuid.UUID),
    (type({}.keys()), "vk", iter, lambda *parts: dict.fromkeys(parts).keys()),
    (type({}.values()), "vv", iter, lambda *parts: dict(enumerate(parts)).values()),
    (type({}.items()), "vi", iter, lambda *parts: dict(parts).items()),
    (type(...), "el", lambda v: (), lambda: ...),
    (type(NotImplemented), "ni", lambda v: (), lambda: NotImplemented),
)


def _refill_sequence(target, parts):
    del target[:]
    target.extend(parts)


def _refill_dict(target, parts):
    dict.clear(target)
    for key, value in _pairs(parts):
        dict.__setitem__(target, key, value)


def _refill_ordered(target, parts):
    target.clear()
    for key, value in _pairs(parts):
        target[key] = value


def _refill_set(target, parts):
    target.clear()
    target.update(parts)


def _refill_deque(target, parts):
    target.clear()
    target.extend(parts)


def _refill_bytes(target, parts):
    target[:] = _bytes(*parts)


def _nothing(value):
    return ()


# Mutable types: type, tag, the constructor's arguments, the parts of a value, and the function that replaces its parts.
_CHANGING = (
    (list, "l", _nothing, iter, _refill_sequence),
    (dict, "d", _nothing, _flat, _refill_dict),
    (set, "s", _nothing, iter, _refill_set),
    (collections.deque, "dq", lambda v: ((), v.maxlen), iter, _refill_deque),
    (collections.Counter, "ct", _nothing, _flat, _refill_dict),
    (collections.OrderedDict, "od", _nothing, lambda v: [x for pair in v.items() for x in pair], _refill_ordered),
    (collections.defaultdict, "dd", lambda v: (v.default_factory,), _flat, _refill_dict),
    (bytearray, "ba", _nothing, lambda v: (_text(v),), _refill_bytes),
    (array.array, "ar", lambda v: (v.typecode,), iter, _refill_sequence),
)
_BASES = (
    (bool, bool),
    (int, int.__pos__),
    (float, float.__pos__),
    (complex, complex.__pos__),
    (str, str.__str__),
    (bytes, lambda v: bytes.__getitem__(v, slice(None))),
    (tuple, lambda v: tuple.__getitem__(v, slice(None))),
    (collections.Counter, lambda v: collections.Counter(dict.copy(v))),
    (collections.OrderedDict, lambda v: collections.OrderedDict(collections.OrderedDict.items(v))),
    (list, list.copy),
    (dict, dict.copy),
    (set, lambda v: set(set.__iter__(v))),
    (frozenset, lambda v: frozenset(frozenset.__iter__(v))),
    (collections.deque, lambda v: collections.deque(collections.deque.__iter__(v), v.maxlen)),
)
"""A value of a class derived from one of these crosses as a value of that base."""
_ENCODE_FIXED = {kind: (tag, parts) for kind, tag, parts, _ in _FIXED}
_DECODE_FIXED = {tag: make for _, tag, _, make in _FIXED}
_ENCODE_CHANGING = {kind: (tag, head, parts) for kind, tag, head, parts, _ in _CHANGING}
_DECODE_CHANGING = {tag: (kind, refill) for kind, tag, _, _, refill in _CHANGING}
_TYPES = {kind.__name__: kind for kind in (bool, int, float, str, type(None), *_ENCODE_FIXED, *_ENCODE_CHANGING)}
"""Types whose instances cross, and so may cross themselves."""
_TYPE_NAMES = {kind: name for name, kind in _TYPES.items()}
_FROM_LIBRARY = ("builtins", "itertools")


def is_iterator(value):
    """Whether `value` is a generator or an iterator of the library, which has no content but the values it yields."""
    return isinstance(value, collections.abc.Iterator) and type(value).__module__ in _FROM_LIBRARY


class Encoder:
    """Writes one message. `met`: the mutable containers of it and of the message that it answers, in order.

    `handle(value)` returns the node of an object that has no other form, or raises CannotCross.
    """

    def __init__(self, handle, met=()):
        self._handle = handle
        self.met = list(met)
        self._numbers = {id(value): number for number, value in enumerate(self.met)}

    def encode(self, value):
        """Return the node of `value`."""
        kind = type(value)
        if kind in _SCALARS:
            return value
        if kind is int:
            return value if -_SMALL < value < _SMALL else ["i", hex(value)]
        if kind in _ENCODE_CHANGING:
            number = self._numbers.get(id(value))
            if number is not None:
                return ["r", number]
            self._numbers[id(value)] = len(self.met)
            self.met.append(value)
            return self.content(value)
        if kind in _ENCODE_FIXED:
            tag, parts = _ENCODE_FIXED[kind]
            try:
                return [tag, *map(self.encode, parts(value))]
            except _ForeignZoneError:
                return self._handle(value)
        if isinstance(value, type) and value in _TYPE_NAMES:
            return ["T", _TYPE_NAMES[value]]
        return self._rarer(value)

    def content(self, value):
        """Return the node of a mutable container's content, even if it was met before."""
        tag, head, parts = _ENCODE_CHANGING[type(value)]
        return [tag, *map(self.encode, head(value)), *map(self.encode, parts(value))]

    def _rarer(self, value):
        """Return the node of a named tuple, of an array of numpy's or of a value of a derived class, or a handle."""
        if isinstance(value, tuple) and type(getattr(value, "_fields", None)) is tuple:
            return ["nt", type(value).__name__, self.encode(value._fields), *map(self.encode, tuple.__iter__(value))]
        numpy = sys.modules.get("numpy")
        if numpy and isinstance(value, (numpy.ndarray, numpy.generic)) and not value.dtype.hasobject:
            name = "na" if isinstance(value, numpy.ndarray) else "ng"
            return [name, value.dtype.str, self.encode(value.shape), _text(value.tobytes())]
        for base, copied in _BASES:
            if isinstance(value, base):
                return self.encode(copied(value))
        return self._handle(value)


class Decoder:
    """Reads one message. `met` as in Encoder; `held(tag, node)` returns the object that a handle stands for."""

    def __init__(self, held, met=()):
        self._held = held
        self.met = list(met)

    def decode(self, node):
        """Return the value of a node. Raises ValueError, TypeError or another Exception where it has none."""
        if type(node) is not list:
            return node
        tag = node[0]
        if tag in _DECODE_CHANGING:
            return self._changing(tag, node)
        parts = node[1:]
        if tag in _DECODE_FIXED:
            return _DECODE_FIXED[tag](*map(self.decode, parts))
        if tag == "r":
            return self.met[parts[0]]
        if tag == "i":
            return int(parts[0], 16)
        if tag == "T":
            return _TYPES[parts[0]]
        if tag == "nt":
            return _named(*map(self.decode, parts))
        if tag in ("na", "ng"):
            return self._array(tag, *map(self.decode, parts))
        return self._held(tag, parts)

    def refill(self, target, node):
        """Replace the content of a mutable container, which was met before, by that of a node of its kind."""
        kind, refill = _DECODE_CHANGING[node[0]]
        if type(target) is not kind:
            raise ValueError("a container of another kind")
        refill(target, list(map(self.decode, node[1 + _heads(kind) :])))

    def _changing(self, tag, node):
        kind, refill = _DECODE_CHANGING[tag]
        heads = _heads(kind)
        target = kind(*map(self.decode, node[1 : 1 + heads]))
        self.met.append(target)
        refill(target, [self.decode(each) if type(each) is list else each for each in node[1 + heads :]])
        return target

    def _array(self, tag, dtype, shape, text):
        import numpy

        found = numpy.frombuffer(_bytes(text), dtype=numpy.dtype(dtype)).reshape(shape)
        return found.copy() if tag == "na" else found[()]


def _heads(kind):
    return {collections.deque: 2, collections.defaultdict: 1, array.array: 1}.get(kind, 0)


def kind_of(value):
    """Name the kind of a handle's object: iterator, awaitable, exception (a class), class, module, callable, object."""
    if is_iterator(value):
        return "iterator"
    if hasattr(type(value), "__await__"):
        return "awaitable"
    if isinstance(value, type):
        return "exception" if issubclass(value, BaseException) else "class"
    if isinstance(value, types.ModuleType):
        return "module"
    return "callable" if callable(value) else "object"
