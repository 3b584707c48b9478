"""Families of Python programs that upset the interpreter, the harness or the compiler."""

from __future__ import annotations

from tests.hostile.families import python_family

_LINES = (
    "ready", "started", "passed", "- passed", "- error x", "x passed", '{"last": true}', '{"report": [["passed"]], "killed": "", "detail": "", "exit_status": 0, "seconds": 0.1, "last": false}',
    '{"fields": ["", "x = 1", "", ""]}', "null", "[]", "0", "\\x00\\x01", "\\ud800".encode("utf-16", "surrogatepass").hex(),
)  # fmt: skip
_SYSTEM_CALLS = (
    29, 64, 68, 101, 155, 157, 160, 161, 163, 164, 165, 170, 171, 203, 206, 237, 248, 250, 251, 253, 272, 298, 302, 308, 310, 311, 319, 321, 323, 425, 434, 435, 442,
)  # fmt: skip
_DEEP = (
    "'(' * 90 + '1' + ')' * 90",
    "'-' * 900 + '1'",
    "'[' * 150 + ']' * 150",
    "'lambda: ' * 80 + '1'",
    "'1' + '+1' * 900",
    "'f(' * 80 + ')' * 80",
    "'not ' * 900 + '1'",
    "'x' + '.x' * 900",
)
_TEXTS = (
    "'\\ud800'",
    "'\\0'",
    "'a\\nb\\nc'",
    "'x' * 70_000",
    "'\\x1b[2J\\x1b]0;x\\x07'",
    "'- passed \\n'",
    "b'\\xff'",
    "'\\u202e' * 50",
    "None",
    "[]",
)

FAMILIES = [
    python_family("printed lines", "for out in (sys.stdout, sys.stderr):\n  print('''§''', file=out, flush=True)\nprint('''§''')", _LINES),
    python_family("lines on a descriptor", "for line in (b'ready\\n', b'{\"last\": true}\\n', b'- passed \\n', b'\\n', b'x' * 9000):\n  try: os.write(§, line)\n  except OSError: pass", range(9)),
    python_family("odd output", "for out in (1, 2): os.write(out, §)", ["b'x' * 40_000", "b'\\n' * 40_000", "b'\\r' * 40_000", "b'\\0' * 40_000", "b'\\xff' * 40_000", "b'\\x1bc'", "b'\\xef\\xbb\\xbf'"]),
    python_family("too much output", "while True: §", ["print('x' * 9999)", "sys.stderr.write('x')", "os.write(1, bytes(65536))", "os.write(2, b'\\n')"]),
    python_family("exit codes", "os._exit(§)", [0, 1, 2, 3, 77, 126, 127, 128, 137, 139, 143, 255]),
    python_family("exits", "§", ["sys.exit()", "sys.exit('text')", "sys.exit(256)", "exit(0)", "quit()", "raise SystemExit([])", "os.abort()", "os.execv('/bin/false', ['false'])", "os.execv('/bin/sh', ['sh', '-c', 'exit 0'])", "os.execvp('perl', ['perl', '-e', 'print 1'])"]),
    python_family("errors with odd texts", "raise RuntimeError(§)", _TEXTS),
    python_family("odd errors", "class Own(§):\n  def __str__(self): return self.x\n  def __repr__(self): raise self\nraise Own", ["Exception", "BaseException", "SyntaxError", "UnicodeDecodeError", "OSError", "StopIteration", "MemoryError", "KeyboardInterrupt", "AssertionError"]),
    python_family("system calls", "import subprocess\nsubprocess.run(['perl', '-e', 'syscall(§, 0, 0, 0, 0, 0)'], capture_output=True)", _SYSTEM_CALLS),
    python_family("deep sources", "exec('x = ' + §)", _DEEP),
    python_family("deep values", "x = []\nfor _ in range(100_000): x = [x]\n§", ["repr(x)", "import json; json.dumps(x)", "import pickle; pickle.dumps(x)", "import copy; copy.deepcopy(x)", "x == [x]", "import marshal; marshal.dumps(x)", "del x", "hash((x,))", "str(x)"]),
    python_family("recursion", "sys.setrecursionlimit(§)\ndef f(n): return f(n + 1)\nf(0)", [60, 500, 5000, 20_000]),
    python_family("sources", "§", ["x = '\0'", "\ufeffx = 1", "# -*- coding: rot13 -*-\nk = 1", "x = 1\r\ny = 2\r", "\fx = 1", "x = '\ud800'", "from __future__ import braces", "if 1:\n\tx = 1\n        y = 2", "def f(:", "return 1", "x = " + "1" * 5000, "def f(" + ", ".join(f"a{n}" for n in range(300)) + "): pass", "x" * 70_000 + " = 1", "(" * 300, "print(f'{" * 40]),
    python_family("large sources", "§", ["x = [" + "1, " * 20_000 + "]", "\n".join(f"x{n} = {n}" for n in range(5000)), "x = '" + "y" * 500_000 + "'", "x = 1" + " + 1" * 3000, "\n".join(f"def f{n}(): return {n}" for n in range(2000)), "if 1: pass\n" + "elif 1: pass\n" * 900, "x = " + "{" * 80 + "}" * 80]),
    python_family("strings interned", "import sys\nheld = [sys.intern(f'§{n}') for n in range(20_000)]", ["passed", "a", "__"]),
    python_family("the collector", "import gc\n§\nx = []; x.append(x); del x", ["gc.disable()", "gc.freeze()", "gc.set_threshold(1)", "gc.set_debug(gc.DEBUG_SAVEALL)", "gc.callbacks.append(lambda *a: 1 / 0)", "[gc.collect() for _ in range(9)]"]),
    python_family("settings of the interpreter", "import sys\n§", ["sys.setswitchinterval(1e-9)", "sys.setswitchinterval(1e9)", "sys.set_int_max_str_digits(0)", "sys.setdlopenflags(2)", "import faulthandler; faulthandler.enable()", "import tracemalloc; tracemalloc.start(50)", "import faulthandler; faulthandler.dump_traceback_later(0.01, exit=True)\nimport time; time.sleep(0.1)", "import warnings; warnings.simplefilter('error')", "sys.flags = None", "sys.dont_write_bytecode = False", "sys.unraisablehook = sys.excepthook = None", "sys.stdout = sys.stderr = sys.stdin = None", "sys.modules.clear()", "sys.path.clear()", "sys.meta_path.clear()"]),
    python_family("settings of modules", "§", ["import decimal; decimal.getcontext().prec = 1", "import random; random.seed(0); random.setstate(None)", "import os, time; os.environ['TZ'] = 'X-14'; time.tzset()", "import locale; locale.setlocale(locale.LC_ALL, 'C')", "import socket; socket.setdefaulttimeout(1e-9)", "import threading; threading.stack_size(1 << 15)", "import logging; logging.disable(99); logging.shutdown()", "import json; json.loads = json.dumps = None", "import re; re.purge(); re.compile = None", "import encodings; encodings.search_function = None", "import codecs; codecs.register(lambda name: 1 / 0); ''.encode('none')", "import copyreg; copyreg.dispatch_table.clear()", "import builtins; vars(builtins).clear()", "import os; [setattr(os, n, None) for n in dir(os)]", "import signal; signal.signal = None", "import io; io.open = None; print(open)"]),
    python_family("hooks", "import atexit, sys, threading, weakref\nclass A: pass\na = A()\n§", ["atexit.register(os._exit, 0)", "atexit.register(lambda: [0 for _ in iter(int, 1)])", "weakref.finalize(a, os._exit, 0)", "threading._shutdown = lambda: os._exit(0)", "A.__del__ = lambda self: os._exit(0)", "sys.excepthook = lambda *a: os._exit(0)", "sys.addaudithook(lambda *a: os._exit(0))", "os.register_at_fork(before=lambda: os._exit(0))\nos.fork()", "import builtins; builtins.__import__ = lambda *a, **k: os._exit(0)"]),
    python_family("sessions and folders", "try: §\nexcept (OSError, PermissionError): pass", ["os.setsid()", "os.setpgid(0, 0)", "os.tcsetpgrp(0, 1)", "os.chdir('/')", "os.mkdir('/tmp/x'); os.chdir('/tmp/x'); os.rmdir('/tmp/x')", "os.chroot('/tmp')", "os.setuid(65534)", "os.setegid(1)", "os.fchdir(os.open('/proc', 0))", "os.unshare(0x10000000)", "os.setgroups([])"]),
    python_family("loops", "§", ["while True: pass", "import time; time.sleep(60)", "import re; re.match('(a+)+$', 'a' * 40 + 'b')", "x = 3 ** 10 ** 8", "sum(range(10 ** 12))", "str(7 ** 10 ** 6)", "import signal; signal.pause()", "import threading; threading.Lock().acquire() and threading.Event().wait()", "while True: os.getppid()"], slow=True),
    python_family("memory", "§", ["x = bytearray(1 << 32)", "x = [0] * (1 << 28)", "x = 'x' * (1 << 30)", "x = 1 << (1 << 33)", "x = {n: n for n in range(10 ** 8)}", "import mmap; held = [mmap.mmap(-1, 64 << 20) for _ in range(9)]", "x = list(iter(int, 1))"], slow=True),
    python_family("forks", "§", ["while True:\n  try: os.fork()\n  except OSError: pass", "while os.fork() == 0: pass", "import time\nfor _ in range(14):\n  if os.fork() == 0: time.sleep(30)"], slow=True),
]  # fmt: skip
