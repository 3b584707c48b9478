"""The compiler that stays: it serves many programs, and one program cannot take it from the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from qharness import Limits, Program, SandboxError, Status
from qharness.execution import choose_isolation
from qharness.execution.servers import Server, compile_program
from qharness.execution.worker import SandboxWorker
from qharness.registry import get_registry

GOOD = Program("java", "class Main { public static void main(String[] a) { assert a.length == 0; } }")
BAD = Program("java", "class Main { public static void main(String[] a) { assert a.length == 1; } }")
BROKEN = Program("java", "class Main { oops }")
DEEP = Program("java", "class Main { int x = " + "(" * 20_000 + "1" + ")" * 20_000 + "; }")


@pytest.fixture
def worker() -> SandboxWorker:
    return SandboxWorker(get_registry().language("java"), choose_isolation())


def test_serves_many_programs_and_stays(worker: SandboxWorker) -> None:
    statuses = [worker.run(program).status for program in (GOOD, BROKEN, BAD, GOOD)]
    assert statuses == [Status.PASSED, Status.COMPILE_ERROR, Status.FAILED, Status.PASSED]
    assert worker._compiler and worker._compiler._process
    first = worker._compiler._process.pid
    assert worker.run(GOOD).passed
    assert worker._compiler._process.pid == first
    worker.close()
    assert not Path(f"/proc/{first}").exists()


def test_what_overflows_the_compiler_is_a_compile_error(worker: SandboxWorker) -> None:
    outcome = worker.run(DEEP)
    assert outcome.status is Status.COMPILE_ERROR, outcome
    assert worker.run(GOOD).passed
    worker.close()


def test_a_compiler_that_died_is_replaced(worker: SandboxWorker) -> None:
    assert worker.run(GOOD).passed
    assert worker._compiler and worker._compiler._process
    worker._compiler._process.kill()
    worker._compiler._process.wait()
    assert worker.run(BAD).status is Status.FAILED
    worker.close()


def test_a_program_sees_no_class_of_the_one_before(worker: SandboxWorker) -> None:
    helper = Program("java", "class Helper { static int x = 1; } class Main { public static void main(String[] a) {} }")
    user = Program("java", "class Main { public static void main(String[] a) { assert Helper.x == 1; } }")
    assert worker.run(helper).passed
    assert worker.run(user).status is Status.COMPILE_ERROR
    worker.close()


def test_a_program_may_use_a_name_that_an_earlier_one_gave_a_class(worker: SandboxWorker) -> None:
    """The compiler keeps the JDK's classes from one program to the next, and no program's."""
    main = "class Main { public static void main(String[] a) { %s } }"
    own = Program("java", "class String { } class List<T> { } " + main.replace("String[]", "java.lang.String[]") % "")
    jdk = Program("java", "import java.util.*; " + main % 'List<String> x = List.of("y"); assert x.size() == 1;')
    broken = Program("java", "interface List { oops }")
    assert worker.run(own).passed
    assert worker.run(jdk).passed
    assert worker.run(broken).status is Status.COMPILE_ERROR
    assert worker.run(jdk).passed
    worker.close()


def test_annotation_processors_do_not_run(worker: SandboxWorker) -> None:
    """A processor in the program's own source is neither found nor run."""
    source = (
        "import java.util.Set; import javax.annotation.processing.*; import javax.lang.model.element.TypeElement;"
        "public class Main extends AbstractProcessor {"
        "  public boolean process(Set<? extends TypeElement> s, RoundEnvironment e) { System.exit(0); return true; }"
        "  public static void main(String[] a) {} }"
    )
    assert worker.run(Program("java", source)).passed
    assert worker.run(GOOD).passed
    worker.close()


def test_a_compilation_that_takes_too_long_is_a_timeout() -> None:
    limits = Limits(wall_seconds=1e-4, cpu_seconds=20, processes=128)  # stretched twentyfold at most
    worker = SandboxWorker(get_registry().language("java"), choose_isolation(), limits)
    assert worker.run(GOOD).status is Status.TIMEOUT
    worker.close()


def test_a_compiler_that_cannot_start_is_no_verdict() -> None:
    argv = choose_isolation().serving(("sh", "-c", "echo no such compiler >&2"), (), Limits())
    server = Server("compiler", argv, 5.0)
    with pytest.raises(SandboxError, match="no such compiler"):
        compile_program(server, GOOD)
