"""Represents, in the checker's process, objects that stay in the program's: each operation on one is asked there.

The checker decides on equality: such an object equals no value, whatever its class says. An operation on an object that
a function of the program returned, or on two such objects, relies on the program, and marks the verdict.
"""

import itertools
import operator

_ONE_BY_ONE, _AT_A_TIME = 100, 50

_UNARY = {
    "__len__": len,
    "__bool__": bool,
    "__str__": str,
    "__repr__": repr,
    "__int__": int,
    "__float__": float,
    "__index__": operator.index,
    "__hash__": hash,
    "__abs__": abs,
    "__neg__": operator.neg,
    "__pos__": operator.pos,
    "__invert__": operator.invert,
    "__iter__": iter,
    "__next__": next,
    "__reversed__": reversed,
    "__dir__": dir,
}
_BINARY = {
    f"__{name}__": getattr(operator, f"__{name}__")
    for name in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift lt le gt ge".split()  # noqa: SIM905
}
_ITEMS = {"__getitem__": operator.getitem, "__setitem__": operator.setitem, "__delitem__": operator.delitem}
_MANAGED = ("__enter__", "__exit__")
OPERATIONS = {
    **_UNARY,
    **_BINARY,
    **_ITEMS,
    **{name: lambda value, *parts, name=name: getattr(value, name)(*parts) for name in _MANAGED},
    "call": lambda function, *values, **named: function(*values, **named),
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "eq": operator.eq,
    "isinstance": isinstance,
    "issubclass": issubclass,
}
"""The operations that a program's process performs, by name."""


class StandIn:
    """An object of the program's. `kind`: see `python_values.kind_of`; `named`: the tests name it or its class."""

    __slots__ = ("_kind_", "_named_", "_peer_")

    def __init__(self, peer, kind, named=False):
        for name, value in (("_peer_", peer), ("_kind_", kind), ("_named_", named)):
            object.__setattr__(self, name, value)

    def __call__(self, *values, **named):
        """Call it in the program's process. An instance of a named class counts as named."""
        result = self._peer_.ask("call", self, *values, **named)
        if type(result) is StandIn and self._named_ and self._kind_ == "class":
            object.__setattr__(result, "_named_", True)
        return result

    def __getattr__(self, name):
        if name.startswith("__") and name not in ("__name__", "__doc__", "__dict__", "__wrapped__"):
            raise AttributeError(name)
        self._operated()
        found = self._peer_.ask("getattr", self, name)
        if type(found) is StandIn and found._kind_ == "callable" and self._named_:
            object.__setattr__(found, "_named_", True)
        return found

    def __setattr__(self, name, value):
        self._operated()
        self._peer_.ask("setattr", self, name, value)

    def __delattr__(self, name):
        self._operated()
        self._peer_.ask("delattr", self, name)

    def __eq__(self, other):
        if self is other:
            return True
        if type(other) is not StandIn:
            return False
        self._peer_.mark()
        return bool(self._peer_.ask("eq", self, other))

    def __ne__(self, other):
        return not self == other

    def __contains__(self, value):
        """Search the values that the object yields, because its own `__contains__` might say yes to anything."""
        return any(each is value or each == value for each in iter(self))

    def __instancecheck__(self, value):
        self._peer_.mark()
        return type(value) is StandIn and self._peer_.ask("isinstance", value, self) is True

    def __subclasscheck__(self, value):
        self._peer_.mark()
        return type(value) is StandIn and self._peer_.ask("issubclass", value, self) is True

    def _operated(self):
        if not self._named_:
            self._peer_.mark()


def _unary(name):
    def ask(self):
        self._operated()
        return self._peer_.ask(name, self)

    return ask


def _binary(name):
    def ask(self, other):
        if type(other) is not StandIn:  # asking would show the program what the tests expect
            return NotImplemented
        self._peer_.mark()
        return self._peer_.ask(name, self, other)

    return ask


def _with_values(name):
    def ask(self, *values):
        self._operated()
        return self._peer_.ask(name, self, *values)

    return ask


for _names, _made in ((_UNARY, _unary), (_BINARY, _binary), ({**_ITEMS, **dict.fromkeys(_MANAGED)}, _with_values)):
    for _name in _names:
        setattr(StandIn, _name, _made(_name))


def awaited(peer):
    """Return a coroutine that runs an awaitable of the program's to its end there."""

    async def run():
        return peer.ask("run", made)

    made = run()
    return made


def iterated(peer):
    """Return a generator of the values of a program's iterator, which asks for one at a time at first."""

    def generate():
        for asked in itertools.count():
            values = peer.ask("some", made, 1 if asked < _ONE_BY_ONE else _AT_A_TIME)
            if not values:
                return
            yield from values

    made = generate()
    return made
