"""Forged passes of unittest suites, and of tests that look at what is printed."""

from __future__ import annotations

from tests.hostile.forgery import REACHING_IN, Forgery, forged

_INSTANCE = """
import sys
def f(x):
    frame, one = sys._getframe(1), None
    while frame and one is None:
        one = frame.f_locals.get("self")
        frame = frame.f_back
{change}
    return x
"""
_RESULT = """
import sys
def f(x):
    frame = sys._getframe(1)
    while frame:
        for one in list(frame.f_locals.values()):
            if hasattr(one, "addFailure"):
                {change}
        frame = frame.f_back
    return x
"""


def _instance(change: str) -> str:
    return _INSTANCE.format(change="\n".join(f"    {line}" for line in change.splitlines()))


_BY_SKIPPING = forged("a suite skipped", "suite", {
    "raises SkipTest": "import unittest\ndef f(x): raise unittest.SkipTest('later')",
    "raises a SkipTest of its own": "import unittest\nclass Later(unittest.SkipTest): pass\ndef f(x): raise Later",
    "calls skipTest": _instance("one.skipTest('later')"),
    "is decorated with skip": "import unittest\n@unittest.skip('later')\ndef f(x): return x",
    "fails as expected": "import unittest\n@unittest.expectedFailure\ndef f(x): return x",
    "a skip by __getattr__": "import unittest\nclass F:\n  def __call__(self, x): return self\n  def __getattr__(self, name): raise unittest.SkipTest\n  def __eq__(self, other): raise unittest.SkipTest\nf = F()",
    "a skip by equality": "import unittest\nclass Liar(list):\n  def __eq__(self, other): raise unittest.SkipTest\n  __ne__ = __eq__\n  def __getitem__(self, i): raise unittest.SkipTest\ndef f(x): return Liar()",
    "SkipTest of unittest.case": "from unittest.case import SkipTest, _ShouldStop\ndef f(x): raise _ShouldStop",
    "every class is skipped": "import unittest\nunittest.TestCase.__unittest_skip__ = True\nunittest.TestCase.__unittest_skip_why__ = ''\ndef f(x): return x",
    "every failure is expected": "import unittest\nunittest.TestCase.__unittest_expecting_failure__ = True\ndef f(x): return x",
    "the test's own failure is expected": _instance("type(one).__unittest_expecting_failure__ = one.__unittest_expecting_failure__ = True\none._outcome.expecting_failure = True"),
    "setUpModule skips": "import unittest\ndef setUpModule(): raise unittest.SkipTest('later')\ndef f(x): return x",
    "a cleanup skips": _instance("import unittest\ndef skip(): raise unittest.SkipTest\none.addCleanup(skip)\nraise KeyError"),
    "the tests' class is skipped when made": "import unittest\nclass Meta(type): pass\nreal = unittest.TestCase\ndef made(cls, **k): cls.__unittest_skip__ = True\nunittest.TestCase.__init_subclass__ = classmethod(made)\ndef f(x): return x",
})  # fmt: skip

_BY_LOADING = forged("a suite emptied", "suite", {
    "load_tests": "import unittest\ndef load_tests(loader, tests, pattern): return unittest.TestSuite()\ndef f(x): return x",
    "load_tests with another test": "import unittest\nclass Own(unittest.TestCase):\n  def test_squares(self): pass\n  test_type = test_negative = test_squares\ndef load_tests(loader, tests, pattern): return loader.loadTestsFromTestCase(Own)\ndef f(x): return x",
    "a prefix that no test has": "import unittest\nunittest.TestLoader.testMethodPrefix = unittest.defaultTestLoader.testMethodPrefix = 'never'\ndef f(x): return x",
    "patterns that no test has": "import unittest\nunittest.TestLoader.testNamePatterns = unittest.defaultTestLoader.testNamePatterns = ['never']\ndef f(x): return x",
    "arguments that choose no test": "import sys\nsys.argv[:] = ['x', '-k', 'never']\nsys.orig_argv[:] = sys.argv\ndef f(x): return x",
    "a suite that yields none": "import unittest\nunittest.TestSuite.__iter__ = lambda self: iter(())\ndef f(x): return x",
    "a suite that runs none": "import unittest\nunittest.suite.BaseTestSuite.run = unittest.TestSuite.run = lambda self, result, debug=False: result\ndef f(x): return x",
    "a loader that finds none": "import unittest\nunittest.defaultTestLoader.loadTestsFromModule = lambda *a, **k: unittest.TestSuite()\nunittest.TestLoader.getTestCaseNames = lambda *a: []\ndef f(x): return x",
    "a class of the tests' name": "import unittest\nclass TestSquares(unittest.TestCase):\n  def test_squares(self): pass\ndef f(x): return x",
    "more tests of its own": "import unittest\nclass Extra(unittest.TestCase):\n  def test_one(self): pass\n  def test_two(self): raise unittest.SkipTest\n  test_three = test_one\ndef f(x): raise unittest.SkipTest",
    "a class that loses its tests": "import unittest\ndef emptied(cls, **k):\n  for name in [n for n in vars(cls) if n.startswith('test')]: delattr(cls, name)\nunittest.TestCase.__init_subclass__ = classmethod(emptied)\ndef f(x): return x",
    "a dir without tests": "import unittest, builtins\nunittest.loader.dir = builtins.dir = lambda *a: []\ndef f(x): return x",
    "tests removed while they run": _instance("import unittest\nfor name in [n for n in dir(type(one)) if n.startswith('test')]: setattr(type(one), name, lambda self: None)\nraise unittest.SkipTest"),
    "the run is to stop": _RESULT.format(change="one.shouldStop = True; one.stop(); one.failures.clear()"),
    "__main__ is another module": "import sys, types\ndef f(x): return x\nclass Main(types.ModuleType):\n  def __dir__(self): return []\nfor name in ('__main__', 'tests', 'solution'):\n  try: sys.modules[name].__class__ = Main\n  except Exception: pass",
    "unittest.main by another name": "import unittest\nclass Calm:\n  def __init__(self, *a, **k): self.result = unittest.TestResult()\nunittest.main = unittest.TestProgram = unittest.main_ = Calm\nunittest.TestProgram.__init__ = Calm.__init__\ndef f(x): return x",
})  # fmt: skip

_BY_RESULTS = forged("a suite's results", "suite", {
    "assertEqual on the instance": _instance("one.assertEqual = one.assertListEqual = one.assertIsInstance = one.assertTrue = lambda *a: None"),
    "assertEqual on the class": _instance("type(one).assertEqual = type(one).assertListEqual = type(one).assertTrue = lambda *a: None"),
    "equality of lists on the instance": _instance("one._type_equality_funcs = {list: lambda *a, **k: None}\none.assertTrue = lambda *a: None"),
    "equality of lists by addTypeEqualityFunc": _instance("one.addTypeEqualityFunc(list, lambda *a, **k: None)\none.assertListEqual = one.assertTrue = lambda *a: None"),
    "another class for the instance": _instance("class Calm(type(one)):\n  def __getattribute__(self, name): return (lambda *a, **k: None) if name.startswith('assert') else super().__getattribute__(name)\none.__class__ = Calm"),
    "a failure that is none": _instance("one.failureException = __import__('unittest').SkipTest"),
    "failureException of the class": "import unittest\nunittest.TestCase.failureException = unittest.SkipTest\ndef f(x): return x",
    "a result without failures": _RESULT.format(change="one.addFailure = one.addError = lambda *a: one.addSuccess(a[0])"),
    "a class of results": "import unittest\nfor c in (unittest.TestResult, unittest.TextTestResult, unittest.runner.TextTestResult): c.addFailure = c.addError = lambda *a: None\ndef f(x): return x",
    "every result is a success": "import unittest\nunittest.TestResult.wasSuccessful = lambda self: True\ndef f(x): return x",
    "an outcome that is one": _instance("one._outcome.success = True\nclass Calm(type(one._outcome)):\n  def __setattr__(self, *a): pass\none._outcome.__class__ = Calm\none._outcome.result_supports_subtests = False"),
    "an outcome that swallows": "import unittest, contextlib\n@contextlib.contextmanager\ndef calm(self, *a, **k):\n  try: yield\n  except BaseException: pass\nunittest.case._Outcome.testPartExecutor = calm\ndef f(x): return x",
    "a runner that runs nothing": "import unittest\nunittest.TextTestRunner.run = unittest.runner.TextTestRunner.run = lambda *a: unittest.TestResult()\ndef f(x): return x",
    "a test's run that does nothing": "import unittest\nunittest.TestCase.run = unittest.TestCase.__call__ = lambda self, result=None: result.testsRun or result.startTest(self)\ndef f(x): return x",
    "the method called is another": "import unittest\nunittest.TestCase._callTestMethod = lambda self, method: None\ndef f(x): return x",
    "setUp instead of the test": _instance("one._testMethodName = 'setUp'\ntype(one).test_squares = type(one).test_type = type(one).test_negative = type(one).setUp\nraise __import__('unittest').SkipTest"),
    "ends the run with success": "def f(x): raise SystemExit(0)",
    "interrupts the run": "def f(x): raise KeyboardInterrupt",
    "a handler of interrupts": "import unittest, signal, os\nunittest.installHandler()\ndef f(x):\n  os.kill(os.getpid(), signal.SIGINT)\n  return x",
    "an exit in place of an assertion": "import sys\nclass Liar(list):\n  def __eq__(self, other): sys.exit(0)\ndef f(x): return Liar()",
    "an exit at the end": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): raise SystemExit(0)",
    "a lying list": "class Liar(list):\n  def __eq__(self, other): return True\n  def __ne__(self, other): return False\n  def __getitem__(self, i): return Four()\nclass Four(int):\n  def __eq__(self, other): return True\ndef f(x): return Liar(x)",
    "a lying class": "class Meta(type):\n  def __instancecheck__(cls, one): return True\nclass Liar(metaclass=Meta):\n  __class__ = list\n  def __eq__(self, other): return True\n  def __getitem__(self, i): return self\ndef f(x): return Liar()",
    "a length that unittest's difflib asks": "class Liar(list):\n  def __len__(self): return 0\n  def __eq__(self, other): return len(other) >= 0\n  def __getitem__(self, i): return Liar()\ndef f(x): return Liar([9])",
})  # fmt: skip

_OTHERS = [
    *forged("a suite around", "add", {
        "SkipTest without a suite": "import unittest\ndef f(*a): raise unittest.SkipTest('later')",
        "a suite that passes, and exits": "import unittest\nclass Own(unittest.TestCase):\n  def test_one(self): pass\nunittest.main(argv=['x'], exit=False)\ndef f(*a): unittest.main(argv=['x', 'Own'], module=__name__)",
    }),
]  # fmt: skip

_PRINTED = forged(REACHING_IN, "printed", {
    "StringIO replaced": "import io\nclass Any(io.StringIO):\n  def getvalue(self): return Text()\nclass Text(str):\n  def __eq__(self, other): return True\nio.StringIO = Any\ndef f(n): pass",
    "print replaced": "import builtins, sys\nclass Text(str):\n  def __eq__(self, other): return True\ndef f(n):\n  sys.stdout.getvalue = lambda: Text()",
    "sys.stdout replaced": "import sys\nclass Out:\n  def __getattr__(self, name): return lambda *a: True\ndef f(n): sys.stdout = Out()",
    "the tests' stream by its frame": "import sys\nclass Any:\n  def __eq__(self, other): return True\n  def getvalue(self): return self\ndef f(n):\n  sys._getframe(1).f_globals['out'] = Any()\n  globals()['out'] = Any()",
})  # fmt: skip

FORGERIES: list[Forgery] = [*_BY_SKIPPING, *_BY_LOADING, *_BY_RESULTS, *_OTHERS, *_PRINTED]
