"""Java programs after one that upsets the compiler or the JVM that they share: their verdicts are as when alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qharness import Program, SandboxError, Status
from qharness.api.languages import Limits
from qharness.execution import choose_isolation
from qharness.execution.process import encoded
from qharness.execution.servers import Compiled, Server, StrayLineError, compile_program
from qharness.execution.worker import SandboxWorker
from qharness.registry import get_registry

IMPORTS = "import java.util.*; import java.time.*; import java.time.format.*; "


def main(body: str, outside: str = "", head: str = IMPORTS) -> Program:
    return Program("java", f"{head}{outside} class Main {{ public static void main(String[] a) {{ {body} }} }}")


PASSES = main('List<String> x = List.of("y"); assert x.get(0).equals("y") : x;')
FAILS = main('assert List.of(1).isEmpty() : "one";')
THROWS = main("Object o = null; o.hashCode();")
MISSES = main("Nowhere.f();")
IMPORTS_MISSING = main("", head="import far.away.*; ")
APART = Program("java", "class Problem { static int f() { return 1; ", "} public static void main(String[] a) { assert f() == 1; } }", "Problem")  # fmt: skip
WRONG_APART = Program("java", "class Problem { static int f() { return 2; ", "} public static void main(String[] a) { assert f() == 1; } }", "Problem")  # fmt: skip
HONEST = {
    PASSES: Status.PASSED,
    FAILS: Status.FAILED,
    THROWS: Status.ERROR,
    MISSES: Status.COMPILE_ERROR,
    IMPORTS_MISSING: Status.COMPILE_ERROR,
    APART: Status.PASSED,
    WRONG_APART: Status.FAILED,
}
_NESTED = "(" * 20_000 + "1" + ")" * 20_000
_FOLDED = "".join(f"static final String {b} = {a} + {a} + {a} + {a};" for a, b in zip("ABCDEF", "BCDEFG", strict=True))
LOCALES = 'for (int i = 0; i < %d; i++) DateTimeFormatter.ofPattern("EEEE MMMM G", new Locale("en", "US", "%s" + i)).format(LocalDate.of(2024, 1, 1));'
UPSETTING = {
    "a constant of more than 65,535 bytes": main("", f'class Folded {{ static final String A = "éééééééé"; {_FOLDED} }}'),
    "a class with too large a method": main("", "class Large { static int[] x = {" + "1," * 20_000 + "}; }"),
    "an expression that overflows javac": main(f"int x = {_NESTED};"),
    "an overflow after an error": main(f"int y = oops; int x = {_NESTED};"),
    "an endless type": main("", "class N<Z> { } class C<X> extends N<N<? super C<C<X>>>> { N<? super C<Byte>> f(C<Byte> c) { return c; } }"),
    "a package": Program("java", "package far.away; public class Near { public static void main(String[] a) { } }", "", "far.away.Near"),
    "a package of the JDK's": Program("java", "package java.util; public class List { public static void main(String[] a) { } }", "", "java.util.List"),
    "classes of the JDK's names": main("", "class List { } class Object { } class Integer { }", head=""),
    "many locales": main(LOCALES % (300, "u")),
    "an overflowing stack": main("new java.util.ArrayList<Object>() { public int hashCode() { return hashCode() + 1; } }.hashCode();"),
    "an exception that cannot be told": main("throw new RuntimeException() { public String toString() { return toString(); } };"),
    "a negative length of output": main("System.out.write(new byte[1], 0, -1000000000);"),
}  # fmt: skip


@pytest.fixture(scope="module")
def worker() -> Iterator[SandboxWorker]:
    started = SandboxWorker(get_registry().language("java"), choose_isolation())
    yield started
    started.close()


@pytest.mark.parametrize("upsetting", UPSETTING)
def test_programs_end_as_when_alone(worker: SandboxWorker, upsetting: str) -> None:
    worker.run(UPSETTING[upsetting])
    assert {program: worker.run(program).status for program in HONEST} == HONEST


def servers(worker: SandboxWorker) -> list[Server]:
    assert worker._compiler and worker._runner and worker._confirmer
    return [worker._compiler, worker._runner, worker._confirmer]


@pytest.mark.parametrize("which", range(3), ids=["compiler", "runner", "confirmer"])
def test_an_answer_that_nobody_asked_for_shifts_none(worker: SandboxWorker, which: int) -> None:
    """A server gets one request too many: what it says to that is taken for no answer to the next."""
    assert worker.run(PASSES).passed and worker.run(FAILS).status is Status.FAILED
    server = servers(worker)[which]
    compiled = compile_program(servers(worker)[0], PASSES)
    assert isinstance(compiled, Compiled) and server._process and server._process.stdin
    fields = ["Main", encoded(PASSES.source), ""] if which == 0 else ["Main", compiled.classes]
    server._process.stdin.write("\n".join(["word", *fields, ""]).encode())
    server._process.stdin.flush()
    assert {program: worker.run(program).status for program in HONEST} == HONEST


def test_what_rambles_from_the_start_is_no_verdict() -> None:
    argv = choose_isolation().serving(("sh", "-c", "echo ready; while read x; do echo ok; done"), (), Limits())
    server = Server("compiler", argv, 5.0)
    with pytest.raises(StrayLineError):
        server.answer("x")
    with pytest.raises(SandboxError, match="what it was not asked"):
        compile_program(server, PASSES)


def test_a_shared_jvm_that_is_worn_is_replaced(worker: SandboxWorker) -> None:
    _, runner, _ = servers(worker)
    assert worker.run(PASSES).passed and runner._process
    before = runner._process.pid
    assert all(worker.run(main(LOCALES % (1500, f"of{number}v"))).passed for number in range(2))
    assert worker.run(PASSES).passed and runner._process and runner._process.pid != before


def test_a_failure_is_confirmed_by_another_jvm(worker: SandboxWorker) -> None:
    _, runner, confirmer = servers(worker)
    for program, status in ((FAILS, Status.FAILED), (THROWS, Status.ERROR)):
        assert worker.run(program).status is status
    assert runner._process and confirmer._process and runner._process.pid != confirmer._process.pid
    answered = confirmer._answered
    assert worker.run(PASSES).passed and confirmer._answered == answered
