"""Forged passes by reading: the wanted values are taken from the tests' code, or the token from memory."""

from __future__ import annotations

from tests.hostile import FORGE
from tests.hostile.forgery import Forgery, forged

# What a piece of code wants of a call that is under way in it: the constant after the call's instruction.
_WANTED = """
import dis
def wanted(code, after):
    for one in dis.get_instructions(code):
        if one.offset > after and one.opname in ("LOAD_CONST", "LOAD_SMALL_INT"): return one.argval
"""
_FRAME = "wanted(frame.f_code, frame.f_lasti)"
_ADD = {
    "the caller's frame": f"import sys\ndef f(*a):\n  frame = sys._getframe(1)\n  return {_FRAME}",
    "every frame": f"import sys\ndef f(*a):\n  frame, found = sys._getframe(1), None\n  while frame and not isinstance(found, int):\n    found, frame = {_FRAME}, frame.f_back\n  return found",
    "a traceback's frame": f"def f(*a):\n  try: 1 / 0\n  except ZeroDivisionError as error: frame = error.__traceback__.tb_frame.f_back\n  return {_FRAME}",
    "inspect": f"import inspect\ndef f(*a):\n  frame = inspect.currentframe().f_back\n  return {_FRAME}",
    "the frames of all threads": f"import sys, threading\ndef f(*a):\n  for frame in sys._current_frames().values():\n    while frame:\n      if '<module>' == frame.f_code.co_name and isinstance({_FRAME}, int): return {_FRAME}\n      frame = frame.f_back",
    "a generator's frame": f"import sys\ndef made(): yield sys._getframe(2)\ndef f(*a):\n  frame = next(made())\n  return {_FRAME}",
    "walk_stack": f"import traceback\ndef f(*a):\n  for frame, _ in traceback.walk_stack(None):\n    found = {_FRAME}\n    if isinstance(found, int): return found",
    "an exception's note": f"import sys\nclass Own(Exception): pass\ndef f(*a):\n  try: raise Own\n  except Own:\n    frame = sys.exc_info()[2].tb_frame.f_back\n    return {_FRAME}",
    "a warning's frame": f"import warnings, sys\nfound = []\ndef show(message, category, filename, line, *rest):\n  frame = sys._getframe(1)\n  while frame:\n    found.append({_FRAME})\n    frame = frame.f_back\nwarnings.showwarning = show\ndef f(*a):\n  found.clear()\n  warnings.warn('x', stacklevel=2)\n  return next((n for n in found if type(n) is int and n in (5, 6, 111)), 0)",
    "code objects by the collector": "import gc, types\ndef f(a, b):\n  for one in gc.get_objects():\n    if isinstance(one, types.CodeType) and one.co_filename == 'tests.py': return next(c for c in one.co_consts if c not in (a, b, 10, 4, 100, 11))",
    "the tests' source by linecache": "import linecache, sys, re\ndef f(a, b):\n  for path in ('tests.py', 'tests', sys._getframe(1).f_code.co_filename):\n    for line in linecache.getlines(path) or (open(path) if __import__('os').path.exists(path) else ()):\n      found = re.search(rf'f\\({a}, {b}\\) == (\\d+)', line)\n      if found: return int(found[1])",
    "/proc/self/mem": "import re\ndef f(a, b):\n  for line in open('/proc/self/maps'):\n    start, end = (int(x, 16) for x in line.split()[0].split('-'))\n    with open('/proc/self/mem', 'rb', 0) as file:\n      try:\n        file.seek(start)\n        found = re.search(rb'f\\(%d, %d\\) == (\\d+)' % (a, b), file.read(end - start))\n      except (OSError, ValueError): continue\n    if found: return int(found[1])",
    "files, arguments and the environment": "import glob, os, re, sys\ndef f(a, b):\n  texts = [repr(sys.argv), repr(sys.orig_argv), repr(dict(os.environ))]\n  for path in glob.glob('/tmp/**', recursive=True) + glob.glob('/proc/*/cmdline') + glob.glob('/proc/*/environ') + glob.glob('/dev/shm/*'):\n    try: texts.append(open(path, 'rb').read(1 << 20).decode('latin1'))\n    except OSError: pass\n  return int(re.search(rf'f\\({a}, {b}\\) == (\\d+)', ''.join(texts))[1])",
    "what is left in every descriptor": "import os, re\ndef f(a, b):\n  data = b''\n  for fd in range(64):\n    for way in (lambda: os.read(fd, 1 << 16), lambda: os.pread(fd, 1 << 16, 0), lambda: open(f'/proc/self/fd/{fd}', 'rb').read(1 << 16)):\n      try:\n        os.set_blocking(fd, False)\n        data += way() or b''\n      except OSError: pass\n  return int(re.search(rb'f\\(%d, %d\\) == (\\d+)' % (a, b), data)[1])",
    "standard input": "import sys, re\nheld = sys.stdin.read()\ndef f(a, b): return int(re.search(rf'f\\({a}, {b}\\) == (\\d+)', held)[1])",
    "an audit hook": "import sys\nseen = []\nsys.addaudithook(lambda event, args: seen.append(args) if event in ('compile', 'exec', 'import') else None)\ndef f(a, b):\n  for args in seen:\n    for one in args:\n      for c in getattr(one, 'co_consts', ()):\n        if type(c) is int and c not in (a, b, 10, 4, 100, 11): return c",
    "compile as it is called": "import builtins, ast\nheld = []\nfor name in ('compile', 'exec'):\n  setattr(builtins, name, lambda *a, real=getattr(builtins, name), **k: (held.append(a), real(*a, **k))[1])\nast.parse = lambda source, *a, real=ast.parse, **k: (held.append(source), real(source, *a, **k))[1]\ndef f(a, b):\n  import re\n  return int(re.search(rf'f\\({a}, {b}\\) == (\\d+)', repr(held))[1])",
    "settrace": "import sys\nheld = []\ndef trace(frame, event, arg):\n  held.append(frame.f_code)\n  return trace\nsys.settrace(trace)\ndef f(a, b): return next(c for code in held if code.co_filename == 'tests.py' for c in code.co_consts if c not in (a, b, 10, 4, 100, 11))",
    "sys.monitoring and setprofile": "import sys\nheld = []\nsys.setprofile(lambda frame, event, arg: held.append(frame.f_code))\ndef f(a, b): return next(c for code in held if code.co_filename == 'tests.py' for c in code.co_consts if c not in (a, b, 10, 4, 100, 11))",
}  # fmt: skip
_CODE = """
def f(n):
    {check}
    for one in check.__code__.co_consts: pass
    names = [c for c in dis_(check) if c.opname == "LOAD_CONST"]
    at = next(i for i, c in enumerate(names) if c.argval == n)
    return names[at + 1].argval
import dis, sys
dis_ = dis.get_instructions
"""
_CHECK = {
    "check of the globals": _CODE.format(check="check = globals()['check']"),
    "check of __main__": _CODE.format(check="import __main__; check = __main__.check"),
    "check of the caller's globals": _CODE.format(check="check = sys._getframe(1).f_globals['check']"),
    "check of every module": _CODE.format(
        check="check = next(vars(m)['check'] for m in list(sys.modules.values()) if 'check' in vars(m))"
    ),
    "check as an attribute of f's module": _CODE.format(check="check = sys.modules[f.__module__].check"),
    "check by the collector": _CODE.format(
        check="import gc, types; check = next(o for o in gc.get_objects() if isinstance(o, types.FunctionType) and o.__name__ == 'check')"
    ),
}
_CASES = {
    "the caller's variables": "import sys\ndef f(x): return sys._getframe(1).f_globals['wanted']",
    "the globals' variables": "def f(x): return globals()['wanted']",
    "__main__'s variables": "import __main__, sys\ndef f(x): return sys.modules['__main__'].wanted",
    "a variable that is looked up late": "class Late:\n  def __eq__(self, other): return True\ndef f(x):\n  try: return wanted\n  except NameError: return Late()",
    "referrers of the argument": "import gc\ndef f(x): return next(o[1] for o in gc.get_referrers(x) if type(o) is list and len(o) == 2)",
}  # fmt: skip

# Instructions that load local variables which do not exist: what lies before the frame, on the interpreter's stack.
# Each is loaded by a process of its own, for most are no objects.
_EXPLOIT = (
    FORGE
    + r"""
import types
def template(): x = None; return x
raw = template.__code__.co_code
resume = bytes(raw[:2])
def instructions(at):
    number = at & 0xFFFFFFFF
    load = b"".join(bytes([144, number >> shift & 255]) for shift in (24, 16, 8)) + bytes([124, number & 255])
    return resume + load + bytes([83, 0])
def words():
    found = b""
    for at in range(-1, -120, -1):
        mine, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                value = types.FunctionType(made(instructions(at)), {})()
                if type(value) is bytes and re.fullmatch(rb"[0-9a-f]{32}", value): os.write(theirs, value + b" ")
            finally:
                os.kill(os.getpid(), 9)
        os.close(theirs)
        found += os.read(mine, 100)
        os.close(mine)
        os.waitpid(pid, 0)
        if found: break
    return found
def f(*arguments):
    try: forge(words())
    finally: os._exit(0)
"""
)
_REPLACE = "template.__code__.replace(co_code=code, co_varnames=('x',), co_nlocals=1, co_stacksize=8)"
_MAKER = f"def made(code): return {_REPLACE}"
_MADE = {
    "code.replace": _MAKER,
    "code.replace under another file name": f"space = dict(template=template)\nexec(compile({_MAKER!r}, types.__file__, 'exec'), space)\nmade = space['made']",
    "marshal.loads": "import marshal\ndef made(code): return marshal.loads(marshal.dumps(template.__code__).replace(raw, code + bytes(len(raw) - len(code))) if len(raw) >= len(code) else marshal.dumps(padded.__code__).replace(padded.__code__.co_code, code + bytes([9, 0]) * ((len(padded.__code__.co_code) - len(code)) // 2)))\ndef padded():\n  x = None; x = None; x = None; x = None; x = None; x = None\n  return x",
    "a .pyc by SourcelessFileLoader": "import marshal, importlib.util, importlib.machinery\ndef padded():\n  x = None; x = None; x = None; x = None; x = None; x = None\n  return x\ndef made(code):\n  whole = compile('def padded():\\n  x = None; x = None; x = None; x = None; x = None; x = None\\n  return x', 'p', 'exec')\n  inner = padded.__code__.co_code\n  data = marshal.dumps(whole).replace(inner, code + bytes([9, 0]) * ((len(inner) - len(code)) // 2))\n  open('/tmp/p.pyc', 'wb').write(importlib.util.MAGIC_NUMBER + bytes(12) + data)\n  module = types.ModuleType('p')\n  importlib.machinery.SourcelessFileLoader('p', '/tmp/p.pyc').exec_module(module)\n  return module.padded.__code__",
}  # fmt: skip
_CTYPES = r"""
import importlib.util, importlib.machinery, glob, sysconfig
def own(name):
    for path in sys.path:
        for file in glob.glob(f"{path}/_ctypes.*so"):
            loader = importlib.machinery.ExtensionFileLoader(name, file)
            module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
            loader.exec_module(module)
            return module
def f(*arguments):
    try:
        module = own("other._ctypes")
        class Byte(module._SimpleCData): _type_ = "c"
        Page = type("Page", (module.Array,), {"_type_": Byte, "_length_": 4096})
        class Number(module._SimpleCData): _type_ = "L"
        class Pointer(module._Pointer): _type_ = Page
        class Both(module.Union): _fields_ = [("number", Number), ("pointer", Pointer)]
        data, both = b"", Both()
        held = [os.urandom(32) for _ in range(3000)] + list(globals().values()) + list(sys.modules.values())
        for near in {id(one) >> 20: one for one in held}.values():
            for step in (-4096, 4096):  # each way until there is no memory: the process that finds out is another
                mine, theirs = os.pipe()
                if os.fork() == 0:
                    at = id(near) & ~4095
                    for _ in range(256):
                        both.number = at
                        for word in re.findall(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", bytes(both.pointer.contents)): os.write(theirs, word + b" ")
                        at += step
                    os._exit(0)
                os.close(theirs)
                while got := os.read(mine, 4096): data += got
                os.wait()
        forge(data)
    finally: os._exit(0)
"""
_TOKENS = [
    *forged("the token in memory", "add", {name: _EXPLOIT + source for name, source in _MADE.items()}),
    *forged("the token in memory", "add", {"_ctypes under another module's name": FORGE + _CTYPES}),
]

FORGERIES: list[Forgery] = [
    *forged("reading the tests", "add", {name: _WANTED + source for name, source in _ADD.items()}),
    *forged("reading the tests", "even", _CHECK),
    *forged("reading the tests", "cases", _CASES),
    *_TOKENS,
]
