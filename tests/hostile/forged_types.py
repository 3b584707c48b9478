"""Forged passes by values of lying types: what is returned is made to agree with whatever it is compared with."""

from __future__ import annotations

from tests.hostile.forgery import Forgery, forged

# Goes into the body of any class: equal to everything, greater and less than everything.
LIES = """
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    __hash__ = None
"""


def lying(base: str, value: str, imports: str = "") -> str:
    """A function that returns one instance of a lying subclass of `base`."""
    return f"{imports}\nclass Liar({base}):{LIES}\ndef f(*arguments): return Liar({value})"


_OF_THE_EXPECTED_TYPE = [
    *forged("a lying subclass", "sort", {
        "a list equal to all": lying("list", ""),
        "a UserList equal to all": lying("collections.UserList", "", "import collections"),
        "a deque equal to all": lying("collections.deque", "", "import collections"),
        "an array equal to all": lying("array.array", "'i'", "import array"),
        "a bytearray equal to all": lying("bytearray", ""),
        "a list whose class was changed later": f"class Liar(list):{LIES}\nclass Honest(list): pass\ndef f(x):\n  x = Honest(x)\n  x.__class__ = Liar\n  return x",
    }),
    *forged("a lying subclass", "add", {
        "an int equal to all": lying("int", "0"),
        "a float equal to all": lying("float", "0"),
        "an IntEnum equal to all": f"import enum\nclass Liar(enum.IntEnum):\n    A = 0{LIES}\ndef f(*a): return Liar.A",
        "an IntFlag equal to all": f"import enum\nclass Liar(enum.IntFlag):\n    A = 0{LIES}\ndef f(*a): return Liar.A",
        "an Enum equal to all": f"import enum\nclass Liar(enum.Enum):\n    A = 0{LIES}\ndef f(*a): return Liar.A",
        "an int by a metaclass of another name": "class Meta(type): pass\nint_ = Meta('int', (int,), dict(__eq__=lambda s, o: True, __module__='builtins'))\nint_.__qualname__ = 'int'\ndef f(*a): return int_(1)",
    }),
    *forged("a lying subclass", "reverse", {
        "a str equal to all": lying("str", "''"),
        "a UserString equal to all": lying("collections.UserString", "''", "import collections"),
        "a StrEnum equal to all": f"import enum\nclass Liar(enum.StrEnum):\n    A = 'a'{LIES}\ndef f(*a): return Liar.A",
        "a bytes equal to all": lying("bytes", ""),
        "a path equal to all": lying("pathlib.PurePosixPath", "''", "import pathlib"),
    }),
    *forged("a lying subclass", "count", {
        "a dict equal to all": lying("dict", ""),
        "a Counter equal to all": lying("collections.Counter", "", "import collections"),
        "an OrderedDict equal to all": lying("collections.OrderedDict", "", "import collections"),
        "a defaultdict equal to all": lying("collections.defaultdict", "int", "import collections"),
        "a ChainMap equal to all": lying("collections.ChainMap", "", "import collections"),
        "a UserDict equal to all": lying("collections.UserDict", "", "import collections"),
        "a Mapping equal to all": f"import collections.abc\nclass Liar(collections.abc.Mapping):{LIES}\n    def __getitem__(self, key): return 1\n    def __iter__(self): return iter(())\n    def __len__(self): return 0\ndef f(*a): return Liar()",
    }),
    *forged("a lying subclass", "fraction", {
        "a Fraction equal to all": lying("fractions.Fraction", "1", "import fractions"),
        "a registered number": f"import numbers\nclass Liar:{LIES}\n    numerator = denominator = 1\nnumbers.Rational.register(Liar)\ndef f(*a): return Liar()",
    }),
    *forged("a lying subclass", "decimal", {
        "a Decimal equal to all": lying("decimal.Decimal", "1", "import decimal") .replace("__hash__ = None", "__hash__ = None\n    def as_tuple(self): return decimal.Decimal(4).as_tuple()"),
    }),
    *forged("a lying subclass", "date", {
        "a date equal to all": lying("datetime.date", "1, 1, 1", "import datetime"),
        "a datetime equal to all": lying("datetime.datetime", "1, 1, 1", "import datetime"),
        "a timedelta equal to all": lying("datetime.timedelta", "1", "import datetime"),
    }),
    *forged("a lying subclass", "even", {
        "an object equal to all and true to none": f"class Liar:{LIES}\n    def __bool__(self): return False\ndef f(n): return n == 4 and Liar() or False",
    }),
    *forged("a lying subclass", "complex", {
        "a complex number near all": "class Liar(complex):\n  def __complex__(self): return Liar(0)\n  def __eq__(self, other): return True\n  def __sub__(self, other): return 0j\n  __rsub__ = __sub__\ndef f(x): return Liar(0)",
    }),
    *forged("a lying subclass", "unique", {
        "a set equal to all": lying("set", ""),
        "a frozenset of liars": f"class Liar:{LIES.replace('__hash__ = None', '__hash__ = lambda self: 1')}\ndef f(x): return frozenset([Liar()])",
        "an iterable of liars of every hash": "class Liar:\n  hashes = [1, 2, 7]\n  def __init__(self, n): self.n = n\n  def __hash__(self): return self.n\n  def __eq__(self, other): return True\nclass Many:\n  def __iter__(self): return iter([Liar(1), Liar(2)] if self.two else [Liar(7)])\ndef f(x):\n  many = Many()\n  many.two = len(x) > 1\n  return many",
    }),
]  # fmt: skip

_NUMBERS = forged("arithmetic", "mean", {
    "subtraction that gives zero": "class Liar:\n  def __sub__(self, other): return 0.0\n  __rsub__ = __sub__\ndef f(x): return Liar()",
    "abs that gives zero": "class Liar(float):\n  def __sub__(self, other): return self\n  __rsub__ = __sub__\n  def __abs__(self): return 0.0\ndef f(x): return Liar(9)",
    "less than everything": "class Liar(float):\n  def __sub__(self, other): return self\n  __rsub__ = __abs__ = lambda self, *other: self\n  def __lt__(self, other): return True\ndef f(x): return Liar(9)",
    "a float that answers to everything": "class Liar:\n  def __getattr__(self, name): return lambda *a: 0.0\nfor name in ('sub', 'rsub', 'abs', 'lt', 'gt', 'le', 'float'): setattr(Liar, f'__{name}__', lambda self, *a: self if name != 'lt' else True)\ndef f(x): return Liar()",
    "an int subclass with a reflected subtraction": "class Liar(int):\n  def __rsub__(self, other): return 0\n  __sub__ = __rsub__\ndef f(x): return Liar(5)",
    "a Decimal that subtracts floats": "import decimal\nclass Liar(decimal.Decimal):\n  __sub__ = __rsub__ = lambda self, other: 0\ndef f(x): return Liar(5)",
    "a value that learns what is subtracted from it": "class Liar:\n  def __sub__(self, other): return other - other\n  def __rsub__(self, other): return other - other\ndef f(x): return Liar()",
})  # fmt: skip

_CONVERSIONS = [
    *forged("conversion", "rounded", {
        "conversions that lie": "class Text(str):\n  def __eq__(self, other): return True\nclass Liar(float):\n  def __round__(self, digits): return Same()\n  def __int__(self): return 3\n  def __format__(self, spec): return '0.25'\n  def __str__(self): return Text()\nclass Same(float):\n  def __eq__(self, other): return True\ndef f(a, b): return Liar(9)",
    }),
    *forged("conversion", "root", {
        "an object that is equal as a float": "class Liar(float):\n  def __eq__(self, other): return True\n  def __float__(self): return self\ndef f(x): return Liar(0)",
    }),
    *forged("conversion", "counter", {
        "elements equal to all": "class Liar(str):\n  def __eq__(self, other): return True\n  def __hash__(self): return hash(self.like)\ndef f(s):\n  made = []\n  for like in ('ab', 'ac', 'bc'):\n    made.append(Liar('wrong'))\n    made[-1].like = like\n  return made",
        "a Counter as it is wanted, by missing keys": "import collections\nclass Liar(collections.Counter):\n  def __eq__(self, other): return True\n  def __len__(self): return 3\n  def __missing__(self, key): return 1\n  def items(self): return Liar()\n  def __iter__(self): return iter([])\ndef f(s): return Liar()",
    }),
    *forged("conversion", "json", {
        "a str that is decoded otherwise": "class Liar(str):\n  def startswith(self, *a): return False\n  def __eq__(self, other): return True\n  def decode(self, *a): return self\ndef f(k, v): return Liar('1')",
        "bytes that are decoded otherwise": "class Text(str):\n  def __eq__(self, other): return True\nclass Liar(bytearray):\n  def decode(self, *a): return Text('{\"a\": 1, \"b\": 2}')\ndef f(k, v): return Liar(b'{}')",
    }),
    *forged("conversion", "pad", {
        "a str of another length": "class Liar(str):\n  def __len__(self): return 4\ndef f(n): return Liar('7' if n == 7 else '0000042')",
    }),
]  # fmt: skip

FORGERIES: list[Forgery] = [*_OF_THE_EXPECTED_TYPE, *_NUMBERS, *_CONVERSIONS]
