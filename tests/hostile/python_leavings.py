"""Families of Python programs that leave something behind: files, modes, processes, locks, limits."""

from __future__ import annotations

from tests.hostile.families import python_family

_PATHS = ("/tmp", "/dev/shm", ".", "/proc", "/dev", "/")
_SIGNALS = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGCONT", "SIGTTOU", "SIGPIPE", "SIGWINCH")
_NAMES = (
    "'.hidden'", "'-rf'", "' '", "'a\\nb'", "'x' * 255", "'\\u202epy'", "b'\\xff\\xfe'", "'math.py'", "'sitecustomize.py'",
    "'usercustomize.py'", "'json.py'", "'unittest.py'", "'__main__.py'", "'python311.zip'", "'passed'", "'core'",
)  # fmt: skip
_NODES = (
    "os.mkfifo('/tmp/node')", "os.symlink('/tmp/node', '/tmp/node')", "os.symlink('/', '/tmp/node')", "os.symlink('/proc/self/fd/1', '/tmp/node')",
    "__import__('socket').socket(1).bind('/tmp/node')", "os.mknod('/tmp/node')", "os.mkfifo('/dev/shm/node', 0)", "os.link('/proc/self/exe', '/tmp/node')",
)  # fmt: skip
_LOCKED = ("sys.executable", "os.__file__", "'/usr/bin/env'", "'/tmp'", "'/'", "'/dev/null'")
_LEFT_RUNNING = (
    "while True: pass", "time.sleep(60)", "signal.pause()", "os.setsid(); time.sleep(60)",
    "os.setsid(); os.fork(); time.sleep(60)", "[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 3, 10, 12, 13, 14, 15)]; time.sleep(60)",
    "os.kill(os.getpid(), signal.SIGSTOP)", "os.execv('/bin/sleep', ['sleep', '60'])", "os.closerange(0, 99); time.sleep(60)",
    "os.execv('/bin/sh', ['sh', '-c', 'trap \"\" 1 2 3 15; while :; do :; done'])",
)  # fmt: skip
_TRY = "try:\n  §\nexcept (OSError, ValueError, OverflowError, PermissionError): pass"

FAMILIES = [
    python_family("chmod", _TRY, [f"os.chmod('{path}', {mode:#o})" for path in _PATHS for mode in (0, 0o666, 0o7555)]),
    python_family("chmod of what it made", "os.makedirs('/tmp/a/b/c')\nopen('/tmp/a/b/f', 'w').write('x')\nfor path in ('/tmp/a/b/c', '/tmp/a/b/f', '/tmp/a/b', '/tmp/a', '/tmp'): os.chmod(path, §)", ["0", "0o111", "0o444", "0o7000"]),
    python_family("times and attributes", _TRY, ["os.utime('/tmp', (0, 0))", "os.utime('/tmp', (2 ** 33, 2 ** 33))", "os.setxattr('/tmp', 'user.x', b'y')", "os.chown('/tmp', os.getuid(), os.getgid())", "os.rename('/tmp', '/tmp2')", "os.rmdir('/tmp')", "os.rmdir('/dev/shm')"]),
    python_family("names of files", "for folder in ('/tmp', '/dev/shm'):\n  name = §\n  with open(os.path.join(folder if type(name) is str else folder.encode(), name), 'w') as file: file.write('raise SystemExit(0)')", _NAMES),
    python_family("modules in the working folder", "os.makedirs('§')\nfor name in ('__init__.py', '__init__.pyc', '§.pth'): open('§/' + name, 'w').write('import os; os._exit(0)')\nsys.path.insert(0, '/tmp')", ["unittest", "encodings", "collections", "importlib", "json", "re"]),
    python_family("nodes", f"try: {'§'}\nexcept OSError: pass", _NODES),
    python_family("deep folders", "os.chdir('/tmp')\ntry:\n  for _ in range(§):\n    os.mkdir('d' * 50)\n    os.chdir('d' * 50)\n  os.chmod('.', 0)\nexcept OSError: pass", [10, 90, 400, 1500]),
    python_family("many files", "try:\n  for n in range(§): open(f'/tmp/{n}', 'w').close()\nexcept OSError: pass", [300, 2000, 5000]),
    python_family("many links", "open('/tmp/one', 'w').close()\ntry:\n  for n in range(§): os.link('/tmp/one', f'/tmp/l{n}')\nexcept OSError: pass", [500, 3000]),
    python_family("a disk filled", "try:\n  for n in range(12):\n    with open(f'§/{n}', 'wb') as file: file.write(bytes(8 << 20))\nexcept OSError: pass\nheld = open('§/held', 'wb')\nos.unlink('§/held')", ["/tmp", "/dev/shm"]),
    python_family("sparse files", "try:\n  with open('/tmp/sparse', 'wb') as file: file.truncate(§)\nexcept OSError: pass", [1 << 20, 1 << 24, 1 << 40]),
    python_family("locks of files", "import fcntl\nfor path in (§,):\n  try:\n    fd = os.open(path, os.O_RDONLY)\n    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n    fcntl.fcntl(fd, 1024, fcntl.F_RDLCK)\n  except OSError: pass\nif os.fork() == 0:\n  import time; time.sleep(60)", _LOCKED),
    python_family("record locks", "import fcntl\ntry:\n  file = open(§, 'rb')\n  fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)\n  fcntl.fcntl(file, fcntl.F_NOTIFY, 63)\nexcept (OSError, AttributeError): pass", _LOCKED),
    python_family("processes left", "import signal, time\nfor _ in range(§):\n  if os.fork() == 0:\n    try: CHOICE\n    finally: os._exit(0)".replace("range(§)", "range(3)").replace("CHOICE", "§"), _LEFT_RUNNING),
    python_family("zombies left", "for _ in range(§):\n  if os.fork() == 0: os._exit(0)", [1, 5, 12]),
    python_family("threads left", "import threading, time\nfor _ in range(4): threading.Thread(target=§, daemon=True).start()", ["(lambda: time.sleep(60))", "(lambda: [0 for _ in iter(int, 1)])", "input", "threading.Lock().acquire", "(lambda: [os.getpid() for _ in iter(int, 1)])"]),
    python_family("a signal to its group", "import signal, time\nfor target in (0, -1):\n  try: os.kill(target, signal.§)\n  except OSError: pass\ntime.sleep(0.02)", _SIGNALS),
    python_family("a signal to itself", "import signal, time\nos.kill(os.getpid(), signal.§)\ntime.sleep(0.02)", ["SIGABRT", "SIGALRM", "SIGBUS", "SIGFPE", "SIGILL", "SIGINT", "SIGKILL", "SIGPROF", "SIGSEGV", "SIGSYS", "SIGTRAP", "SIGXCPU", "SIGXFSZ", "SIGRTMIN", "SIGRTMAX"]),
    python_family("descriptors closed", "os.closerange(§)\nprint('x')", ["0, 1", "1, 2", "2, 3", "3, 4", "3, 9", "0, 3", "4, 64"]),
    python_family("descriptors replaced", "null = os.open('/dev/null', os.O_RDWR)\nfor d in (§,):\n  try: os.dup2(null, d)\n  except OSError: pass\nprint('x')", ["0", "1", "2", "3, 4", "3, 4, 5, 6, 7, 8"]),
    python_family("descriptors made not to block", "import fcntl\nfor d in range(9):\n  try: fcntl.fcntl(d, fcntl.F_SETFL, §)\n  except OSError: pass", ["os.O_NONBLOCK", "os.O_NONBLOCK | os.O_APPEND", "os.O_ASYNC"]),
    python_family("the environment", "os.environ['§'] = '/tmp/x'\nos.putenv('§', '/tmp/x')", ["LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONHASHSEED", "PATH", "HOME", "TMPDIR", "LANG", "TZ", "MALLOC_ARENA_MAX"]),
    python_family("umask", "os.umask(§)", ["0", "0o777", "0o077", "0o7777"]),
    python_family("limits lowered", "import resource\nsoft, hard = resource.getrlimit(resource.RLIMIT_§)\nresource.setrlimit(resource.RLIMIT_§, (1, 1))\nif os.fork() == 0: os._exit(0)", ["NOFILE", "FSIZE", "CORE", "MEMLOCK", "MSGQUEUE", "SIGPENDING", "RTPRIO"]),
    python_family("limits of others", "import resource\nfor pid in (os.getppid(), 1, 2, 0):\n  for name in ('§',):\n    try: resource.prlimit(pid, getattr(resource, 'RLIMIT_' + name), (3, 3))\n    except (OSError, ValueError): pass", ["NOFILE", "AS", "CPU", "NPROC", "FSIZE"]),
    python_family("priorities", _TRY, ["os.nice(19)", "os.setpriority(os.PRIO_USER, 0, 19)", "os.setpriority(os.PRIO_PGRP, 0, 19)", "os.setpriority(os.PRIO_USER, os.getuid(), 10)", "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))", "os.sched_setscheduler(os.getppid(), os.SCHED_BATCH, os.sched_param(0))", "os.sched_setaffinity(os.getppid(), {0})"]),
    python_family("timers", "import signal\nsignal.§\nif os.fork() == 0:\n  import time; time.sleep(30)", ["alarm(1)", "setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)", "setitimer(signal.ITIMER_VIRTUAL, 1e-3)", "setitimer(signal.ITIMER_PROF, 1e-3)", "pthread_sigmask(signal.SIG_BLOCK, range(1, 64))", "set_wakeup_fd(-1)", "siginterrupt(14, False)"]),
    python_family("sockets held", "import socket\nmade = socket.socket(socket.AF_UNIX, socket.§)\nfor address in ('\\0qharness', '\\0' + 'x' * 90, '/tmp/socket'):\n  try: made.bind(address); made.listen()\n  except OSError: pass\nif os.fork() == 0:\n  import time; time.sleep(60)", ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"]),
    python_family("pipes filled", "import socket\nheld = [§ for _ in range(8)]\nfor pair in held:\n  end = pair[1] if type(pair[1]) is int else pair[1].fileno()\n  os.set_blocking(end, False)\n  try:\n    while True: os.write(end, bytes(4096))\n  except OSError: pass", ["os.pipe()", "socket.socketpair()"]),
    python_family("shared memory", "from multiprocessing import shared_memory, resource_tracker\nresource_tracker.register = lambda *a: None\nfor n in range(§):\n  held = shared_memory.SharedMemory(f'left{n}', create=True, size=4096)", [1, 8]),
    python_family("semaphores", "import _multiprocessing\nheld = [_multiprocessing.SemLock(1, 0, 1, f'/left{n}', False) for n in range(§)]", [1, 20]),
    python_family("events", "held = [§ for _ in range(20)]", ["os.eventfd(0)", "__import__('select').epoll()", "os.pidfd_open(os.getpid())", "os.openpty()"]),
]  # fmt: skip
