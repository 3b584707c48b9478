"""The checker of JavaScript: it passes lines between a program and the process of the tests, which alone judges.

SETTINGS, a constant of the module `javascript_settings`, holds `tests` (the command of the tests' process)
and `environment` (what is added to its environment).
"""

import itertools
import json
import os
import select
import subprocess

from qharness.plugins.languages.javascript_settings import SETTINGS

_LONGEST = 64 << 20
_MOST_PROGRAMS = 500  # that one process of tests serves
_numbers = itertools.count(1)


class _Tests:
    """The process of the tests, and the number of programs that it has served."""

    process = None
    served = 0


def check(job, channel, cpu_seconds):
    """Have a job's `source` and `tests` judged, and return (status, detail, in process)."""
    number = str(next(_numbers))
    node = _tests_process()
    texts = {"source": job["source"], "tests": job["tests"], "token": os.urandom(16).hex()}
    _write(node.stdin.fileno(), f"job {number} {json.dumps(texts)}\n".encode())
    said, heard = _Lines(node.stdout.fileno()), _Lines(channel)
    open_ = True
    while True:
        ready = select.select([node.stdout, channel] if open_ else [node.stdout], (), ())[0]
        if node.stdout in ready:
            for line in said.read():
                word, to, text = line.split(b" ", 2)
                if to != number.encode():
                    continue
                if word == b"end":
                    status, detail, in_process = json.loads(text)
                    return status, detail[:300], in_process
                open_ = open_ and _written(channel, text + b"\n")
        if open_ and channel in ready:
            lines = heard.read()
            for line in lines or ():
                _write(node.stdin.fileno(), b"from %s %s\n" % (number.encode(), line))
            open_ = lines is not None
        if not open_:
            _write(node.stdin.fileno(), f"gone {number}\n".encode())


def _written(channel, data):
    """Write to the program; return whether it is still there."""
    try:
        _write(channel, data)
    except OSError:
        return False
    return True


def _tests_process():
    if _Tests.process is None or _Tests.served >= _MOST_PROGRAMS:
        if _Tests.process is not None:
            _Tests.process.kill()
            _Tests.process.wait()
        _Tests.process = subprocess.Popen(
            SETTINGS["tests"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | SETTINGS["environment"],
        )
        _Tests.served = 0
    _Tests.served += 1
    return _Tests.process


class _Lines:
    """Lines that arrive on a descriptor."""

    def __init__(self, descriptor):
        self._descriptor, self._kept = descriptor, b""

    def read(self):
        """Return the lines that are whole after one more piece; None at the end, or where a line is too long."""
        try:
            piece = os.read(self._descriptor, 1 << 20)
        except OSError:
            piece = b""
        if not piece or len(self._kept) > _LONGEST:
            return None
        *lines, self._kept = (self._kept + piece).split(b"\n")
        return lines


def _write(descriptor, data):
    data = memoryview(data)
    while data:
        data = data[os.write(descriptor, data) :]
