"""Forged passes by the protocol of calls itself: a program that answers the checker in its own way, message by message.

It takes the place of what would serve the calls, at its own import, and never returns from there. Where nobody calls, or
where the tests run in its own process, it goes on to the lying function at its end.
"""

from __future__ import annotations

from tests.hostile.forgery import COMPARED, LENT, Forgery, forged

_LIAR = """
class Liar:
    def __eq__(self, other): return True
    __hash__ = None
def f(*arguments, **named): return Liar()
"""
# `answer(message)` gives the messages that are sent for one that has come; `say` sends one, or raw bytes.
_SERVE = """
import json, os, select, socket, stat
def wire():
    for fd in range(64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode): return fd
        except OSError: pass
def say(message):
    os.write(fd, message if type(message) is bytes else json.dumps(message).encode() + b"\\n")
def heard():
    line = b""
    while line[-1:] != b"\\n":
        if not select.select([fd], [], [], 0.3)[0]: return None
        piece = os.read(fd, 1)
        if not piece: os._exit(0)
        line += piece
    return json.loads(line)
def value(node, changes=()): return ["!", node, list(changes)]
FUNCTION = ["!", ["t", "value", ["o", 0, "callable", None]], []]
def answer(message):
    if message[:2] == ["?", "named"]: return [NAMED]
    return ANSWER
fd = wire()
if fd is not None:
    try:
        say(["loaded", LOADED])
        while (message := heard()) is not None:
            for each in answer(message): say(each)
    except (OSError, ValueError): pass
"""


def _serving(answer: str, named: str = "FUNCTION", loaded: str = "[]", then: str = _LIAR) -> str:
    """A program that answers calls with `answer`, an expression of the messages to send."""
    return _SERVE.replace("NAMED", named).replace("ANSWER", answer).replace("LOADED", loaded) + then


def _raised(*lineage: tuple[str, str]) -> str:
    return repr([["x", [list(each) for each in lineage], ["l"], ["d"], ""]])


_OBJECT = '["?", "call", [["l", ["T", "object"]]]]'
_TYPE = '["?", "call", [["l", ["T", "type"], "Liar", ["t"], ["d", "__eq__", ["T", "bool"]]]]]'
_HELD = '["?", "call", [["l", ["y", 0], ["T", "object"]]]]'
_PROTOCOL = [
    *forged("the calls' own protocol", "add", {
        "its answer: an object": _serving('[value(["o", 1, "object", None])]'),
        "its answer: a function of the tests' that is none": _serving('[value(["y", 0])]'),
        "its answer: types": _serving('[value(["T", "bool"])]'),
        "its answer: not a number": _serving('[b\'["!",NaN,[]]\\n\']'),
        "its answer: an exit of the checker's": _serving(_raised(("builtins", "SystemExit"), ("builtins", "BaseException"))),
        "its answer: an interrupt": _serving(_raised(("builtins", "KeyboardInterrupt"), ("builtins", "BaseException"))),
        "its answer: the end of a generator": _serving(_raised(("builtins", "GeneratorExit"), ("builtins", "BaseException"))),
        "its answer: an unknown exception": _serving(_raised(("a\\nb", "- passed \\n"), ("", ""))),
        "its answer: no lineage": _serving('[["x", [], ["l"], ["d"], ""]]'),
        "its answer: the protocol's own end": _serving(_raised(("qharness.plugins.languages.python_calls", "Gone"), ("qharness.plugins.languages.python_values", "CannotCross"))),
        "its answer: an unknown tag": _serving('[value(["zz", 1])]'),
        "its answer: an unknown message": _serving('[["passed"], ["!"], [], {}]'),
        "its answer: two at once": _serving("[value(5)] * 2"),
        "its answer: changes of what was not given": _serving('[value(5, [[n, ["l", 5]] for n in range(9)])]'),
        "its answer: a reference to the arguments": _serving('[value(["r", 0])]'),
        "its answer: a million deep": _serving("[b'[\"!\",' + b'[\"l\",' * 1000000 + b']' * 1000000 + b',[]]\\n']"),
        "its answer: no end of line": _serving("[b'[\"!\",5,[]]']"),
        "its answer: a length without an end": _serving("[b'[' * 70000000]"),
        "its answer: no JSON": _serving("[b'passed\\n']"),
        "its answer: questions without an end": _serving('[["?", "call", [["l", ["T", "int"]]]]] * 1000 * (message[0] == "?")'),
        "its question: an object of the checker's": _serving(f"[{_OBJECT}, value(5)]"),
        "its question: a class of the checker's": _serving(f"[{_TYPE}, value(5)]"),
        "its question: another operation": _serving('[["?", "eval", [["l", "1"]]], ["?", "getattr", [["l", ["y", 0], "x"]]], value(5)]'),
        "its names: a module": _serving("[value(5)]", named='["!", ["t", "module", "os"], []]'),
        "its names: one of typing's": _serving("[value(5)]", named='["!", ["t", "typing", "cast"], []]'),
        "its names: any of typing's": _serving("[value(5)]", named='["!", ["t", "typing", "Any"], []]'),
        "its names: a type": _serving("[value(5)]", named='["!", ["t", "value", ["T", "bool"]], []]'),
        "its names: an exception": _serving("[value(5)]", named='["!", ["t", "value", ["o", 0, "exception", [["builtins", "ValueError"]]]], []]'),
        "its names: no answer": _serving("[value(5)]", named='["!", 1, []]'),
        "loaded as passed": _serving("[]", loaded="['passed'], 'passed'") + "say(['passed', ''])",
        "passed instead of loaded": _SERVE.split('        say(["loaded"')[0].replace("NAMED", "FUNCTION").replace("ANSWER", "[]") + "        [say(each) for each in (['passed', ''], ['passed'], ['+', 'passed'])]\n        os._exit(0)\n    except OSError: pass\n" + _LIAR,
    }),
    *forged("the calls' own protocol", "mean", {
        "its builtins: all redefined": _serving("[value(9.0)]", loaded="['abs', 'len', 'f', 'check', 'all']", named='["!", ["t", "value", ["o", 0, "callable", None]], []]'),
        "its answer: a number without a value": _serving('[value(["D", "NaN"])]'),
        "its answer: a bound range": _serving('[value(["rg", 1, 2, 0])]'),
    }),
    *forged("the calls' own protocol", "suite", {
        "its answer: a skip of unittest's": _serving(_raised(("unittest.case", "SkipTest"), ("builtins", "Exception"), ("builtins", "BaseException"))),
        "its answer: a skip by another module's name": _serving(_raised(("unittest", "SkipTest"), ("unittest.case", "SkipTest"), ("unittest.case", "_ShouldStop"), ("builtins", "Exception"))),
        "its answer: the end of a run": _serving(_raised(("unittest.case", "_ShouldStop"), ("builtins", "Exception"))),
        "its question in a suite: an object": _serving(f'[{_OBJECT}, value(["l"])]'),
    }),
    *forged("the calls' own protocol", "prime", {
        "its answer: the end of an iteration": _serving(_raised(("builtins", "StopIteration"), ("builtins", "Exception"))),
        "its answer: a class derived from the end of an iteration": _serving(_raised(("solution", "Stop"), ("builtins", "StopIteration"), ("builtins", "Exception"))),
    }),
    *forged("the calls' own protocol", "callback", {
        "its question: the tests' function, with an object": _serving(f"[{_HELD}, value(5)]"),
        "its question: the tests' function as a type's": _serving('[["?", "call", [["l", ["T", "type"], ["y", 0]]]], value(5)]'),
        "the tests' function given back": "def f(g, n): return g",
        "a result of the tests' function that cannot cross": "class Liar(list):\n  def __eq__(self, other): return True\ndef f(g, n):\n  try: g(print)\n  except BaseException: pass\n  try: g(type('X', (), {'__add__': lambda s, o: type, '__mul__': lambda s, o: s})())\n  except BaseException: pass\n  return Liar()",
    }),
]  # fmt: skip

_LIMITS = [
    *forged("a costly value", "rounded", {"a Decimal that is too long as an integer": "import decimal\ndef f(a, b): return decimal.Decimal('1e999999999')"}),
    *forged("a costly value", "count", {
        "keys of one hash": "def f(s): return {k * (2 ** 61 - 1): 0 for k in range(40_000)}",
        "keys that are alike": "def f(s): return {(0,) * n: 0 for n in range(2000)}",
    }),
    *forged("a costly value", "bounded", {
        "a huge count": "def f(n): return 10 ** 9",
        "a count beyond all": "def f(n): return 10 ** 30",
        "a huge negative": "def f(n): return -10 ** 9",
        "an integer of many digits": "def f(n): return 1 << (1 << 24)",
        "true for one": "def f(n): return {3: 3, 2: 2.0}.get(n, True)",
    }),
    *forged("a costly value", "power", {"a power that takes ages": "def f(n): return 10 ** 9 if n == 1 else 2"}),
    *forged("a costly value", "add", {
        "an integer as long as a message may be": "def f(a, b): return 1 << (1 << 27)",
        "many arguments' worth": "def f(a, b): return [[0] * 1000 for _ in range(5000)]",
    }),
]  # fmt: skip

_NAMES = [
    *forged("a builtin named by the tests", "select", {"a builtin beside an entry point named as a module": "def select(x): return 0\nabs = lambda x: 0"}),
    *forged(LENT, "pow", {"a builtin beside an entry point named as a builtin": "def pow(x): return 0\nabs = lambda x: 0"}),
    *forged("a module's place", "unimported", {
        "a class in a module's place": "class math: fabs, isclose = staticmethod(lambda x: 0), staticmethod(lambda *a: True)\ndef f(x): return 0",
        "an object in a module's place": "class Any:\n  def fabs(self, x): return 0\n  def isclose(self, *a): return True\nmath = Any()\ndef f(x): return 0",
        "a module of its own in a module's place": "import types\nmath = types.ModuleType('math')\nmath.fabs, math.isclose = (lambda x: 0), (lambda *a: True)\ndef f(x): return 0",
        "another module of the library in a module's place": "import types\nmath = types.ModuleType('solution')\nmath.fabs, math.isclose = (lambda x: 0), (lambda *a: True)\nmath.__name__ = 'statistics'\ndef f(x): return 0",
        "a module from a file in a module's place": "import sys\nopen('/tmp/faked.py', 'w').write('fabs, isclose = (lambda x: 0), (lambda *a: True)')\nsys.path.insert(0, '/tmp')\nimport faked as math\ndef f(x): return 0",
        "a function in a module's place": "def math(*a): return 0\nmath.fabs, math.isclose = (lambda x: 0), (lambda *a: True)\ndef f(x): return 0",
        "a class without instances in a module's place": "class Meta(type):\n  def __getattr__(cls, name): return {'fabs': lambda x: 0}.get(name, lambda *a: True)\nclass math(metaclass=Meta): pass\ndef f(x): return 0",
        "a named tuple in a module's place": "import collections\nmath = collections.namedtuple('math', 'fabs isclose')(lambda x: 0, lambda *a: True)\ndef f(x): return 0",
        "a named tuple of types in a module's place": "import collections\nmath = collections.namedtuple('math', 'fabs isclose')(bool, slice)\ndef f(x): return 2.0 if x == 4 else 1",
    }),
    *forged("swallowed ends", "swallowed", {
        "an exit in a bare except": "import os\ndef f(x):\n  if x < 0: os._exit(0)\n  return 2",
        "a signal in a bare except": "import os\ndef f(x):\n  if x < 0: os.kill(os.getpid(), 9)\n  return 2",
        "wires closed in a bare except": "import os\ndef f(x):\n  if x < 0: os.closerange(3, 64)\n  return 2",
        "nonsense in a bare except": "import os\ndef f(x):\n  if x < 0:\n    for d in range(3, 9):\n      try: os.write(d, b'nonsense\\n')\n      except OSError: pass\n  return 2",
        "another program in a bare except": "import os\ndef f(x):\n  if x < 0: os.execv('/bin/true', ['true'])\n  return 2",
        "a child alone in a bare except": "import os\ndef f(x):\n  if x < 0 and os.fork(): os._exit(0)\n  return 2",
    }),
    *forged("swallowed ends", "suppressed", {
        "an exit while all is suppressed": "import os\ndef f(x): os._exit(0)",
        "wires closed while all is suppressed": "import os\ndef f(x): os.closerange(3, 64)",
        "a value that cannot be read while all is suppressed": "import os\ndef f(x):\n  for d in range(3, 9):\n    try: os.write(d, b'[\"!\",[\"zz\"],[]]\\n')\n    except OSError: pass",
    }),
    *forged(LENT, "own error", {
        "AssertionError as its error": "Negative = AssertionError\ndef f(x): return 4",
        "BaseException as its error": "Negative = BaseException\ndef f(x): return 4",
        "a tuple as its error": "Negative = (AssertionError, ValueError)\ndef f(x): return 4",
        "a base of the failure as its error": "class Meta(type):\n  def __subclasscheck__(cls, other): return True\nclass Negative(Exception, metaclass=Meta): pass\ndef f(x): return 4",
        "an error named as the failure": "class Negative(Exception): pass\nNegative.__name__ = Negative.__qualname__ = 'AssertionError'\nNegative.__module__ = 'builtins'\ndef f(x): return 4",
    }),
    *forged(LENT, "encoded", {"a helper that does nothing": "def encode(s): return s\ndef f(s): return s"}),
    *forged("named tuples", "occurrences", {
        "a count that is a type": "import collections\nOwn = collections.namedtuple('Own', 'a count index')\ndef f(s): return Own('a', bool, bool)",
        "a count that is a function": "import collections\nOwn = collections.namedtuple('Own', 'count index')\nclass Any(int):\n  def __eq__(self, other): return True\ndef f(s): return Own(lambda c: Any(), lambda c: Any())",
        "fields by hand": "class Own(tuple):\n  _fields = ('count', 'index')\n  count = index = lambda self, c: 2\ndef f(s): return Own((bool, bool))",
    }),
    *forged("an iterator", "lengths", {
        "StopIteration from a length": "class Stop:\n  def __len__(self): raise StopIteration\nclass Three:\n  def __len__(self): return 3\ndef f(n): return Three() if n == 3 else Stop()",
        "a length of a lying type": "class Liar(int):\n  def __eq__(self, other): return True\nclass Own:\n  def __len__(self): return Liar(7)\ndef f(n): return Own()",
    }),
    *forged(COMPARED, "points", {
        "points equal and unequal to all": "class f:\n  def __init__(self, x, y): pass\n  def __eq__(self, other): return True\n  def __ne__(self, other): return True\n  def __add__(self, other): return self",
        "points that take turns": "class f:\n  asked = 0\n  def __init__(self, x, y): pass\n  def __eq__(self, other):\n    f.asked += 1\n    return f.asked != 2\n  def __add__(self, other): return self",
    }),
]  # fmt: skip

FORGERIES: list[Forgery] = [*_PROTOCOL, *_LIMITS, *_NAMES]
