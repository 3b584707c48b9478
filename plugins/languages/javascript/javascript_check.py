"""The checker of JavaScript: it passes lines between a program and the process of the tests, which alone judges.

SETTINGS, a constant of the module `javascript_settings`, holds `tests` (the command of the tests' process).
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
    """Send a job's `source` to the program, have its `tests` run, and return (status, detail, in process)."""
    token = os.urandom(16).hex()
    first = {"source": job["source"], "tests": bool(job["tests"]), "token": token}
    try:
        _write(channel, json.dumps(first).encode() + b"\n")
    except OSError:
        return "gone", "", False
    return _judged(job["tests"], channel) if job["tests"] else _whole(channel, token)


def _whole(channel, token):
    """Return the verdict on a program without tests, which signs its own end."""
    lines = _Lines(channel)
    while (line := lines.next()) is not None:
        try:
            word, status, said = json.loads(line)
        except ValueError:
            continue
        if word == "end" and status == "passed" and said == token:
            return "passed", "", True
        if word == "end" and status in ("failed", "error", "compile-error"):
            return status, str(said)[:300], status != "compile-error"
    return "gone", "", True


def _judged(tests, channel):
    number = str(next(_numbers))
    node = _tests_process()
    _write(node.stdin.fileno(), f"job {number} {json.dumps({'tests': tests})}\n".encode())
    said, heard = _Lines(node.stdout.fileno()), _Lines(channel)
    open_ = True
    while True:
        reading = [node.stdout, channel] if open_ else [node.stdout]
        ready = select.select(reading, (), ())[0]
        if node.stdout in ready:
            for line in said.read():
                word, to, text = line.split(b" ", 2)
                if to != number.encode():
                    continue
                if word == b"end":
                    status, detail, in_process = json.loads(text)
                    return status, detail[:300], in_process
                try:
                    _write(channel, text + b"\n")
                except OSError:
                    open_ = False
                    _write(node.stdin.fileno(), f"gone {number}\n".encode())
        if open_ and channel in ready:
            lines = heard.read()
            for line in lines or ():
                _write(node.stdin.fileno(), b"from %s %s\n" % (number.encode(), line))
            if lines is None:
                open_ = False
                _write(node.stdin.fileno(), f"gone {number}\n".encode())


def _tests_process():
    if _Tests.process is None or _Tests.served >= _MOST_PROGRAMS:
        if _Tests.process is not None:
            _Tests.process.kill()
            _Tests.process.wait()
        _Tests.process = subprocess.Popen(SETTINGS["tests"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        _Tests.served = 0
    _Tests.served += 1
    return _Tests.process


class _Lines:
    """Lines that arrive on a descriptor."""

    def __init__(self, descriptor):
        self._descriptor, self._kept, self._ready = descriptor, b"", []

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

    def next(self):
        """Return the next line; None at the end."""
        while not self._ready:
            lines = self.read()
            if lines is None:
                return None
            self._ready = lines
        return self._ready.pop(0)


def _write(descriptor, data):
    data = memoryview(data)
    while data:
        data = data[os.write(descriptor, data) :]
