"""What crosses between a program and its checker: values as they are, objects as handles, and nothing that forges."""

from __future__ import annotations

import json

import pytest

from qharness import Outcome, Status, execute_programs
from qharness.plugins.languages.python_tests import what_tests_need

ISOLATED = {
    "scalars": ("def f(x): return x", "for v in (None, True, False, 0, -1, 2**70, 10**5000, 1.5, 1e300, 'a\\0\\n\\ud800', b'\\0\\xff'): assert f(v) == v and type(f(v)) is type(v)"),
    "infinities": ("def f(x): return x", "import math\nassert f(math.inf) == math.inf and f(-math.inf) < 0 and math.isnan(f(math.nan)) and str(f(-0.0)) == '-0.0'"),
    "complex": ("def f(x): return x * 1j", "assert f(2) == 2j"),
    "containers": ("def f(x): return x", "from collections import *\nfor v in ([1, [2]], (1, (2,)), {1: {2}}, {1, 2}, frozenset('ab'), deque([1], 3), Counter('aab'), OrderedDict(b=1, a=2), bytearray(b'x'), range(1, 9, 2), slice(1, None)): assert f(v) == v and type(f(v)) is type(v)"),
    "a default dict": ("import collections\ndef f():\n  d = collections.defaultdict(list)\n  d[1].append(2)\n  return d", "d = f()\nassert d == {1: [2]} and d[7] == []"),
    "dict views": ("def f(d): return d.keys(), list(d.values()), d.items()", "k, v, i = f({'a': 1})\nassert k == {'a'} and v == [1] and ('a', 1) in i"),
    "numbers": ("from decimal import *\nfrom fractions import *\ndef f(): return Decimal('1.10'), Fraction(1, 3)", "from decimal import *\nfrom fractions import *\nassert f() == (Decimal('1.1'), Fraction(1, 3)) and str(f()[0]) == '1.10'"),
    "dates": ("import datetime as d\ndef f(x): return x + d.timedelta(days=1)", "import datetime as d\nz = d.timezone(d.timedelta(hours=2))\nassert f(d.date(2024, 2, 28)) == d.date(2024, 2, 29)\nassert f(d.datetime(2024, 1, 1, 3, tzinfo=z)).tzinfo == z"),
    "a named tuple": ("from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 2)", "p = f()\nassert p == (1, 2) and p.x == 1 and p._fields == ('x', 'y')"),
    "types": ("def f(x): return type(x)", "assert f(1) is int and f([]) is list and f(None) is type(None)"),
    "an argument that changes": ("def f(x): x.append(x[0]); x[0] = True", "a = [1]\nb = {'k': a}\nf(a)\nassert a == [True, 1] and a[0] is True and b['k'] is a"),
    "what is inside of one": ("def f(d, s): d['l'].append(1); s.add(2); d['n'] = d['l']", "l, s = [], {1}\nd = {'l': l}\nf(d, s)\nassert l == [1] and s == {1, 2} and d['n'] is l"),
    "an argument returned": ("def f(x, y): return [y, x, x]", "a, b = [1], [2]\nr = f(a, b)\nassert r[0] is b and r[1] is a and r[2] is a"),
    "a value that holds itself": ("def f():\n  x = [1]\n  x.append(x)\n  return x", "r = f()\nassert r[1] is r"),
    "two that are one": ("def f():\n  x = []\n  return [x, x]", "r = f()\nr[0].append(1)\nassert r[1] == [1]"),
    "keywords": ("def f(a, *b, c=1, **d): return a, b, c, d", "assert f(1, 2, c=3, e=4) == (1, (2,), 3, {'e': 4})"),
    "generators": ("def f(n):\n  i = 0\n  while n is None or i < n: yield i; i += 1", "assert list(f(300)) == list(range(300))\nimport itertools\nassert list(itertools.islice(f(None), 3)) == [0, 1, 2]\ng = f(5)\nassert next(g) == 0 and sum(g) == 10"),
    "other iterators": ("def f(x): return map(str, x), zip(x, x), reversed(x)", "m, z, r = f([1, 2])\nassert list(m) == ['1', '2'] and list(z) == [(1, 1), (2, 2)] and list(r) == [2, 1]"),
    "an exception": ("def f(x): return {1: 2}[x]", "try: f(5)\nexcept KeyError as e: assert e.args == (5,)\nelse: assert False"),
    "an exception of its own": ("class E(ValueError):\n  def __init__(self, code): super().__init__(code); self.code = code\ndef f(): raise E(7)", "try: f()\nexcept E as e: assert e.code == 7 and isinstance(e, ValueError)\nelse: assert False"),
    "an exception with many arguments": ("def f(b): return b.decode()", "try: f(b'\\xff')\nexcept UnicodeDecodeError as e: assert e.start == 0\nelse: assert False"),
    "callbacks": ("def f(g, x): return [g(v) for v in x]", "assert f(lambda v: v + 1, [1, 2]) == [2, 3]\nassert f(abs, [-1]) == [1]\nassert f(str, [1]) == ['1']"),
    "callbacks that call back": ("def f(n, g): return n if n < 2 else g(n - 1) + g(n - 2)", "def g(n): return f(n, g)\nassert f(9, g) == 34"),
    "an exception of a callback": ("def f(g):\n  try: return g()\n  except ValueError as e: return str(e)", "def g(): raise ValueError('mine')\nassert f(g) == 'mine'"),
    "functions as results": ("def f(n): return lambda x: x + n", "assert f(1)(2) == 3 and callable(f(1))"),
    "classes": ("class S:\n  def __init__(self): self.v = []\n  def push(self, x): self.v.append(x); return self\n  def __len__(self): return len(self.v)", "s = S()\ns.push(1).push(2)\nassert len(s) == 2 and s.v == [1, 2]"),
    "coroutines": ("async def f(x): return x + 1", "import asyncio\nassert asyncio.run(f(1)) == 2"),
    "a solution's module": ("import math", "assert math.sqrt(4) == 2"),
    "names of typing": ("from typing import List", "x: List[int] = [1]\nassert List[int]"),
    "a builtin's name": ("def sum(a, b): return a * b", "assert sum(2, 5) == 10"),
    "a builtin's name beside another": ("def len(x): return 0\ndef f(x): return x", "assert len(f([1])) == 1"),
    "tests in functions and classes": ("def f(x): return x", "import unittest\nclass T(unittest.TestCase):\n  def test_one(self): self.assertEqual(f(1), 1)\n  def test_two(self):\n    with self.assertRaises(TypeError): f()\nif __name__ == '__main__': unittest.main()"),
    "names that are missing": ("x = 1", "try: y\nexcept NameError: pass"),
    "recursion": ("def f(n): return 0 if n == 0 else 1 + f(n - 1)", "assert f(900) == 900\ntry: f(10**6)\nexcept RecursionError: pass\nelse: assert False"),
    "a long answer": ("def f(n): return list(range(n))", "assert f(200000) == list(range(200000))"),
}  # fmt: skip
IN_PROCESS = {
    "no tests": ("assert 1 + 1 == 2", ""),
    "what is printed": ("def f(): print('hi')", "import io, contextlib\nout = io.StringIO()\nwith contextlib.redirect_stdout(out): f()\nassert out.getvalue() == 'hi\\n'"),
    "what is patched": ("import time\ndef f(): return time.time()", "from unittest import mock\nwith mock.patch('time.time', return_value=3): assert f() == 3"),
    "a class of the tests'": ("def f(x): return x.v", "class V: v = 3\nassert f(V()) == 3"),
    "an argument without a form": ("def f(x): return x.read()", "import io\nassert f(io.StringIO('a')) == 'a'"),
    "a helper of the program's": ("def g(x): return x\ndef f(x): return x", "assert f(g(1)) == 1"),
    "instances as arguments": ("class N:\n  def __init__(self, v): self.v, self.left = v, None\ndef f(n): return n.v + (f(n.left) if n.left else 0)", "r = N(1)\nr.left = N(2)\nassert f(r) == 3"),
    "an object that a function gave": ("class C:\n  n = 3\ndef f(): return C()", "assert f().n == 3"),
    "two objects compared": ("class C:\n  def __eq__(self, o): return True", "assert C() == C()"),
}  # fmt: skip
NOT_PASSED = {
    "a wrong value": ("def f(): return [1]", "assert f() == [True, 1]", "failed"),
    "an object for a value": ("class C:\n  def __eq__(self, o): return True\ndef f(): return C()", "assert f() == 1", "failed"),
    "an object before a value": ("class C:\n  def __eq__(self, o): return True\ndef f(): return C()", "assert 1 == f()", "failed"),
    "an object in a list": ("class C:\n  def __eq__(self, o): return True\ndef f(): return [C()]", "assert f() == [1]", "failed"),
    "an object less a number": ("class C:\n  def __sub__(self, o): return 0\ndef f(): return C()", "assert abs(f() - 3) < 1", "error"),
    "a container that has all": ("class C:\n  def __contains__(self, o): return True\n  def __iter__(self): return iter([])\ndef f(): return C()", "assert 3 in f()", "failed"),
    "a list's subclass": ("class C(list):\n  def __eq__(self, o): return True\ndef f(): return C()", "assert f() == [1]", "failed"),
    "a skipped test": ("import unittest\ndef f(): raise unittest.SkipTest('x')", "import unittest\nclass T(unittest.TestCase):\n  def test_it(self): self.assertEqual(f(), 1)\nunittest.main()", "failed"),
    "a test case of the program's": ("import unittest\nclass T(unittest.TestCase):\n  def test_it(self): pass\ndef f(): return 0", "import unittest\nclass T(unittest.TestCase):\n  def test_it(self): self.assertEqual(f(), 1)\nunittest.main()", "failed"),
    "a suite that is skipped": ("def f(): return 1", "import unittest\n@unittest.skip('x')\nclass T(unittest.TestCase):\n  def test_it(self): self.assertEqual(f(), 1)\nunittest.main()", "failed"),
    "an end of iteration": ("def f(x): raise StopIteration", "assert all(map(f, [1]))", "error"),
    "an exit": ("import sys\ndef f(): sys.exit(0)", "f()", "early-exit"),
    "an end without a word": ("import os\ndef f(): os._exit(0)", "f()", "early-exit"),
    "a signal": ("import os\ndef f(): os.abort()", "f()", "error"),
    "nonsense on its channel": ("import os\ndef f(): os.write(3, b'nonsense\\n')", "f()\nassert True", "error"),
    "a closed channel": ("import os\ndef f(): os.close(3)", "f()", "early-exit"),
    "a fork that answers": ("import os\ndef f():\n  if os.fork(): os._exit(0)\n  return 1", "assert f() == 1", "early-exit"),
    "a loop": ("def f():\n  while True: pass", "f()", "timeout"),
    "a sleep": ("import time\ndef f(): time.sleep(99)", "f()", "timeout"),
    "a loop of the tests'": ("def f(): return 1", "f()\nwhile True: pass", "timeout"),
    "tests that do not parse": ("def f(): return 1", "assert f( == 1", "error"),
    "a syntax error": ("def f(: return 1", "assert f() == 1", "compile-error"),
    "an exhausted memory": ("def f(): return 'x' * (1 << 40)", "f()", "out-of-memory"),
    "an answer that is too long": ("def f(): return 'x' * (1 << 26)", "f()", "error"),
    "an answer that takes all memory": ("def f(): return 'x' * (1 << 27)", "f()", "out-of-memory"),
    "an answer that is too deep": ("def f():\n  x = []\n  for _ in range(100000): x = [x]\n  return x", "f()", "error"),
}  # fmt: skip


def run(source: str, tests: str) -> Outcome:
    from qharness import Limits

    limits = Limits(cpu_seconds=2, wall_seconds=3.0, memory_bytes=400 << 20)
    return execute_programs("python", [source], tests=[tests], limits=limits)[0]


@pytest.mark.parametrize("case", ISOLATED)
def test_values_cross_as_they_are(case: str) -> None:
    outcome = run(*ISOLATED[case])
    assert outcome.passed and not outcome.in_process, outcome


@pytest.mark.parametrize("case", IN_PROCESS)
def test_what_rests_on_the_programs_word_says_so(case: str) -> None:
    outcome = run(*IN_PROCESS[case])
    assert outcome.passed and outcome.in_process, outcome


@pytest.mark.parametrize("case", NOT_PASSED)
def test_what_is_not_right_does_not_pass(case: str) -> None:
    source, tests, status = NOT_PASSED[case]
    assert run(source, tests).status is Status(status)


def test_no_test_is_in_the_programs_memory() -> None:
    """Neither of this program nor of one before it, as far as objects go."""
    mark = "a-mark-that-only-tests-have"
    look = (
        "import sys\ndef f():\n  found, frame = [], sys._getframe()\n  while frame:\n"
        "    found += [repr(frame.f_locals), repr(frame.f_globals), repr(frame.f_code.co_consts)]\n    frame = frame.f_back\n"
        "  return ''.join(['that-', 'only-', 'te', 'sts']) in ''.join(found)"
    )
    outcomes = execute_programs(
        "python", [look] * 3, tests=[f"assert f() is False{' ' * n}, {mark!r}" for n in range(3)], workers=1
    )
    assert all(outcome.passed for outcome in outcomes), outcomes


def test_what_tests_need_is_told_by_their_text() -> None:
    assert what_tests_need("assert f(1) == [2]").straight
    for text in (
        "for x in (1, 2): assert f(x)",
        "import random\nrandom.seed(1)",
        "import sys\nsys.setrecursionlimit(9)",
        "lambda: f()",
    ):
        need = what_tests_need(text)
        assert not need.straight and not need.in_process, text


def test_a_checker_is_as_it_was_after_tests_that_change_it() -> None:
    """Tests that might change their process run in a fork of it."""
    change = "import decimal, sys, json\ndecimal.getcontext().prec = 3\nsys.setrecursionlimit(99999)\njson.loads = None"
    see = "import decimal, sys, json\nassert decimal.getcontext().prec == 28 and sys.getrecursionlimit() == 1000 and json.loads"
    outcomes = execute_programs("python", ["def f(): pass", "def f(): return 1"], tests=[change, see], workers=1)
    assert [outcome.status for outcome in outcomes] == ["passed", "passed"]


def test_a_samples_file_says_where_its_tests_ran(tmp_path, data_dir) -> None:
    from qharness import score

    lines = [{"task_id": f"HumanEval/{n}", "completion": "    pass\n"} for n in range(3)]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = score("humaneval", tmp_path / "samples.jsonl", data_dir=data_dir)
    assert result.document["executed"] == {"isolated": 3, "in-process": 0}
    assert [row["in_process"] for row in result.samples] == [False] * 3
