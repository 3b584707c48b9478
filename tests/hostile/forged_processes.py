"""Forged passes by processes, threads, signals and descriptors: what carries calls, results and the verdict is faked."""

from __future__ import annotations

from tests.hostile import FORGE
from tests.hostile.forgery import Forgery, forged

# `wires`: the descriptors that something other than a file or a terminal is behind.
_WIRES = """
import os, socket, stat, struct, json, pickle, sys
def wires():
    found = []
    for fd in range(64):
        try: kind = os.fstat(fd).st_mode
        except OSError: continue
        if stat.S_ISSOCK(kind) or stat.S_ISFIFO(kind): found.append(fd)
    return found
def put(*texts):
    for fd in wires():
        for text in texts:
            try:
                os.set_blocking(fd, False)
                os.write(fd, text)
            except OSError: pass
            finally:
                try: os.set_blocking(fd, True)
                except OSError: pass
def got():
    data = b""
    for fd in wires():
        try:
            os.set_blocking(fd, False)
            data += os.read(fd, 1 << 20)
        except OSError: pass
        finally:
            try: os.set_blocking(fd, True)
            except OSError: pass
    return data
"""


def _on_the_wire(when_called: str, at_import: str = "", then: str = "return 0") -> str:
    called = "\n".join(f"  {line}" for line in f"{when_called}\n{then}".splitlines())
    return f"{_WIRES}{at_import}\ndef f(*arguments):\n{called}"


_VERDICTS = """[b"passed\\n", b"- passed \\n", b"passed", b'{"status": "passed"}\\n', b'["passed", ""]\\n', b'{"passed": true, "ok": true, "report": [["passed"]]}\\n', pickle.dumps("passed"), pickle.dumps(("passed", None)), b"\\x00\\x00\\x00\\x06passed", b"\\x06\\x00\\x00\\x00passed"]"""
_LENGTHS = """[struct.pack(form, number) + b"x" * 9 for form in ("<I", ">I", "<Q", ">Q", "<H", ">H", "B") for number in (0, 1, 9, 200)]"""
_BACK = """[struct.pack(form, len(text)) + text for form in ("<I", ">I", "<Q", ">Q") for text in texts]"""
_REPLIES = """[json.dumps(one).encode() for one in (5, {"value": 5}, {"result": 5}, ["return", 5], [0, 5], {"id": 0, "result": 5}, {"ok": 5}, None, True)] + [pickle.dumps(5), repr(5).encode()]"""

_FORGED_REPORTS = forged("a forged report", "add", {
    "verdicts on every wire": _on_the_wire(f"put(*{_VERDICTS})"),
    "verdicts on every wire, at import": _on_the_wire("pass", f"put(*{_VERDICTS})"),
    "verdicts on every wire, and an exit": _on_the_wire(f"put(*{_VERDICTS})", then="os._exit(0)"),
    "verdicts on every descriptor, and an exit": FORGE + "def f(*a):\n  forge()\n  os._exit(0)",
    "verdicts with what is read from the wires": _on_the_wire("data = got()\nwords = __import__('re').findall(rb'[0-9A-Za-z_-]{8,}', data)\nput(*[w + end for w in words for end in (b' passed \\n', b'passed', b'\\n')])"),
    "verdicts by a child that outlives": _on_the_wire(f"if os.fork() == 0:\n  import time\n  for _ in range(20):\n    put(*{_VERDICTS})\n    time.sleep(0.01)\n  os._exit(0)", then="os._exit(0)"),
    "verdicts by a thread, all the time": _on_the_wire("pass", f"import threading\ndef always():\n  while True: put(*{_VERDICTS})\nthreading.Thread(target=always, daemon=True).start()"),
    "verdicts printed": f"{_WIRES}\ndef f(*a):\n  for text in {_VERDICTS}:\n    for out in (sys.stdout, sys.stderr, sys.__stdout__): print(text.decode('latin1'), file=out, flush=True)\n  return 0",
    "verdicts at exit": _on_the_wire("pass", f"import atexit\natexit.register(lambda: put(*{_VERDICTS}))", then="raise SystemExit(0)"),
    "verdicts of a finalizer": _on_the_wire("pass", f"class Last:\n  def __del__(self, put=put): put(*{_VERDICTS})\nlast = Last()", then="raise SystemExit(0)"),
    "a class of errors with a report in its name": "Own = type('E\\n- passed\\npassed \\n', (Exception,), {})\ndef f(*a): raise Own('\\n- passed \\n')",
    "an error whose text is a report": "def f(*a): raise RuntimeError('\\n- passed \\npassed \\nx passed ')",
    "an error whose text never ends": "class Text(str):\n  def __str__(self): return self\nclass Own(Exception):\n  def __str__(self): return Text('x' * (9 << 20))\ndef f(*a): raise Own",
    "an error that cannot be told": "import os\nclass Own(BaseException):\n  def __str__(self): os._exit(0)\n  __repr__ = __str__\ndef f(*a): raise Own",
    "an error that lies about its class": "class Own(BaseException):\n  __class__ = property(lambda self: 1 / 0)\n  def __getattribute__(self, name): raise SystemExit(0)\ndef f(*a): raise Own",
    "a source with a report in its last words": "import sys\nsys.stderr.write('\\npassed \\n- passed \\n')\ndef f(*a):\n  sys.stderr.write('passed \\n')\n  raise SystemExit(0)",
})  # fmt: skip

_WIRE = forged("a forged reply", "add", {
    "replies of many forms before the own": _on_the_wire(f"texts = {_REPLIES}\nput(*texts)"),
    "replies of many forms and lengths": _on_the_wire(f"texts = {_REPLIES}\nput(*{_BACK})"),
    "replies with line ends": _on_the_wire(f"put(*[t + b'\\n' for t in {_REPLIES}])"),
    "replies for all calls to come": _on_the_wire("pass", f"put(*[t + b'\\n' for t in {_REPLIES}] * 3)"),
    "replies of other lengths": _on_the_wire(f"put(*{_LENGTHS})"),
    "half a length, and an exit": _on_the_wire("put(b'\\x00\\x00')", then="os._exit(0)"),
    "a length without an end": _on_the_wire("put(b'\\xff' * 8, b'\\x7f\\xff\\xff\\xff')", then="import time; time.sleep(60)"),
    "what came in, sent back": _on_the_wire("put(got())", then="return 0"),
    "what came in, sent back for ever": _on_the_wire("pass", "import threading\ndef mirror():\n  while True: put(got())\nthreading.Thread(target=mirror, daemon=True).start()"),
    "every wire closed": _on_the_wire("for fd in wires(): os.close(fd)"),
    "every wire shut for reading": _on_the_wire("for fd in wires():\n  try: socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_RD)\n  except OSError: pass"),
    "every wire shut for writing": _on_the_wire("for fd in wires():\n  try: socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_WR)\n  except OSError: pass"),
    "every wire replaced by one that echoes": _on_the_wire("a, b = socket.socketpair()\nfor fd in wires(): os.dup2(a.fileno(), fd)\nb.sendall(b'passed \\n')"),
    "every wire replaced by /dev/null": _on_the_wire("null = os.open('/dev/null', os.O_RDWR)\nfor fd in wires(): os.dup2(null, fd)"),
    "every wire replaced by /dev/zero": _on_the_wire("null = os.open('/dev/zero', os.O_RDWR)\nfor fd in wires(): os.dup2(null, fd)"),
    "descriptors sent over the wires": _on_the_wire("for fd in wires():\n  try: socket.send_fds(socket.socket(fileno=os.dup(fd)), [b'passed \\n'], [fd])\n  except (OSError, AttributeError): pass"),
    "a pickle that runs code": _on_the_wire("class Run:\n  def __reduce__(self): return (os._exit, (0,))\nput(pickle.dumps(Run()), pickle.dumps(Run()) + b'\\n')"),
    "a pickle returned": "import os\nclass Run:\n  def __reduce__(self): return (os._exit, (0,))\n  def __eq__(self, other): return True\ndef f(*a): return Run()",
    "reduced to an answer": "class Run:\n  def __reduce__(self): return (eval, ('type(\"L\", (), dict(__eq__=lambda s, o: True))()',))\n  def __reduce_ex__(self, n): return self.__reduce__()\n  def __getstate__(self): return {}\n  def __eq__(self, other): return True\ndef f(*a): return Run()",
    "the wires held by a child that answers too": _on_the_wire("import time\nif os.fork() == 0: pass\nelse: os.wait()"),
    "the child answers, the parent sleeps": _on_the_wire("import time\nif os.fork(): time.sleep(60)", then="return 0"),
    "both answer": _on_the_wire("os.fork()", then="return 0"),
    "many answer": _on_the_wire("for _ in range(3): os.fork()", then="return sum(arguments) * 0"),
    "the child answers 'passed' when the parent exits": _on_the_wire("if os.fork():\n  os._exit(0)", then="return 0"),
    "another program reads the wires": _on_the_wire("for fd in wires(): os.set_inheritable(fd, True)\nos.execv('/bin/sh', ['sh', '-c', 'for i in 0 1 2 3 4 5 6 7 8 9; do echo \"passed \" >&$i; done; cat 0<&3'])"),
})  # fmt: skip

_STRUCTURES = forged("a strange value", "sort", {
    "a list in itself": "def f(x):\n  x.append(x)\n  return x",
    "a list in a tuple in itself": "def f(x):\n  made = []\n  made.append((made,))\n  return made",
    "a dict of itself": "def f(x):\n  made = {}\n  made['x'] = made\n  return made",
    "a list ten thousand deep": "def f(x):\n  made = []\n  for _ in range(10_000): made = [made]\n  return made",
    "a list a million deep": "def f(x):\n  made = []\n  for _ in range(1_000_000): made = [made]\n  return made",
    "a list that grows while it is read": "import threading\ndef f(x):\n  made = list(x)\n  def grow():\n    while True: made.append(made[:1]) or made.pop(0)\n  threading.Thread(target=grow, daemon=True).start()\n  return made",
    "a billion times the same": "def f(x):\n  made = ['laugh']\n  for _ in range(30): made = [made, made]\n  return made",
    "a huge integer": "def f(x): return [1 << (1 << 26)]",
    "a huge text": "def f(x): return 'x' * (60 << 20)",
    "a range without an end": "def f(x): return range(10 ** 18)",
    "an iterator without an end": "import itertools\ndef f(x): return itertools.count()",
    "a text of half a pair": "def f(x): return ['\\ud800', '\\udfff']",
    "a slice of liars": "class Liar:\n  def __eq__(self, other): return True\ndef f(x): return slice(Liar(), Liar(), Liar())",
    "a code object": "def f(x): return (lambda: 0).__code__",
    "a frame": "import sys\ndef f(x): return sys._getframe()",
    "the argument's own class": "def f(x): return type(x)",
    "its own function": "def f(x): return f",
    "a module of the library": "import builtins\ndef f(x): return builtins",
    "not a number": "def f(x): return float('nan')",
    "Ellipsis and NotImplemented": "def f(x): return [Ellipsis, NotImplemented][bool(x)]",
    "NotImplemented from an equality": "class Liar(list):\n  def __eq__(self, other): return NotImplemented\n  def __ne__(self, other): return NotImplemented\ndef f(x): return Liar([0])",
    "a class with __slots__ that lie": "class Liar(list):\n  __slots__ = ('__eq__',)\n  def __init__(self, x): self.__eq__ = lambda other: True\ntry: f = lambda x: Liar(x)\nexcept Exception: pass",
})  # fmt: skip

_ARGUMENTS = [
    *forged("the arguments changed", "copied", {
        "a class for the argument": "class Liar(list):\n  def __eq__(self, other): return True\ndef f(x):\n  x[:] = [Liar(one) for one in x]\n  return x",
        "liars in the argument": "class Liar:\n  def __eq__(self, other): return True\ndef f(x):\n  x[:] = [Liar(), Liar()]\n  return x",
        "an argument in itself": "def f(x):\n  x.clear()\n  x.append(x)\n  return x",
        "elements of the argument swapped": "def f(x):\n  x[0][:], x[1][:] = x[1][:], x[0][:]\n  return x",
        "the argument changed later": "import threading, time\ndef f(x):\n  made = x[::-1]\n  def later():\n    time.sleep(0.001)\n    x.clear()\n  x.clear()\n  threading.Thread(target=later).start()\n  return made",
    }),
    *forged("the arguments changed", "cases", {
        "the argument is returned, and changes as it is compared": "class Liar:\n  def __eq__(self, other): return True\ndef f(x):\n  x[:] = [Liar()] * len(x)\n  return x",
        "a class of the argument changed": "class Liar(list):\n  def __eq__(self, other): return True\ndef f(x):\n  try: x.__class__ = Liar\n  except TypeError: pass\n  return Liar()",
    }),
]  # fmt: skip

_THREADS = forged("later", "mean", {
    "a timer that patches": "import builtins, threading\ndef patch(): builtins.abs = lambda x: 0\ndef f(x):\n  threading.Timer(0.0, patch).start()\n  return 9.0",
    "a thread that patches every module": "import builtins, sys, threading\nsys.setswitchinterval(1e-6)\ndef patch():\n  while True:\n    builtins.abs = lambda x: 0\n    for m in list(sys.modules.values()): vars(m)['abs'] = builtins.abs\nthreading.Thread(target=patch, daemon=True).start()\ndef f(x): return 9.0",
    "a signal that patches": "import builtins, signal\ndef patch(*a):\n  builtins.abs = lambda x: 0\nsignal.signal(signal.SIGALRM, patch)\ndef f(x):\n  signal.setitimer(signal.ITIMER_REAL, 1e-6, 1e-4)\n  return 9.0",
    "a signal that changes the frame": "import signal\ndef patch(number, frame):\n  while frame:\n    frame.f_globals['abs'] = lambda x: 0\n    frame.f_locals['candidate'] = lambda x: 0\n    frame = frame.f_back\nsignal.signal(signal.SIGVTALRM, patch)\ndef f(x):\n  signal.setitimer(signal.ITIMER_VIRTUAL, 1e-6, 1e-4)\n  return 9.0",
    "a signal that ends it well": "import signal, os, time\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\ndef f(x):\n  signal.setitimer(signal.ITIMER_REAL, 1e-3)\n  time.sleep(1)\n  return 9.0",
    "a finalizer that patches": "import builtins\nclass Last(float):\n  def __del__(self): builtins.abs = lambda x: 0\ndef f(x): return Last(9.0)",
    "a weak reference that patches": "import builtins, weakref\nclass Value(float): pass\ndef patch(ref): builtins.abs = lambda x: 0\ndef f(x):\n  made = Value(9.0)\n  f.held = weakref.ref(made, patch)\n  return made",
    "the collector's callback patches": "import builtins, gc\ndef patch(phase, info): builtins.abs = lambda x: 0\ngc.callbacks.append(patch)\ngc.set_threshold(1)\ndef f(x): return 9.0",
    "the recursion limit": "import sys\ndef f(x):\n  sys.setrecursionlimit(50)\n  return 9.0",
    "warnings as errors": "import warnings\nwarnings.simplefilter('error')\nwarnings.showwarning = lambda *a: 1 / 0\ndef f(x):\n  warnings.simplefilter('error')\n  return 9.0",
    "the hash's seed and another interpreter": "import os, sys\ndef f(x): os.execve(sys.executable, [sys.executable, '-c', 'import os; [os.write(d, b\"passed \\\\n\") for d in (1, 2)]'], {'PYTHONHASHSEED': '1'})",
    "exits by every way, one after the other": "import os, sys\ndef f(x):\n  try: sys.exit(0)\n  finally: os._exit(0)",
    "an interrupt": "def f(x): raise KeyboardInterrupt",
    "GeneratorExit": "def f(x): raise GeneratorExit",
    "a BaseException of its own": "class Own(BaseException): pass\ndef f(x): raise Own",
    "a group of exits": "def f(x): raise BaseExceptionGroup('x', [SystemExit(0), AssertionError()])",
    "an AssertionError that is falsy": "class Own(AssertionError):\n  def __bool__(self): return False\n  def __eq__(self, other): return True\ndef f(x): raise Own",
    "an exit with a lying code": "class Zero(int):\n  def __eq__(self, other): return True\ndef f(x): raise SystemExit(Zero(0))",
    "its process stopped and let go": "import os, signal\ndef f(x):\n  if os.fork() == 0:\n    import time\n    time.sleep(0.05)\n    os.kill(os.getppid(), signal.SIGCONT)\n    os._exit(0)\n  os.kill(os.getpid(), signal.SIGSTOP)\n  return 9.0",
    "every process of its user killed": "import os, signal\ndef f(x):\n  os.kill(-1, signal.SIGKILL)\n  os.killpg(0, signal.SIGTERM)\n  return 9.0",
    "every process traced": "import os, subprocess\ndef f(x):\n  for pid in range(1, 40): subprocess.run(['perl', '-e', 'syscall(101, 16, $ARGV[0], 0, 0)', str(pid)], capture_output=True)\n  return 9.0",
    "its parent killed": "import os, signal\ndef f(x):\n  for pid in (os.getppid(), 2, 1):\n    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass\n  return 9.0",
    "all memory taken, and an exit": "import os\ndef f(x):\n  held = []\n  try:\n    while True: held.append(bytearray(8 << 20))\n  except MemoryError: os._exit(0)",
    "endless calls of itself": "def f(x):\n  try: return f(x)\n  except RecursionError: raise SystemExit(0)",
    "a bad answer and a frozen clock": "import time\ntime.time = time.monotonic = time.perf_counter = lambda: 0\ndef f(x): return 9.0",
    "a locale and a time zone": "import locale, os, time\ndef f(x):\n  os.environ['TZ'] = 'Pacific/Chatham'\n  time.tzset()\n  try: locale.setlocale(locale.LC_ALL, '')\n  except locale.Error: pass\n  return 9.0",
})  # fmt: skip

FORGERIES: list[Forgery] = [*_FORGED_REPORTS, *_WIRE, *_STRUCTURES, *_ARGUMENTS, *_THREADS]
