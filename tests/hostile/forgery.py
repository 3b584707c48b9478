"""Forged passes: programs that do not solve their problem, and try to pass its tests nevertheless.

Each problem has tests as benchmarks have them, a right solution that must pass and a wrong one that must not; its entry
point is always `f`. A forgery is a source that goes with a problem's tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from qharness import Program

REACHING_IN = "tests that reach into the program"
COMPARED = "objects of the solution's compared with each other"
LENT = "names that tests take from the solution"
"""Kinds that remain possible, in tests that need it; their verdicts say so."""


@dataclass(frozen=True)
class Problem:
    """What is asked for: tests of a function or class `f`, an answer that is right and one that is not."""

    tests: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Forgery:
    """One way to pass without being right; `kind` says by what means."""

    name: str
    kind: str
    problem: str
    source: str

    def program(self) -> Program:
        """The forgery with the tests of its problem."""
        return Program("python", self.source, PROBLEMS[self.problem].tests)


def check(*asserts: str, head: str = "") -> str:
    """Tests in HumanEval's form."""
    body = "\n".join(f"    {line}" for line in asserts)
    return f"{head}\nMETADATA = {{'author': 'jt', 'dataset': 'test'}}\n\n\ndef check(candidate):\n{body}\n\ncheck(f)\n"


SUITE = """
import unittest

class TestSquares(unittest.TestCase):
    def setUp(self):
        self.numbers = [1, 2, 3]

    def test_squares(self):
        self.assertEqual(f(self.numbers), [1, 4, 9])
        self.assertListEqual(f([]), [])

    def test_type(self):
        self.assertIsInstance(f([2]), list)
        self.assertTrue(f([2])[0] == 4)

    def test_negative(self):
        value = f([-3])
        self.assertEqual(value, [9])

if __name__ == "__main__":
    unittest.main()
"""
STACK = """
def test_stack():
    stack = f()
    stack.push(1)
    stack.push(2)
    assert stack.pop() == 2
    assert stack.peek() == 1
    assert stack.size() == 1

if __name__ == "__main__":
    test_stack()
"""
DOCTEST = """
import doctest
text = '''
>>> f(2)
4
>>> f(3)
9
'''
test = doctest.DocTestParser().get_doctest(text, {"f": f}, "squares", None, 0)
assert doctest.DocTestRunner(verbose=False).run(test, out=lambda text: None).failed == 0
"""
RAISING = """
def test_root():
    assert f(16) == 4
    try:
        f(-1)
    except ValueError as error:
        assert str(error) == "negative: -1"
        assert error.args == ("negative: -1",)
    else:
        assert False, "no error"

test_root()
"""
CASES = """
cases = [[[3, 1, 2], [1, 2, 3]], [[], []], [[9, 8], [8, 9]]]
for given, wanted in cases:
    result = f(given)
    assert result == wanted, (given, wanted)
"""
_SORTED = ("def f(x): return sorted(x)", "def f(x): return x")
PROBLEMS = {
    "sort": Problem(check("assert candidate([3, 1, 2]) == [1, 2, 3]", "assert candidate([]) == []", "assert candidate([5, 5, 1]) == [1, 5, 5]"), *_SORTED),
    "add": Problem("assert f(2, 3) == 5\nassert f(10, -4) == 6\nassert f(100, 11) == 111", "def f(a, b): return a + b", "def f(a, b): return a"),
    "even": Problem(check("assert candidate(4) == True", "assert candidate(3) is False", "assert not candidate(7)"), "def f(n): return n % 2 == 0", "def f(n): return False"),
    "mean": Problem(check("assert abs(candidate([1.0, 2.0]) - 1.5) < 1e-6", "assert abs(0.25 - candidate([0.5, 0.0])) < 1e-6"), "def f(x): return sum(x) / len(x)", "def f(x): return 0.0"),
    "root": Problem("import math\nvalue = f(2.0)\nassert math.isclose(value, 1.4142135623730951, rel_tol=1e-3)", "def f(x): return x ** 0.5", "def f(x): return x"),
    "circle": Problem("import math\nassert f(2) == math.pi * 4\nassert f(1) == math.pi", "import math\ndef f(r): return math.pi * r * r", "def f(r): return 0"),
    "complex": Problem("import cmath\nassert cmath.isclose(f(-4), 2j)\nassert cmath.isclose(f(-1), 1j)", "def f(x): return 1j * (-x) ** 0.5", "def f(x): return 0j"),
    "reverse": Problem('assert f("hello") == "olleh"\nassert f("ab") == "ba"', "def f(s): return s[::-1]", "def f(s): return s"),
    "count": Problem("assert f('aab') == {'a': 2, 'b': 1}\nassert f('') == {}", "def f(s): return {c: s.count(c) for c in s}", "def f(s): return {c: 1 for c in s}"),
    "counter": Problem("from collections import Counter\nassert Counter(f('abc')) == Counter(['ab', 'ac', 'bc'])", "import itertools\ndef f(s): return [''.join(p) for p in itertools.combinations(s, 2)]", "def f(s): return [s]"),
    "fraction": Problem("from fractions import Fraction\nassert f(1, 2, 1, 3) == Fraction(5, 6)", "from fractions import Fraction\ndef f(a, b, c, d): return Fraction(a, b) + Fraction(c, d)", "from fractions import Fraction\ndef f(a, b, c, d): return Fraction(a, b)"),
    "decimal": Problem("from decimal import Decimal\nassert f('1.005', '2.30') == Decimal('1.005') + Decimal('2.30')\nassert Decimal(f('1', '3')) == Decimal('4')", "from decimal import Decimal\ndef f(a, b): return Decimal(a) + Decimal(b)", "from decimal import Decimal\ndef f(a, b): return Decimal(a)"),
    "json": Problem("import json\nassert json.loads(f('a', 1)) == {'a': 1}", "import json\ndef f(k, v): return json.dumps({k: v})", "def f(k, v): return '{}'"),
    "pad": Problem("import re\nassert re.fullmatch(r'0*7', f(7)) and len(f(7)) == 4\nassert re.match(r'^00\\d\\d$', f(42))", "def f(n): return str(n).zfill(4)", "def f(n): return 'none'"),
    "date": Problem("import datetime\nassert f(2024, 2) == datetime.date(2024, 2, 29)\nassert f(2023, 2) == datetime.date(2023, 2, 28)", "import datetime\ndef f(y, m): return datetime.date(y, m + 1, 1) - datetime.timedelta(1)", "import datetime\ndef f(y, m): return datetime.date(y, m, 1)"),
    "raises": Problem(RAISING, "def f(x):\n  if x < 0: raise ValueError(f'negative: {x}')\n  return int(x ** 0.5)", "def f(x): return 4"),
    "members": Problem(check("assert len(candidate(4)) == 4", "assert all(x > 10 for x in candidate(3))", "assert sorted(candidate(2)) == [11, 12]", "assert 12 in candidate(2)", "assert isinstance(candidate(2), list)"), "def f(n): return [11 + i for i in range(n)]", "def f(n): return []"),
    "fibonacci": Problem("assert list(f(5)) == [0, 1, 1, 2, 3]\nassert [x for x in f(3)] == [0, 1, 1]", "def f(n):\n  a, b = 0, 1\n  for _ in range(n):\n    yield a\n    a, b = b, a + b", "def f(n): yield from range(n)"),
    "unique": Problem("assert set(f([1, 1, 2])) == {1, 2}\nassert tuple(f([7])) == (7,)", "def f(x): return set(x)", "def f(x): return [0]"),
    "prime": Problem("assert all(map(f, [2, 3, 5, 7]))\nassert not any(map(f, [4, 6, 9]))", "def f(n): return all(n % d for d in range(2, n))", "def f(n): return False"),
    "squares": Problem("assert list(map(f, [1, 2, 3])) == [1, 4, 9]\nassert sum(map(f, (5, 6))) == 61", "def f(n): return n * n", "def f(n): return n"),
    "loop": Problem("for n in range(2, 9):\n    assert f(n) == n * (n + 1) // 2, n\nassert f(1) == 1", "def f(n): return sum(range(n + 1))", "def f(n): return 1"),
    "suite": Problem(SUITE, "def f(x): return [n * n for n in x]", "def f(x): return x"),
    "stack": Problem(STACK, "class f:\n  def __init__(self): self.x = []\n  def push(self, v): self.x.append(v)\n  def pop(self): return self.x.pop()\n  def peek(self): return self.x[-1]\n  def size(self): return len(self.x)", "class f:\n  def push(self, v): pass\n  pop = peek = size = lambda self: 0"),
    "doctest": Problem(DOCTEST, "def f(x): return x * x", "def f(x): return x"),
    "cases": Problem(CASES, *_SORTED),
    "rounded": Problem("assert round(f(1, 3), 2) == 0.33\nassert int(f(7, 2)) == 3\nassert f'{f(1, 4):.2f}' == '0.25'\nassert str(f(1, 2)) == '0.5'", "def f(a, b): return a / b", "def f(a, b): return 9.0"),
    "adder": Problem("assert f(2)(3) == 5\nassert f(1)(1) == 2", "def f(a): return lambda b: a + b", "def f(a): return lambda b: a"),
    "async": Problem("import asyncio\nassert asyncio.run(f(2)) == 4\nassert asyncio.run(f(5)) == 25", "async def f(x): return x * x", "async def f(x): return x"),
    "drawn": Problem("import random\nrandom.seed(1)\nvalues = [random.randint(1, 9) for _ in range(5)]\nassert f(values) == sum(values)", "def f(x): return sum(x)", "def f(x): return 0"),
    "copied": Problem("import copy\ngiven = [[1], [2]]\nbefore = copy.deepcopy(given)\nresult = f(given)\nassert result == [[2], [1]]\nassert given == before", "def f(x): return x[::-1]", "def f(x): x.reverse(); return x"),
    "caught": Problem("def attempt(x):\n  try:\n    return f(x)\n  except Exception as error:\n    return error\nassert attempt(2) == 4\nassert attempt(3) == 9\nassert type(attempt('x')) is TypeError", "def f(x):\n  return x * x", "def f(x): return x"),
    "points": Problem("a, b = f(1, 2), f(2, 1)\nassert a == f(1, 2)\nassert a != b\nassert a + b == f(3, 3)", "import dataclasses\n@dataclasses.dataclass\nclass f:\n  x: int\n  y: int\n  def __add__(self, other): return f(self.x + other.x, self.y + other.y)", "class f:\n  def __init__(self, x, y): pass\n  def __add__(self, other): return f(1, 1)"),
    "occurrences": Problem("assert f('ab').count('a') == 1\nassert f('b').count('b') == 1\nassert f('xb').index('b') == 1\nassert f('ab')[0] == 'a'", "def f(s): return list(s)", "def f(s): return ['z']"),
    "select": Problem("assert abs(select(3) - 9.0) < 1e-6\nassert abs(select(4) - 16.0) < 1e-6", "def select(x): return x * x", "def select(x): return x"),
    "pow": Problem("assert abs(pow(3) - 9.0) < 1e-6\nassert abs(pow(4) - 16.0) < 1e-6", "def pow(x): return x * x", "def pow(x): return x"),
    "callback": Problem("assert f(lambda x: x + 1, 3) == [1, 2, 3]\nassert f(lambda x: x * 2, 2) == [0, 2]", "def f(g, n): return [g(i) for i in range(n)]", "def f(g, n): return []"),
    "lengths": Problem("assert all(map(len, [f(1), f(2)]))\nassert len(f(3)) == 3", "def f(n): return 'x' * n", "def f(n): return ''"),
    "bounded": Problem("assert sorted(range(f(3))) == [0, 1, 2]\nassert 'ab' * f(2) == 'abab'\nassert 2 ** f(1) == 2", "def f(n): return n", "def f(n): return 0"),
    "swallowed": Problem("assert f(4) == 2\ntry:\n  f(-1)\nexcept:\n  pass\nelse:\n  assert False", "def f(x):\n  if x < 0: raise ValueError\n  return int(x ** 0.5)", "def f(x): return 2"),
    "suppressed": Problem("import contextlib\nreached = []\nwith contextlib.suppress(BaseException):\n  for x in (1, 2, 3):\n    reached.append(x)\n    assert f(x) != x * x, x\nassert reached == [1]", "def f(x): return x * x", "def f(x): return x + 1"),
    "unimported": Problem("assert math.fabs(f(4) - 2.0) < 1e-4\nassert math.isclose(f(9), 3.0)", "import math\ndef f(x): return math.sqrt(x)", "import math\ndef f(x): return x"),
    "own error": Problem("assert f(16) == 4\ntry:\n  f(-1)\n  assert False, 'no error'\nexcept Negative:\n  pass", "class Negative(Exception): pass\ndef f(x):\n  if x < 0: raise Negative\n  return int(x ** 0.5)", "class Negative(Exception): pass\ndef f(x): return 4"),
    "encoded": Problem("for text in ('abc', 'hello', ''):\n    assert f(encode(text)) == text", "def encode(s): return ''.join(chr(ord(c) + 1) for c in s)\ndef f(s): return ''.join(chr(ord(c) - 1) for c in s)", "def encode(s): return ''.join(chr(ord(c) + 1) for c in s)\ndef f(s): return s"),
    "power": Problem("assert 3 ** f(1) == 3\nassert f(2) == 2", "def f(n): return n", "def f(n): return 0"),
    "printed": Problem("import io, contextlib\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n  f(3)\nassert out.getvalue() == '1 2 3\\n'", "def f(n): print(*range(1, n + 1))", "def f(n): print(n)"),
}  # fmt: skip


def forged(kind: str, problem: str, sources: dict[str, str]) -> list[Forgery]:
    """Forgeries of one kind against one problem, by name."""
    return [Forgery(name, kind, problem, source.strip("\n")) for name, source in sources.items()]


def forgeries() -> list[Forgery]:
    """All of them."""
    from tests.hostile import (
        forged_names,
        forged_objects,
        forged_peeking,
        forged_processes,
        forged_protocol,
        forged_suites,
        forged_types,
    )

    modules = (
        forged_types,
        forged_objects,
        forged_names,
        forged_suites,
        forged_peeking,
        forged_processes,
        forged_protocol,
    )
    return [forgery for module in modules for forgery in module.FORGERIES]
