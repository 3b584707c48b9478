"""Python programs that look for the host's secrets, change its files or kill its processes."""

from __future__ import annotations

from qharness import Status
from tests.hostile import SECRET, python

EARLY, FAILED, ERROR, PASSED, TIMEOUT = (
    Status.EARLY_EXIT, Status.FAILED, Status.ERROR, Status.PASSED, Status.TIMEOUT,
)  # fmt: skip

_SECRET = f"re.compile(rb'{SECRET}[0-9a-f]{{32}}')"
LOOK = (
    f"SECRET = {_SECRET}\n"
    + r"""
def look(*paths):
    "The first secret in one of these files."
    for path in paths:
        try: found = SECRET.search(open(path, "rb").read(1 << 20))
        except OSError: continue
        if found: return (path, found[0])
"""
)

# Stops what destroys things before it begins, should it ever stand outside.
INSIDE = """
if os.path.exists("@home_file@") or os.path.exists("@repository@/tests") or len([p for p in os.listdir("/proc") if p.isdigit()]) > 15:
    raise RuntimeError("broke in: the host can be seen")
"""

SECRETS = [
    python("secrets in the environment", LOOK + "import glob\nloot = SECRET.search(str(dict(os.environ)).encode()) or look(*glob.glob('/proc/*/environ'), *glob.glob('/proc/*/task/*/environ'))"),
    python("/proc/1/environ", LOOK + "loot = look('/proc/1/environ', f'/proc/{os.getppid()}/environ', '/proc/1/cmdline')"),
    python("home directories", LOOK + r"""
loot = look("@home_file@", "/proc/1/root@home_file@", f"/proc/{os.getppid()}/root@home_file@", "/proc/self/root@home_file@")
for home in ("/root", "/home", os.path.dirname("@home_file@")):
    try: loot = loot or [n for n in os.listdir(home) if n != ".cache" and not any(path.startswith(f"{home}/{n}") for path in (sys.base_prefix, "@repository@"))]
    except OSError: pass
"""),
    python("secrets in every file there is", LOOK + r"""
import itertools
for top in ("/etc", "/run", "/var", "/opt", "/srv", "/mnt", "/tmp", "/dev/shm", "/sys", "/root", "/home"):
    for folder, _, names in itertools.islice(os.walk(top), 60):
        loot = loot or look(*[os.path.join(folder, n) for n in names if os.path.isfile(os.path.join(folder, n))])
for name in ("/etc/shadow", "/etc/passwd", "/etc/hostname", "/etc/resolv.conf"):
    if os.path.exists(name): loot = loot or name
"""),
    python("the host's memory", LOOK + r"""
for pid in {1, os.getppid(), *[int(p) for p in os.listdir("/proc") if p.isdigit()]} - {os.getpid()}:
    try:
        for line in open(f"/proc/{pid}/maps"):
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            with open(f"/proc/{pid}/mem", "rb", 0) as file:
                file.seek(start)
                found = SECRET.search(file.read(min(end - start, 32 << 20)))
                loot = loot or (found and (pid, found[0]))
    except (OSError, ValueError): pass
"""),
    python("the host's name and processes", "pids = [p for p in os.listdir('/proc') if p.isdigit()]\nloot = len(pids) > 15 and pids"),
]  # fmt: skip

WRITES = [
    python("writes outside of its folder", r"""
import site, sysconfig
for path in ("/@mark@", "/usr/@mark@", "/etc/@mark@", "/var/tmp/@mark@", "/dev/@mark@", "/run/@mark@", "/proc/sys/kernel/hostname",
             "/proc/sys/kernel/core_pattern", "/proc/1/oom_score_adj", "@home_file@", os.path.dirname("@home_file@") + "/@mark@"):
    try:
        with open(path, "a") as file: file.write("x")
        loot = path
    except OSError: pass
"""),
    python("writes to the package, site-packages, the interpreter and the JDK", r"""
import sysconfig
roots = ["@repository@/qharness", "@repository@/plugins", "@repository@/qharness/plugins", "@repository@/qharness/execution", "@repository@", "@site@", "@jdk@/lib", "@jdk@/bin",
         os.path.dirname(os.__file__), os.path.dirname(sys.executable), sysconfig.get_path("purelib"), *sys.path]
for root in roots:
    for name in ("__init__.py", "@mark@.pth", "sitecustomize.py", "java", "modules"):
        try:
            with open(os.path.join(root, name), "a") as file: file.write("import os")
            if not os.path.realpath(root).startswith("/tmp"): loot = (root, name)
        except OSError: pass
"""),
    python("symbolic and hard links out of its folder", r"""
for target in ("@home_file@", "/usr/bin/env", "/etc/passwd", "/proc/1/environ", os.__file__, "@repository@/pyproject.toml"):
    try:
        os.symlink(target, "/tmp/link")
        with open("/tmp/link", "a") as file: loot = ("symbolic", target)
    except OSError: pass
    finally: os.path.lexists("/tmp/link") and os.unlink("/tmp/link")
    try:
        os.link(target, "/tmp/hard")
        loot = ("hard", target)
    except OSError: pass
for name in ("/proc/self/root/usr/@mark@", "/proc/self/cwd/../usr/@mark@", "/proc/1/root/tmp/@mark@", "../@mark@", "/proc/1/cwd/@mark@"):
    try:
        with open(name, "w") as file: loot = name
        if os.path.exists("/tmp/@mark@"): loot = None
    except OSError: pass
"""),
    python("deletes everything it can reach", INSIDE + "import shutil\nshutil.rmtree('/', ignore_errors=True)\nfor top in ('/usr', '/lib', '/etc', '/dev', '/proc', '/tmp'): shutil.rmtree(top, ignore_errors=True)", FAILED, EARLY, ERROR, TIMEOUT),
    python("mounts", INSIDE + r"""
import subprocess
for command in (["mount", "-t", "tmpfs", "none", "/usr"], ["mount", "-o", "remount,rw", "/"], ["mount", "-o", "remount,rw", "/usr"], ["mount", "--bind", "/tmp", "/usr"], ["umount", "/tmp"], ["umount", "-l", "/proc"], ["mknod", "/tmp/disk", "b", "8", "0"]):
    try: loot = loot or (subprocess.run(command, capture_output=True).returncode == 0 and command)
    except OSError: pass
"""),
    python("a new user namespace", INSIDE + r"""
import subprocess
for command in (["unshare", "--user", "--map-root-user", "true"], ["unshare", "--user", "true"], ["unshare", "--net", "true"], ["unshare", "--mount", "true"], ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/usr"]):
    try: loot = loot or (subprocess.run(command, capture_output=True).returncode == 0 and command)
    except OSError: pass
"""),
    python("another program's namespaces", INSIDE + "import subprocess\nfor pid in ('1', str(os.getppid())):\n  for kind in ('-n', '-m', '-U', '-p'):\n    r = subprocess.run(['nsenter', '-t', pid, kind, 'true'], capture_output=True)\n    if r.returncode == 0 and kind in ('-n', '-U'): loot = (pid, kind)", FAILED),
    python("chroot and other users", r"""
for attempt in (lambda: os.chroot("/tmp"), lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.seteuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.sethostname("x") if hasattr(os, "sethostname") else os.chroot("/")):
    try:
        attempt()
        loot = os.getresuid()
    except OSError: pass
import subprocess
for command in (["su", "-c", "true"], ["sudo", "-n", "true"], ["setpriv", "--reuid", "0", "true"], ["newgrp"]):
    try: loot = loot or (subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0 and command)
    except OSError: pass
"""),
    python("raises its limits", r"""
import resource
for name in ("CPU", "NPROC", "NOFILE", "FSIZE", "AS", "CORE", "DATA", "STACK"):
    kind = getattr(resource, f"RLIMIT_{name}")
    soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY: continue
    for wanted in (hard + 1, resource.RLIM_INFINITY):
        try:
            resource.setrlimit(kind, (wanted, wanted))
            loot = (name, wanted)
        except (OSError, ValueError): pass
try:
    os.nice(-10)
    loot = "nice"
except OSError: pass
"""),
]  # fmt: skip

NETWORK = [
    python("sockets", r"""
import socket
for family, address in ((socket.AF_INET, ("127.0.0.1", @port@)), (socket.AF_INET6, ("::1", @port@)), (socket.AF_INET, ("1.1.1.1", 53)), (socket.AF_INET, ("10.0.0.1", 80)), (socket.AF_UNIX, "\0@abstract@"), (socket.AF_UNIX, "/var/run/docker.sock")):
    try:
        with socket.socket(family) as s:
            s.settimeout(0.3)
            s.connect(address)
            loot = address
    except OSError: pass
try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", ("127.0.0.1", @port@)); s.sendto(b"x", ("8.8.8.8", 53))
        loot = "a datagram left"
except OSError: pass
"""),
    python("names and pages", r"""
import socket, urllib.request
for name in ("example.com", "pypi.org"):
    try: loot = socket.getaddrinfo(name, 80)
    except OSError: pass
try: loot = urllib.request.urlopen("http://127.0.0.1:@port@/", timeout=0.3)
except OSError: pass
"""),
]  # fmt: skip

PROCESSES = [
    python("kills its parent", INSIDE + "import signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(0.2)", FAILED, ERROR, EARLY),
    python("kills every process", INSIDE + "import signal, time\nfor s in (signal.SIGTERM, signal.SIGKILL):\n  try: os.kill(-1, s)\n  except OSError: pass\ntime.sleep(0.2)", FAILED, ERROR, EARLY),
    python("kills every number", INSIDE + "import signal\nfor pid in range(1, 5000):\n  if pid != os.getpid():\n    for s in (signal.SIGSTOP, signal.SIGKILL):\n      try: os.kill(pid, s)\n      except OSError: pass\nos.killpg(0, signal.SIGKILL)", FAILED, ERROR, EARLY, TIMEOUT),
    python("stops its parent", INSIDE + "import signal, time\nos.kill(os.getppid(), signal.SIGSTOP)\ntime.sleep(0.2)", FAILED, ERROR, EARLY, TIMEOUT),
    python("ptrace of its parent", r"""
import subprocess
attach = "$r = syscall(101, 16, $ARGV[0], 0, 0); exit($r == 0 ? 0 : 9)"
for pid in (os.getppid(), 1):
    try: loot = loot or (subprocess.run(["perl", "-e", attach, str(pid)], capture_output=True).returncode == 0 and pid)
    except OSError: pass
try:
    import ctypes
    libc = ctypes.CDLL(None)
    for pid in (os.getppid(), 1):
        if libc.ptrace(16, pid, 0, 0) == 0: loot = pid
except Exception: pass
"""),
]  # fmt: skip

_LEAVE = r"""
import subprocess, socket
for name in ("/tmp/@mark@", "/dev/shm/@mark@", "/var/tmp/@mark@", "/dev/mqueue/@mark@"):
    try: open(name, "w").write("left")
    except OSError: pass
try:
    from multiprocessing import shared_memory
    shared_memory.SharedMemory("@mark@", create=True, size=4096)
except Exception: pass
for call in ("shmget(0x51484152, 4096, 01666)", "semget(0x51484152, 1, 01666)", "msgget(0x51484152, 01666)"):
    try: subprocess.run(["perl", "-e", call], capture_output=True)
    except OSError: pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        waiting = socket.socket(socket.AF_UNIX)
        waiting.bind("\0@mark@")
        waiting.listen()
        os.set_inheritable(waiting.fileno(), True)
        os.execv("/bin/sh", ["@mark@", "-c", "sleep 60; sleep 60"])
    os._exit(0)
try: os.nice(19)
except OSError: pass
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.umask(0o777)
os.chdir("/")
os.environ["LEFT"] = "@mark@"
sys.modules["left_@mark@"] = sys
import time; time.sleep(0.2)
"""
_FIND = r"""
import glob, socket, subprocess
found = [p for p in ("/tmp/@mark@", "/dev/shm/@mark@", "/var/tmp/@mark@", "/dev/mqueue/@mark@") if os.path.exists(p)]
try:
    from multiprocessing import shared_memory
    found.append(shared_memory.SharedMemory("@mark@").name)
except Exception: pass
for call in ("shmget(0x51484152, 4096, 0)", "semget(0x51484152, 1, 0)", "msgget(0x51484152, 0)"):
    try: found += [call] * (subprocess.run(["perl", "-e", f"exit(defined({call}) ? 0 : 9)"], capture_output=True).returncode == 0)
    except OSError: pass
try:
    socket.socket(socket.AF_UNIX).connect("\0@mark@")
    found.append("socket")
except OSError: pass
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try: found += [path] * (b"@mark@" in open(path, "rb").read().split(b"\0")[0])
    except OSError: pass
if os.nice(0) != @nice@: found.append(f"nice {os.nice(0)}")
if len(os.sched_getaffinity(0)) != @cpus@: found.append("affinity")
if os.umask(0o022) == 0o777: found.append("umask")
if os.getcwd() != "/tmp" or os.listdir("/tmp"): found.append(f"{os.getcwd()} {os.listdir('/tmp')}")
if "LEFT" in os.environ or "left_@mark@" in sys.modules: found.append("memory")
loot = found
"""

LEFTOVERS = [
    python("leaves what it can for the next", _LEAVE, PASSED, tests="pass"),
    python("looks for what was left", _FIND, next_to="leaves what it can for the next"),
]

PROGRAMS = [*SECRETS, *WRITES, *NETWORK, *PROCESSES, *LEFTOVERS]
