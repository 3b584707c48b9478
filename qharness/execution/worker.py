"""One worker: starts a language's harness in the sandbox, feeds it a program, and judges how it ended."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass

from qharness.errors import SandboxError
from qharness.execution.process import dispose, encoded, kill, start
from qharness.execution.sandbox import Isolation
from qharness.execution.servers import Server, compile_program, run_shared
from qharness.types import Language, Limits, Outcome, Program, Status

_CHUNK = 1 << 16
_REPORT_BYTES = 1 << 16


@dataclass(frozen=True)
class _Ending:
    """What is left of a process: its exit status, what it wrote, the time it took, and why it was killed."""

    exit_status: int
    report: bytes
    output: bytes
    wall_seconds: float
    killed: Status | None


class SandboxWorker:
    """Runs programs of one language. One thread at a time.

    Its compiler, if it has one, stays, and so does the runner of programs that the compiler has found harmless. Every
    other program gets a fresh process.
    """

    def __init__(self, language: Language, isolation: Isolation, limits: Limits | None = None) -> None:
        self._limits = limits or language.limits
        self._isolation = isolation
        self._toolchain = toolchain = language.toolchain(self._limits)
        self._compiler, self._runner = (
            Server(name, command, toolchain, isolation, self._limits) if command else None
            for name, command in (("compiler", toolchain.compiler), ("runner", toolchain.runner))
        )
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, program: Program) -> Outcome:
        """Compile and run `program` to its end or to a limit. Raises SandboxError if it could not be started at all."""
        if self._compiler is None:
            return self._run(program.entry_class, encoded(program.source), encoded(program.tests))
        compiled = compile_program(self._compiler, program)
        if isinstance(compiled, Outcome):
            return compiled
        if compiled.harmless and self._runner is not None:
            outcome = run_shared(self._runner, program.entry_class, compiled.classes)
            if outcome is not None:
                return outcome
        return self._run(program.entry_class, compiled.classes)

    def _run(self, *fields: str) -> Outcome:
        token = secrets.token_hex(16)
        payload = "\n".join((token, *fields)).encode() + b"\n"
        self._process = start(self._isolation.argv(self._toolchain, self._limits))
        try:
            ending = _supervise(self._process, payload, self._limits)
        finally:
            dispose(self._process)
        return _judge(ending, token, self._limits)

    def kill(self) -> None:
        """Kill what runs, with everything it started; any thread may call this."""
        for server in (self._compiler, self._runner):
            if server is not None:
                server.kill()
        if self._process is not None:
            kill(self._process)

    def close(self) -> None:
        """End the worker's own processes."""
        for server in (self._compiler, self._runner):
            if server is not None:
                server.close()


def _supervise(process: subprocess.Popen[bytes], payload: bytes, limits: Limits) -> _Ending:
    """Feed and drain a process until it ends, its wall time is up, or it wrote more than it may."""
    assert process.stdin and process.stdout and process.stderr
    start = time.monotonic()
    buffers = {process.stdout: bytearray(), process.stderr: bytearray()}
    caps = {process.stdout: _REPORT_BYTES, process.stderr: limits.output_bytes}
    killed: Status | None = None
    with selectors.DefaultSelector() as selector:
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        for stream in buffers:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map() and killed is None:
            left = start + limits.wall_seconds - time.monotonic()
            for key, _ in selector.select(max(left, 0)):
                if key.fileobj is process.stdin:
                    payload = _feed(process, payload)
                    if not payload:
                        selector.unregister(process.stdin)
                        with contextlib.suppress(BrokenPipeError):
                            process.stdin.close()
                elif chunk := os.read(key.fd, _CHUNK):
                    buffer = buffers[key.fileobj]  # type: ignore[index]
                    buffer += chunk
                    if len(buffer) > caps[key.fileobj]:  # type: ignore[index]
                        killed = Status.OUTPUT_LIMIT
                else:
                    selector.unregister(key.fileobj)
            if left <= 0:
                killed = Status.TIMEOUT
    if killed:
        kill(process)
    exit_status = process.wait()
    report, output = (bytes(b) for b in buffers.values())
    if exit_status < 0:
        exit_status = 128 - exit_status  # as bwrap reports a signal
    return _Ending(exit_status, report, output, time.monotonic() - start, killed)


def _feed(process: subprocess.Popen[bytes], payload: bytes) -> bytes:
    """Write what the pipe takes, and return what is left; nothing once the reader has gone."""
    assert process.stdin
    try:
        return payload[os.write(process.stdin.fileno(), payload[:_CHUNK]) :]
    except BlockingIOError:
        return payload
    except BrokenPipeError:
        return b""


def _judge(ending: _Ending, token: str, limits: Limits) -> Outcome:
    """The verdict. Only a line that begins with the token counts as the harness's own."""

    def outcome(status: Status, detail: str = "") -> Outcome:
        return Outcome(status, detail, round(ending.wall_seconds, 4))

    own = [
        line.split(" ", 2)[1:]
        for line in ending.report.decode("utf-8", "replace").splitlines()
        if line.startswith(token + " ")
    ]
    if ending.killed is Status.TIMEOUT:
        return outcome(Status.TIMEOUT, f"{limits.wall_seconds:g} s of wall time")
    if ending.killed is Status.OUTPUT_LIMIT:
        return outcome(Status.OUTPUT_LIMIT, f"more than {limits.output_bytes} bytes")
    if not own or own[0][0] != "started":
        said = ending.output.decode("utf-8", "replace").strip().splitlines()
        raise SandboxError(
            f"the sandbox did not start (exit status {ending.exit_status}): {said[-1] if said else 'no message'}"
        )
    if len(own) > 1:
        status, *detail = own[1]
        return outcome(Status(status), detail[0] if detail else "")
    if ending.exit_status > 128:
        received = ending.exit_status - 128
        if received == signal.SIGXCPU or (received == signal.SIGKILL and ending.wall_seconds >= limits.cpu_seconds):
            return outcome(Status.TIMEOUT, f"{limits.cpu_seconds} s of CPU time")
        return outcome(Status.ERROR, f"killed by signal {received}")
    return outcome(Status.EARLY_EXIT, f"exit status {ending.exit_status} before the tests' end")
