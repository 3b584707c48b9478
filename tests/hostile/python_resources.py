"""Python programs that use more than they may, or do not end when told."""

from __future__ import annotations

from qharness import Status
from tests.hostile import python

EARLY, FAILED, ERROR, MEMORY, TIMEOUT, OUTPUT = (
    Status.EARLY_EXIT, Status.FAILED, Status.ERROR, Status.OUT_OF_MEMORY, Status.TIMEOUT, Status.OUTPUT_LIMIT,
)  # fmt: skip

# Six children hold 120 MB each at the same time: within any limit on one process, three times that of the program.
_TREE = r"""
import time
mine, theirs = os.pipe()
children = []
for _ in range(6):
    pid = os.fork()
    if pid == 0:
        try:
            held = bytearray(b"x") * (120 << 20)
            os.write(theirs, b"x")
            time.sleep(60)
        finally:
            os._exit(1)
    children.append(pid)
os.close(theirs)
holding = 0
while holding < 6 and os.read(mine, 1): holding += 1
for pid in children: os.kill(pid, 9)
if holding < 6: raise MemoryError(f"only {holding} of 6")
"""

PROGRAMS = [
    python("a fork bomb", "while True:\n  try: os.fork()\n  except OSError: pass", TIMEOUT, ERROR, MEMORY),
    python("a fork bomb whose parent exits", "while True:\n  try:\n    if os.fork(): os._exit(0)\n  except OSError: pass", EARLY, TIMEOUT, ERROR, MEMORY),
    python("more processes than it may", "import time\nfor _ in range(64):\n  if os.fork() == 0: time.sleep(60)", ERROR),
    python("more threads than it may", "import threading, time\nfor _ in range(200): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", ERROR, MEMORY),
    python("a memory bomb", "held = [bytearray(32 << 20) for _ in range(40)]", MEMORY),
    python("a memory bomb that catches the error", "held = []\nfor _ in range(40):\n  try: held.append(bytearray(b'x') * (32 << 20))\n  except MemoryError: pass\nif len(held) > 10: loot = len(held)", FAILED, MEMORY),
    python("a memory bomb of small objects", "held = []\nwhile True: held.append([None] * 1000)", MEMORY, TIMEOUT),
    python("a memory bomb of several processes", _TREE, MEMORY, ERROR, tests="pass"),
    python("memory in an integer", "x = 1 << (8 << 31)", MEMORY),
    python("a shared mapping", "import mmap\nheld = mmap.mmap(-1, 1 << 30)\nfor at in range(0, 1 << 30, 4096): held[at] = 1", MEMORY, ERROR, TIMEOUT, tests="pass"),
    python("endless output", "while True: print('x' * 1000)", OUTPUT),
    python("endless errors", "while True: sys.stderr.write('x' * 1000)", OUTPUT),
    python("endless output on every descriptor", "for d in range(3, 64):\n  try: os.set_blocking(d, False)\n  except OSError: pass\nwhile True:\n  for d in range(64):\n    try: os.write(d, b'x' * 1000)\n    except OSError: pass", OUTPUT, ERROR, TIMEOUT),
    python("a child's endless output", "if os.fork() == 0:\n  while True: print('x' * 1000)\nos.wait()", OUTPUT),
    python("a huge message", "raise ValueError('x' * (10 << 20))", ERROR),
    python("a full disk", "try:\n  for n in range(20):\n    with open(f'/tmp/{n}', 'wb') as file: file.write(bytes(8 << 20))\n  loot = n\nexcept OSError: pass"),
    python("a full disk, half of it shared memory", "try:\n  for n in range(20):\n    with open(f'{(\"/tmp\", \"/dev/shm\")[n % 2]}/{n}', 'wb') as file: file.write(bytes(8 << 20))\n  loot = n\nexcept OSError: pass"),
    python("a program in shared memory", "import shutil, subprocess\nshutil.copy('/usr/bin/env', '/dev/shm/env')\nos.chmod('/dev/shm/env', 0o755)\ntry: loot = subprocess.run(['/dev/shm/env'], capture_output=True).stdout\nexcept PermissionError: pass"),
    python("a huge file", "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\ntry:\n  with open('/tmp/huge', 'wb') as file: file.write(bytes(48 << 20))\n  loot = 48\nexcept OSError: pass"),
    python("a huge file, unprepared", "open('/tmp/huge', 'wb').write(bytes(48 << 20))", ERROR, EARLY),
    python("many files", "import time\nend = time.time() + 0.5\ntry:\n  for n in range(100_000):\n    os.mkdir(f'/tmp/{n}')\n    if time.time() > end: break\nexcept OSError: pass"),
    python("many open files", "held = []\ntry:\n  for n in range(5000): held.append(open('/dev/null'))\n  loot = n\nexcept OSError: pass"),
    python("deep folders", "try:\n  for _ in range(3000):\n    os.mkdir('d'); os.chdir('d')\nexcept OSError: pass"),
    python("a loop", "while True: pass", TIMEOUT),
    python("a loop that ignores signals", "import signal\nfor s in range(1, 64):\n  try: signal.signal(s, signal.SIG_IGN)\n  except (OSError, ValueError): pass\nwhile True: pass", TIMEOUT),
    python("a sleep that ignores signals", "import signal, time\nfor s in range(1, 64):\n  try: signal.signal(s, lambda *a: None)\n  except (OSError, ValueError): pass\nwhile True:\n  try: time.sleep(100)\n  except BaseException: pass", TIMEOUT),
    python("a loop that blocks signals and catches everything", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True:\n  try:\n    while True: pass\n  except BaseException: pass", TIMEOUT),
    python("a long calculation that cannot be interrupted", "x = 3 ** (10 ** 9)", TIMEOUT, MEMORY),
    python("processes that share the work", "for _ in range(6): os.fork()\nwhile True: pass", TIMEOUT, ERROR),
    python("deep recursion", "def f(n): return f(n + 1)\nf(0)", ERROR),
    python("deeper recursion", "sys.setrecursionlimit(10 ** 9)\nclass Deep:\n  def __repr__(self): return repr(self)\nrepr(Deep())", ERROR, MEMORY, EARLY),
    python("a deep expression", "x = eval('(' * 150 + '1' + ')' * 150)\nexec('x = ' + '-' * 200_000 + '1')", ERROR, MEMORY, EARLY),
    python("a source that is hard to parse", "exec('x = ' + '(' * 5000)", ERROR),
    python("a daemon of a daemon", "import time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    os.setsid()\n    os.execv('/bin/sh', ['@mark@', '-c', 'sleep 60; sleep 60'])\n  os._exit(0)\ntime.sleep(0.2)"),
    python("daemons at the time limit", "import time\nfor _ in range(3):\n  if os.fork() == 0:\n    os.setsid()\n    os.execv('/bin/sh', ['@mark@', '-c', 'trap \"\" TERM INT HUP; sleep 60; sleep 60'])\ntime.sleep(100)", TIMEOUT),
]  # fmt: skip
