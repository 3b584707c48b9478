"""Compilers that have read a program's headers before the program comes, in the sandbox.

Each serves the programs that begin with the same `#include <...>` lines: it has compiled these, and forks where the
rest is to be read (`fork_at_open.c`). No program's text reaches the process that goes on. What such a compiler refuses
is no verdict: the caller compiles it once more in the ordinary way.
"""

import os
import re
import select
import shutil
import subprocess

from qharness.plugins.languages.native_settings import SETTINGS

_HEADERS = re.compile(r"(?:[ \t]*(?:#[ \t]*include[ \t]*<[\w./+-]+>[ \t]*)?(?://[^\n]*)?\n)+")
_INCLUDE = re.compile(r"#[ \t]*include[ \t]*<[\w./+-]+>")
_LONGEST_SECONDS = 60.0
_servers = {}


class _ForkingCompiler:
    """A compiler that has read some headers: its folder, its process, and our ends of its pipes."""

    def __init__(self, headers, seconds):
        word = os.urandom(8).hex()
        self.folder = f"/tmp/c{word}"
        os.mkdir(self.folder, 0o700)
        at, also = f"{self.folder}/solution{SETTINGS['suffix']}", f"{self.folder}/{os.urandom(8).hex()}"
        once = f"#ifdef once_{word}\n#error\n#endif\n#define once_{word}\n"
        for line, path in SETTINGS["precompiled"].items():
            if headers.partition("\n")[0] == line:
                headers = f'#include "{path}"\n' + headers.partition("\n")[2]
        text = f'{headers}\n{once}#include "{at}"\n#include "{also}"\n'
        main, out = f"{self.folder}/main{SETTINGS['suffix']}", f"{self.folder}/out"
        with open(main, "w") as file:
            file.write(text)
        asked, self.requests = os.pipe()
        self.answers, answered = os.pipe()
        os.dup2(asked, 50)
        os.dup2(answered, 51)
        names = {"FORK_AT": at, "FORK_AND": also, "FORK_OUT": out, "FORK_SECONDS": str(seconds)}
        self.process = subprocess.Popen(
            [*SETTINGS["compiler"], main, "-o", out],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(50, 51),
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LD_PRELOAD": SETTINGS["preload"], **names},
        )
        for descriptor in (asked, answered, 50, 51):
            os.close(descriptor)
        self.ready = self._answer() == 0
        shutil.rmtree(self.folder)  # what it needs of it is open

    def compile(self, folder):
        """Compile the files `1` and `2` of a folder to `out` there; return the exit status, None if the server died."""
        try:
            os.write(self.requests, f"{folder}\n".encode())
            return self._answer()
        except OSError:
            return None

    def _answer(self):
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self.answers], (), (), _LONGEST_SECONDS)[0]:
                return None
            piece = os.read(self.answers, 20)
            if not piece:
                return None
            line += piece
        return int(line)

    def close(self):
        """End the compiler."""
        self.process.kill()
        self.process.wait()
        os.close(self.requests)
        os.close(self.answers)


def compiled(folder, source, renamed, rest, seconds):
    """Compile a program to the file `out` of `folder`; return whether that went well.

    `renamed`: a line that comes before the source's own, after its headers. `rest`: what comes after the source.
    """
    found = _HEADERS.match(source + "\n")
    headers = "\n".join(dict.fromkeys(_INCLUDE.findall(found[0]))) if found else ""
    for name, text in (("1", f'{renamed}#line 1 "solution{SETTINGS["suffix"]}"\n{source}\n'), ("2", rest)):
        with open(f"{folder}/{name}", "wb") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
    server = _servers.pop(headers, None) or _ForkingCompiler(headers, seconds)
    status = server.compile(folder) if server.ready else None
    if status is None:
        server.close()
        return False
    _servers[headers] = server  # the last used is the last to go
    if len(_servers) > SETTINGS["servers"]:
        _servers.pop(next(iter(_servers))).close()
    return status == 0
