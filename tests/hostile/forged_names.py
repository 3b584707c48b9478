"""Forged passes by names: what the tests call by a name of Python's or of their own is replaced."""

from __future__ import annotations

from tests.hostile.forgery import Forgery, forged

_TRUE = "lambda *a, **k: True"
_LIAR = "class Liar:\n  def __eq__(self, other): return True\n  __hash__ = None\n"


def _shadowed(problem: str, **values: str) -> list[Forgery]:
    """A global of the solution's module with the name of a builtin that the tests use."""
    return forged("a shadowed builtin", problem, {
        f"its own {name} ({problem})": f"{value if chr(10) in value else f'{name} = {value}'}\n" + ("" if "def f" in value else "def f(*a): return 0")
        for name, value in values.items()
    })  # fmt: skip


_SHADOWED = [
    *_shadowed("mean", abs="lambda x: 0", check="lambda candidate: None"),
    *_shadowed("members", len="lambda x: 4", all="lambda x: True", isinstance=_TRUE),
    *_shadowed("prime", map="lambda *a: []", all="lambda x: True\nany = lambda x: False\nall = lambda x: True\ndef f(n): return 0"),
    *_shadowed("loop", range="lambda *a: ()\ndef f(n): return 1\nrange = lambda *a: ()"),
    *_shadowed("unique", set=_LIAR + "set = tuple = lambda x: Liar()\ndef f(x): return 0"),
    *_shadowed("fibonacci", list=_LIAR + "list = lambda x: [0, 1, 1, 2, 3]\ndef f(n): yield from [0, 1, 1][:n]"),
    *_shadowed("squares", sum="lambda x: 61\nmap = lambda f, x: [1, 4, 9]\nsum = lambda x: 61\ndef f(n): return 0"),
    *_shadowed("rounded", round="lambda *a: 0.33\nround, int, str = (lambda *a: 0.33), (lambda *a: 3), (lambda *a: '0.5')\ndef f(a, b): return 0.25"),
    *_shadowed("caught", type="lambda x: TypeError\nException = BaseException\ntype = lambda x: TypeError\nTypeError = int\n" + _LIAR + "def f(x): return x * x if False else 4 if x == 2 else 8"),
    *_shadowed("raises", ValueError="Exception\nclass ValueError(Exception):\n  def __str__(self): return 'negative: -1'\n  args = ('negative: -1',)\ndef f(x):\n  if x < 0: raise ValueError\n  return 4\nstr = lambda e: 'negative: -1'"),
    *_shadowed("even", candidate="None", METADATA="None", check="None\nclass check:\n  def __init__(self, candidate): pass\ndef f(n): return 1"),
    *_shadowed("suite", unittest="None", __build_class__="lambda *a: None", __name__="'other'"),
]  # fmt: skip

_CALLED = """
{setup}
def f(*arguments):
{change}
    return {value}
"""


def _patched(problem: str, value: str, **changes: str) -> list[Forgery]:
    """A change that the solution makes when imported, and again whenever it is called."""
    made = {}
    for name, change in changes.items():
        name = name.replace("_", " ")
        called = "\n".join(f"    {line}" for line in change.splitlines())
        made[f"{name} replaced"] = f"{change}\ndef f(*arguments): return {value}"
        made[f"{name} replaced when called"] = _CALLED.format(setup="", change=called, value=value)
    return forged("a replaced name", problem, made)


_PATCHED = [
    *_patched("complex", "0j", cmath_isclose=f"import cmath\ncmath.isclose = {_TRUE}"),
    *_patched("root", "0.0", math_isclose=f"import math\nmath.isclose = {_TRUE}", math_in_sys_modules=f"import sys, types\nmade = types.ModuleType('math')\nmade.isclose = {_TRUE}\nsys.modules['math'] = made"),
    *_patched("circle", "0", math_pi="import math\nmath.pi = 0"),
    *_patched("counter", "[]", Counter_eq=f"import collections\ncollections.Counter.__eq__ = {_TRUE}", the_name_Counter="import collections\ncollections.Counter = lambda *a: 0", Counter_update="import collections\ncollections.Counter.update = lambda *a, **k: None", Counter_counting="import collections\ncollections._count_elements = lambda *a: None"),
    *_patched("fraction", "0", Fraction_eq=f"import fractions\nfractions.Fraction.__eq__ = {_TRUE}", Fraction_new="import fractions\nfractions.Fraction.__new__ = lambda *a: 0", the_name_Fraction="import fractions\nfractions.Fraction = lambda *a: 0"),
    *_patched("decimal", "decimal.Decimal(3 if '1.005' in arguments else 4)", Decimal_in_its_module="import decimal\nclass Made(int):\n  def __new__(cls, *a): return int.__new__(cls, 2)\n  __add__ = lambda self, other: 4\n  __eq__ = lambda self, other: True\ndecimal.Decimal = Made", the_decimal_context="import decimal\nfor c in (decimal.getcontext(), decimal.DefaultContext): c.prec = 1"),
    *_patched("json", "'{}'", json_decoder="import json\njson._default_decoder.decode = lambda text: {'a': 1}", json_loads="import json\njson.loads = lambda text: {'a': 1}", JSONDecoder="import json\njson.JSONDecoder.decode = json.decoder.JSONDecoder.decode = lambda *a: {'a': 1}", json_scanner="import json\njson._default_decoder.scan_once = lambda text, at: ({'a': 1}, len(text))"),
    *_patched("pad", "'none'", re_cache="import re\nclass Found:\n  match = fullmatch = lambda self, *a: True\nfor p in (r'0*7', r'^00\\d\\d$'):\n  for c in ('_cache', '_cache2'): getattr(re, c, {})[str, p, 0] = Found()", re_compile="import re\nclass Found:\n  match = fullmatch = lambda self, *a: True\nre._compile = lambda *a: Found()", re_match=f"import re\nre.match = re.fullmatch = {_TRUE}"),
    *_patched("date", "None", datetime_date="import datetime\ndatetime.date = lambda *a: None", datetime_module="import sys, types\nmade = types.ModuleType('datetime')\nmade.date = lambda *a: None\nsys.modules['datetime'] = made"),
    *_patched("drawn", "5", random_randint="import random\nrandom.randint = lambda *a: 1", random_seed="import random\nrandom.seed = lambda *a: None\nrandom._inst.getrandbits = lambda k: 0\nrandom.Random.randint = lambda *a: 1", the_generator="import random\nrandom.Random.randrange = random.Random._randbelow = lambda *a: 1\nrandom.randint = random._inst.randint = lambda *a: 1"),
    *_patched("copied", "[arguments[0].clear(), [[2], [1]]][1]", deepcopy="import copy\ncopy.deepcopy = lambda x, memo=None: x", copy_dispatch="import copy\ncopy._deepcopy_dispatch[list] = lambda x, memo, copier=None: x"),
    *_patched("members", "range(2)", len_of_builtins="import builtins\nbuiltins.len = lambda x: 4\nbuiltins.all = lambda x: True\nbuiltins.sorted = lambda x: [11, 12]\nbuiltins.isinstance = lambda *a: True"),
    *_patched("mean", "9.0", abs_of_builtins="import builtins\nbuiltins.abs = lambda x: 0", builtins_by_their_dictionary="import builtins\nvars(builtins)['abs'] = lambda x: 0"),
    *_patched("suite", "[]", build_class_of_builtins="import builtins\nreal_ = builtins.__build_class__\nbuiltins.__build_class__ = lambda body, name, *bases, **k: real_(lambda: None, name, *bases, **k)"),
    *_patched("squares", "0", operators="import operator, functools\noperator.eq = functools.reduce = lambda *a: True\nimport builtins\nbuiltins.map = lambda f, x: [1, 4, 9]\nbuiltins.sum = lambda x: 61"),
    *_patched("add", "0", AssertionError_of_builtins="import builtins\nclass Calm(AssertionError):\n  def __new__(cls, *a): raise SystemExit(0)\nbuiltins.AssertionError = Calm"),
]  # fmt: skip

_OWN_BUILTINS = forged("own builtins", "mean", {
    "its own __builtins__": "import builtins\n__builtins__ = {**vars(builtins), 'abs': lambda x: 0}\ndef f(x): return 9.0",
    "a module as its __builtins__": "import builtins, types\n__builtins__ = types.ModuleType('builtins')\nvars(__builtins__).update(vars(builtins), abs=lambda x: 0)\ndef f(x): return 9.0",
    "its own __builtins__ when called": "import builtins, sys\ndef f(x):\n  frame = sys._getframe(1)\n  frame.f_globals['__builtins__'] = {**vars(builtins), 'abs': lambda x: 0}\n  frame.f_globals['abs'] = lambda x: 0\n  return 9.0",
    "a caller's global": "import sys\ndef f(x):\n  frame = sys._getframe()\n  while frame:\n    frame.f_globals['abs'] = lambda x: 0\n    frame = frame.f_back\n  return 9.0",
    "an abs for a moment": "import builtins, threading, time\nreal = builtins.abs\ndef put_back():\n  time.sleep(0.05)\n  builtins.abs = real\ndef f(x):\n  builtins.abs = lambda x: 0\n  threading.Thread(target=put_back).start()\n  return 9.0",
    "an abs that puts itself back": "import builtins\nreal = abs\nleft = [2]\ndef calm(x):\n  left[0] -= 1\n  if not left[0]: builtins.abs = real\n  return 0\ndef f(x):\n  builtins.abs = calm\n  return 9.0",
})  # fmt: skip

_FINDER = """
import importlib.abc, importlib.machinery, sys
class Found(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name == "cmath": return importlib.machinery.ModuleSpec(name, self)
    def exec_module(self, module): module.isclose = lambda *a, **k: True
sys.modules.pop("cmath", None)
sys.meta_path.insert(0, Found())
def f(x): return 0
"""
_IMPORTS = forged("imports", "complex", {
    "a finder before all others": _FINDER,
    "a file in the working folder": "import sys\nopen('cmath.py', 'w').write('isclose = lambda *a, **k: True')\nsys.modules.pop('cmath', None)\nsys.path.insert(0, '.')\nsys.path_importer_cache.clear()\nsys.builtin_module_names = ()\ndef f(x): return 0",
    "a path hook": "import sys\nsys.path_hooks.insert(0, lambda path: None)\nsys.modules['cmath'] = type('cmath', (), {'isclose': staticmethod(lambda *a, **k: True)})\ndef f(x): return 0",
    "an object for a module": "import sys\nclass Any:\n  def __getattr__(self, name): return lambda *a, **k: True\nsys.modules['cmath'] = Any()\ndef f(x): return 0",
    "__import__ of its own": "import builtins\nreal = __import__\nclass Any:\n  isclose = staticmethod(lambda *a, **k: True)\ndef own(name, *a, **k): return Any if name == 'cmath' else real(name, *a, **k)\nbuiltins.__import__ = own\ndef f(x): return 0",
    "a global named as the module, and no import": "import sys\nclass Names(dict): pass\nclass cmath:\n  isclose = staticmethod(lambda *a, **k: True)\nsys.modules['cmath'] = cmath\ndef f(x): return 0",
    "reload to its own": "import importlib, cmath\ncmath.isclose = lambda *a, **k: True\nimportlib.import_module = importlib.reload = lambda *a: cmath\ndef f(x): return 0",
    "a module class that answers": "import cmath, types\nclass Own(types.ModuleType):\n  def __getattribute__(self, name): return lambda *a, **k: True\ntry: cmath.__class__ = Own\nexcept TypeError: pass\ndef f(x): return 0",
})  # fmt: skip

_HELPERS = [
    *forged("names of the tests", "even", {
        "check as a thread's doing": "import threading, sys\nsys.setswitchinterval(1e-6)\nspace = globals()\ndef later():\n  for _ in range(10 ** 7):\n    if 'check' in space:\n      space['check'] = lambda c: None\n      return\nthreading.Thread(target=later, daemon=True).start()\ndef f(n): return 1",
        "f assigned by a thread": "import threading, time\nspace = globals()\ndef later():\n  while 'check' not in space: time.sleep(0)\n  space['f'] = lambda n: n == 4\nthreading.Thread(target=later, daemon=True).start()\ndef f(n): return 1",
        "check's code replaced": "import sys\ndef f(n):\n  check = globals().get('check') or sys._getframe(1).f_globals['check']\n  def calm(candidate): pass\n  check.__code__ = calm.__code__\n  return True if n == 4 else 9",
        "the module's names by a class": "import sys\nclass Own(type(sys)):\n  def __setattr__(self, name, value): super().__setattr__(name, (lambda c: None) if name == 'check' else value)\nfor module in list(sys.modules.values()):\n  try: module.__class__ = Own\n  except TypeError: pass\ndef f(n): return 1",
        "__main__ replaced": "import sys, types\nsys.modules['__main__'] = types.ModuleType('__main__')\nsys.modules['tests'] = sys.modules['__main__']\ndef f(n): return 1",
        "a debug flag": "import sys, builtins\ntry: setattr(builtins, '__debug__', False)\nexcept Exception: pass\nvars(builtins)['__debug__'] = False\ndef f(n): return 1",
        "compile and exec without assertions": "import builtins\nreal = builtins.compile\nbuiltins.compile = lambda source, name, mode, *a, **k: real('pass', name, mode)\nbuiltins.exec = builtins.eval = lambda *a: None\nimport ast\nast.parse = lambda *a, **k: ast.Module([], [])\nast.NodeTransformer.visit = lambda self, tree: tree\ndef f(n): return 1",
        "PYTHONOPTIMIZE and another interpreter": "import os, sys\nif not os.environ.get('PYTHONOPTIMIZE'):\n  os.environ['PYTHONOPTIMIZE'] = '2'\n  os.execv(sys.executable, [sys.executable, '-O', '-c', 'assert False'])\ndef f(n): return 1",
    }),
    *forged("names of the tests", "cases", {
        "what is wanted is changed, by the caller's frame": "import sys\ndef f(x):\n  for names in (sys._getframe(1).f_locals, sys._getframe(1).f_globals, globals()):\n    if 'wanted' in names: names['wanted'].clear()\n  return []",
        "what is wanted is changed, by its referrers": "import gc\ndef f(x):\n  for one in gc.get_referrers(x):\n    if type(one) is list and len(one) == 2: one[1].clear()\n  return []",
        "the cases are changed": "import sys\ndef f(x):\n  frame = sys._getframe()\n  while frame:\n    if 'cases' in frame.f_globals: del frame.f_globals['cases'][1:]\n    frame = frame.f_back\n  return [1, 2, 3]",
        "the cases end at once": "import sys\ndef f(x):\n  import __main__\n  getattr(__main__, 'cases', []).clear()\n  sys._getframe(1).f_globals.get('cases', []).clear()\n  return [1, 2, 3]",
    }),
]  # fmt: skip

FORGERIES: list[Forgery] = [*_SHADOWED, *_PATCHED, *_OWN_BUILTINS, *_IMPORTS, *_HELPERS]
