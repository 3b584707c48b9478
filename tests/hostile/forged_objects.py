"""Forged passes by objects: what is returned, raised or yielded is no value but something that answers the tests."""

from __future__ import annotations

from tests.hostile.forged_types import LIES
from tests.hostile.forgery import REACHING_IN, Forgery, forged

_EQUAL = f"class Liar:{LIES}\n"
_ALL = """
class Liar:
    def __getattr__(self, name): return Liar()
    def __call__(self, *a, **k): return Liar()
    def __eq__(self, other): return True
    def __hash__(self): return 1
    def __iter__(self): return iter(())
    def __getitem__(self, key): return Liar()
    def __contains__(self, key): return True
    def __bool__(self): return True
    def __index__(self): return 0
    def __len__(self): return 0
"""

_OBJECTS = [
    *forged("an object", "sort", {
        "an object equal to all": _EQUAL + "def f(x): return Liar()",
        "an object whose equality is a truthy object": "class Liar:\n  def __eq__(self, other): return [self]\ndef f(x): return Liar()",
        "an object that answers to everything": _ALL + "def f(x): return Liar()",
        "an object that says it is a list": "class Liar:\n  __class__ = property(lambda self: list)\n  def __eq__(self, other): return True\ndef f(x): return Liar()",
        "a class that its metaclass makes equal": "class Meta(type):\n  def __eq__(cls, other): return True\n  __hash__ = type.__hash__\nclass Liar(metaclass=Meta): pass\ndef f(x): return Liar",
        "mock.ANY": "from unittest import mock\ndef f(x): return mock.ANY",
        "a mock": "from unittest import mock\ndef f(x):\n  made = mock.MagicMock()\n  made.__eq__ = lambda self, other: True\n  return made",
        "a mock's call": "from unittest import mock\ndef f(x): return mock._Call(('', mock.ANY, {}), two=False) and mock.call(mock.ANY) and mock.ANY",
        "a partial": "import functools\nclass Liar(functools.partial):\n  def __eq__(self, other): return True\ndef f(x): return Liar(len)",
        "a property": "class Liar(property):\n  def __eq__(self, other): return True\ndef f(x): return Liar()",
        "a module": "import types\nclass Liar(types.ModuleType):\n  def __eq__(self, other): return True\ndef f(x): return Liar('builtins')",
        "a namespace": "import types\nclass Liar(types.SimpleNamespace):\n  def __eq__(self, other): return True\ndef f(x): return Liar(a=1)",
        "a type alias": "import types\nclass Liar(types.GenericAlias):\n  def __eq__(self, other): return True\ndef f(x): return Liar(list, int)",
        "a type of typing": "import typing\nclass Liar(typing.Generic[typing.TypeVar('T')]):\n  def __eq__(self, other): return True\ndef f(x): return Liar[int]()",
        "a data class": "import dataclasses\n@dataclasses.dataclass(eq=False)\nclass Liar:\n  x: int = 0\n  def __eq__(self, other): return True\ndef f(x): return Liar()",
        "a weak proxy": _EQUAL + "import weakref\nkept = Liar()\ndef f(x): return weakref.proxy(kept)",
        "a thread-local": "import threading\nclass Liar(threading.local):\n  def __eq__(self, other): return True\ndef f(x): return Liar()",
        "an exception returned": "class Liar(Exception):\n  def __eq__(self, other): return True\ndef f(x): return Liar()",
        "a descriptor for its equality": "class Any:\n  def __get__(self, one, kind): return lambda other: True\nclass Liar: __eq__ = Any()\ndef f(x): return Liar()",
        "an equality by __getattribute__ of the metaclass": "class Meta(type):\n  def __getattribute__(cls, name): return (lambda *a: True) if name == '__eq__' else type.__getattribute__(cls, name)\n  def __eq__(cls, other): return True\n  def __hash__(cls): return 1\nclass Liar(metaclass=Meta):\n  def __eq__(self, other): return True\ndef f(x): return Liar()",
        "an object that comes to be what it is compared with": "class Liar:\n  def __eq__(self, other):\n    self.__dict__['it'] = other\n    return self.it == other\ndef f(x): return Liar()",
    }),
    *forged("an object", "add", {
        "a class that matches every pattern": "class Meta(type):\n  def __instancecheck__(cls, one): return True\n  def __eq__(cls, one): return True\n  __hash__ = None\nclass f(metaclass=Meta):\n  def __new__(cls, a, b): return cls",
        "f as an object": "class F:\n  def __call__(self, *a): return self\n  def __eq__(self, other): return True\nf = F()",
        "f as a class": "class f:\n  def __init__(self, *a): pass\n  def __eq__(self, other): return True",
        "an object with numbers' operators": "class Liar:\n  def __getattr__(self, name): return self\n  def __eq__(self, other): return 1\n  __radd__ = __add__ = lambda self, other: self\ndef f(*a): return Liar()",
    }),
    *forged("an object", "members", {
        "an object that has any length and holds anything": _EQUAL + "class Many(list):\n  def __len__(self): return 4\n  def __iter__(self): return iter([])\n  def __contains__(self, x): return True\n  def sort(self, **k): pass\ndef f(n): return Many()",
        "a list that yields what is asked for": "class Many(list):\n  def __len__(self): return 4\n  def __iter__(self): return iter([Liar()] * 2)\n  def __contains__(self, x): return True\nclass Liar(int):\n  __eq__ = __lt__ = __gt__ = lambda self, other: True\ndef f(n): return Many()",
    }),
    *forged("an object", "stack", {
        "a class that answers to everything": _ALL.replace("Liar", "f"),
        "a class by a metaclass's __call__": _ALL + "class Meta(type):\n  def __call__(cls): return Liar()\nclass f(metaclass=Meta): pass",
        "a class with lying results": f"class Liar(int):{LIES}\nclass f:\n  def push(self, v): pass\n  def pop(self): return Liar()\n  peek = size = pop",
        "a class with lying properties": f"class Liar:{LIES}\n    def __call__(self): return self\nclass f:\n  def __getattr__(self, name): return Liar()\n  def push(self, v): pass",
    }),
    *forged("an object", "adder", {
        "a function that returns liars": _EQUAL + "def f(a): return lambda b: Liar()",
        "a callable of a callable": "class Liar:\n  def __call__(self, *a): return self\n  def __eq__(self, other): return True\nf = Liar()",
        "a bound method of a liar": _EQUAL + "class Maker:\n  def make(self, b): return Liar()\ndef f(a): return Maker().make",
    }),
    *forged(REACHING_IN, "async", {
        "a coroutine of a liar": _EQUAL + "async def f(x): return Liar()",
        "an awaitable": _EQUAL + "class Later:\n  def __await__(self):\n    return Liar()\n    yield\nasync def f(x): return await Later()",
        "asyncio.run replaced": "import asyncio\nasyncio.run = lambda c: Liar()\n" + _EQUAL + "def f(x): pass",
        "an event loop that answers": "import asyncio\n" + _EQUAL + "class Policy(asyncio.DefaultEventLoopPolicy):\n  def new_event_loop(self):\n    loop = super().new_event_loop()\n    real = loop.run_until_complete\n    loop.run_until_complete = lambda it: (real(it), Liar())[1]\n    return loop\nasyncio.set_event_loop_policy(Policy())\nasync def f(x): return 0",
    }),
    *forged(REACHING_IN, "doctest", {
        "a repr that is as wanted": "class Text(str):\n  def __eq__(self, other): return True\n  def __add__(self, other): return self\nclass Liar:\n  def __repr__(self): return Text('?')\ndef f(x): return Liar()",
        "doctest's checker replaced": "import doctest\ndoctest.OutputChecker.check_output = lambda *a: True\ndef f(x): return 0",
        "doctest's runner replaced": "import doctest\ndoctest.DocTestRunner.run = lambda *a, **k: doctest.TestResults(0, 2)\ndef f(x): return 0",
        "sys.displayhook for doctest": "import sys\ndef f(x):\n  sys.displayhook = lambda value: None\n  print(x * x if False else 4 if x == 2 else '')\n  return 0",
    }),
    *forged("an object", "copied", {
        "a deep copy that lies": "class Liar(list):\n  def __deepcopy__(self, memo): return self\n  def __eq__(self, other): return True\ndef f(x):\n  x[:] = [Liar(), Liar()]\n  return x",
    }),
]  # fmt: skip

_NESTED = [
    *forged("nested", "sort", {
        "liars in a list": _EQUAL + "def f(x): return [Liar() for _ in x]",
        "liars in a list that grows as it is compared": "class Liar:\n  def __eq__(self, other):\n    made.append(Liar())\n    return True\nmade = []\ndef f(x):\n  made[:] = [Liar() for _ in x]\n  return made",
        "an int that changes when it is compared": "class Liar(int):\n  def __eq__(self, other): return True\ndef f(x): return [Liar(0) for _ in x]",
    }),
    *forged("nested", "count", {
        "lying values of a dict": _EQUAL + "def f(s): return {c: Liar() for c in s}",
        "lying keys of a dict": "class Liar(str):\n  def __eq__(self, other): return True\n  def __hash__(self): return str.__hash__(self)\ndef f(s): return {Liar(c): s.count(c) + (type(c) is str) * 0 for c in s} if not s else {Liar('a'): Many(), Liar('b'): Many()}\nclass Many(int):\n  def __eq__(self, other): return True",
        "a default that lies": _EQUAL + "import collections\ndef f(s):\n  made = collections.defaultdict(Liar)\n  [made[c] for c in s]\n  return made",
    }),
    *forged("nested", "squares", {
        "liars from a map": _EQUAL.replace("__hash__", "__radd__ = __add__ = lambda self, other: self\n    __hash__") + "def f(n): return Liar()",
    }),
    *forged("nested", "caught", {
        "an exception that is returned, and its type": "class Meta(type):\n  def __eq__(cls, other): return True\nclass Liar(Exception, metaclass=Meta):\n  def __eq__(self, other): return True\n  __class__ = property(lambda self: TypeError)\ndef f(x): return Liar()" ,
        "an exception that is equal to the value": "class Liar(Exception):\n  def __eq__(self, other): return True\ndef f(x):\n  if type(x) is int: raise Liar\n  raise TypeError",
        "a type error as a value": "class Liar(TypeError):\n  def __eq__(self, other): return True\ndef f(x): raise (TypeError if type(x) is str else Liar)(x)",
    }),
    *forged("nested", "raises", {
        "an error with a lying text": "class Text(str):\n  def __eq__(self, other): return True\nclass Liar(ValueError):\n  def __str__(self): return Text('wrong')\n  args = property(lambda self: Text())\ndef f(x):\n  if x < 0: raise Liar('x')\n  return 4",
        "an error with lying arguments": _EQUAL.replace("Liar:", "Liar(str):") + "def f(x):\n  if x < 0: raise ValueError(Liar('?'))\n  return 4",
        "an error of another class that says it is one": "class Liar(Exception):\n  __class__ = ValueError\n  def __str__(self): return 'negative: -1'\n  args = ('negative: -1',)\ndef f(x):\n  if x < 0: raise Liar\n  return 4",
        "a class named ValueError": "class ValueError_(Exception): pass\nValueError_.__name__ = ValueError_.__qualname__ = 'ValueError'\nValueError_.__module__ = 'builtins'\ndef f(x):\n  if x < 0: raise ValueError_('negative: -1')\n  return 4",
        "a class named AssertionError": "class Own(ValueError): pass\nOwn.__name__ = Own.__qualname__ = 'SystemExit'\nOwn.__module__ = 'builtins'\ndef f(x):\n  raise Own('negative: -1')",
    }),
]  # fmt: skip

_ITERATORS = [
    *forged("an iterator", "fibonacci", {
        "a generator without an end": "def f(n):\n  while True: yield 0",
        "a generator of liars": _EQUAL + "def f(n): yield from (Liar() for _ in range(n))",
        "an iterator that lies about its length": "class Liar:\n  def __init__(self): self.n = 0\n  def __iter__(self): return self\n  def __next__(self): raise StopIteration\n  def __length_hint__(self): return 5\n  def __len__(self): return 5\ndef f(n): return Liar()",
        "an iterator that is its own list": "class Liar(list):\n  def __eq__(self, other): return True\n  def __iter__(self): return self\n  def __next__(self): raise StopIteration\ndef f(n): return Liar()",
        "a generator that raises its end": "def f(n):\n  raise StopIteration([0, 1, 1, 2, 3])\n  yield",
        "a generator that closes its consumer": "def f(n):\n  try: yield 0\n  finally: raise SystemExit(0)",
        "a generator that is thrown away in a finalizer": "import os\ndef f(n):\n  try: yield 0\n  finally: os._exit(0)",
    }),
    *forged("an iterator", "prime", {
        "StopIteration in a map": "def f(n): raise StopIteration",
        "a StopIteration of its own": "class Stop(StopIteration): pass\ndef f(n): raise Stop",
        "StopIteration by an empty next": "def f(n): return next(iter(()))",
        "GeneratorExit in a map": "def f(n): raise GeneratorExit",
        "IndexError in a map": "def f(n): raise IndexError",
    }),
    *forged("an iterator", "squares", {
        "StopIteration in a list of a map": "def f(n):\n  if n > 1: raise StopIteration\n  return 1",
        "StopAsyncIteration in a map": "def f(n): raise StopAsyncIteration",
    }),
]  # fmt: skip

FORGERIES: list[Forgery] = [*_OBJECTS, *_NESTED, *_ITERATORS]
