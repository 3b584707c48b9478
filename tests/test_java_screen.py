"""Which Java programs may share a JVM, and that those that do see nothing of one another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from qharness import Limits, Program, Status
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.execution import choose_isolation
from qharness.execution.servers import Compiled, compile_program
from qharness.execution.worker import SandboxWorker
from qharness.registry import get_registry
from tests.conftest import REPOSITORY

IMPORTS = "import java.io.*; import java.util.*; import java.util.function.*; import java.util.stream.*; "
LIMITS = Limits(cpu_seconds=20, wall_seconds=30.0, output_bytes=10_000, processes=128)


@pytest.fixture(scope="module")
def worker() -> Iterator[SandboxWorker]:
    started = SandboxWorker(get_registry().language("java"), choose_isolation(), LIMITS)
    yield started
    started.close()


def main(body: str, outside: str = "") -> Program:
    source = f"{IMPORTS} {outside} class Main {{ public static void main(String[] a) throws Exception {{ {body} }} }}"
    return Program("java", source)


def harmless(worker: SandboxWorker, program: Program) -> bool:
    assert worker._compiler
    compiled = compile_program(worker._compiler, program)
    assert isinstance(compiled, Compiled), compiled
    return compiled.harmless


HARMLESS = {
    "lambda": "Function<Integer, Integer> f = x -> x + 1; assert f.apply(1) == 2;",
    "method reference": "Function<Integer, String> f = String::valueOf; assert f.apply(1).equals(\"1\");",
    "streams": "assert IntStream.range(0, 5).boxed().collect(Collectors.toList()).size() == 5;",
    "switch on strings": 'switch ("" + a.length) { case "0": break; default: assert false; }',
    "collections": "Map<String, List<Integer>> m = new TreeMap<>(); m.computeIfAbsent(\"\", k -> new ArrayList<>()).add(1);",
    "arrays": "int[][] x = new int[2][3]; int[] y = x[0].clone(); Arrays.sort(y); assert y.length == 3;",
    "printing": 'System.out.printf("%.2f%n", 1.5); System.err.println(List.of(1));',
    "reading nothing": "assert !new Scanner(System.in).hasNext();",
    "reading a string": 'assert new BufferedReader(new StringReader("x")).readLine().equals("x");',
    "writing to memory": 'StringWriter s = new StringWriter(); new PrintWriter(s).print("x"); assert s.toString().equals("x");',
    "exceptions": "try { Object o = null; o.hashCode(); } catch (NullPointerException e) { System.out.println(e); }",
    "an own class of a generic array": "Object o = java.lang.reflect.Array.newInstance(String.class, 3);",
    "sleep": "Thread.sleep(1);",
    "dates": "assert java.time.LocalDate.of(2024, 2, 29).plusYears(1).getDayOfMonth() == 28;",
    "big numbers": 'assert new java.math.BigInteger("9").pow(20).bitLength() > 60;',
    "tuples": "org.javatuples.Pair<Integer, Integer> p = org.javatuples.Pair.with(1, 2); assert p.getValue0() == 1;",
}  # fmt: skip

HARMFUL = {
    "exit": "System.exit(0);",
    "exit by reference": "IntConsumer f = System::exit; f.accept(0);",
    "halt": "Runtime.getRuntime().halt(0);",
    "thread": "new Thread(() -> {}).start();",
    "current thread": "Thread.currentThread().setName(\"x\");",
    "loader": "Thread.currentThread().getContextClassLoader();",
    "a class's loader": "Main.class.getClassLoader();",
    "parallel": "IntStream.range(0, 9).parallel().sum();",
    "parallelStream": "new ArrayList<Integer>().parallelStream().count();",
    "parallelStream by reference": "Function<List<Integer>, Stream<Integer>> f = List::parallelStream;",
    "a parallel stream of a spliterator": "StreamSupport.stream(new ArrayList<Integer>().spliterator(), true).count();",
    "parallelSort": "Arrays.parallelSort(new int[9]);",
    "parallel map": "new java.util.concurrent.ConcurrentHashMap<Integer, Integer>().forEach(1, (k, v) -> {});",
    "timer": "new Timer(true);",
    "executor": "java.util.concurrent.Executors.newCachedThreadPool();",
    "common pool": "java.util.concurrent.CompletableFuture.runAsync(() -> {});",
    "forName": 'Class.forName("Main");',
    "reflection": "Main.class.getDeclaredMethods();",
    "method handles": "java.lang.invoke.MethodHandles.lookup();",
    "proxy": "java.lang.reflect.Proxy.isProxyClass(Main.class);",
    "unsafe": "sun.misc.Unsafe.getUnsafe();",
    "setOut": "System.setOut(null);",
    "property": 'System.setProperty("line.separator", "x");',
    "reading a property": 'System.getProperty("user.home");',
    "reading a property as a number": 'Integer.getInteger("x"); Long.getLong("x"); Boolean.getBoolean("x");',
    "environment": "System.getenv();",
    "default locale": "Locale.setDefault(Locale.FRANCE);",
    "default time zone": "TimeZone.setDefault(null);",
    "file": 'new File("x").delete();',
    "file stream": 'new FileInputStream("/proc/self/maps");',
    "printing into a file": 'new PrintStream("x");',
    "writing into a file": 'new PrintWriter("x");',
    "formatting into a file": 'new Formatter("x");',
    "scanning a file": 'new Scanner(new File("x"));',
    "descriptor": "new FileOutputStream(FileDescriptor.out).write(1);",
    "path": 'java.nio.file.Files.readAllBytes(java.nio.file.Paths.get("x"));',
    "socket": 'new java.net.Socket("127.0.0.1", 1);',
    "process": 'new ProcessBuilder("true").start();',
    "thread local": "new ThreadLocal<Integer>().set(1);",
    "cleaner": "java.lang.ref.Cleaner.create();",
    "reference": "new java.lang.ref.WeakReference<>(a);",
    "native library": 'System.load("/tmp/x.so");',
    "logging": 'java.util.logging.Logger.getLogger("").setLevel(null);',
    "services": "ServiceLoader.load(Runnable.class);",
    "serialization": "new ObjectOutputStream(new ByteArrayOutputStream()).writeObject(a);",
    "serializable lambda": "Runnable r = (Runnable & Serializable) () -> {};",
    "security": "java.security.Security.getProviders();",
    "stack": "new Exception().getStackTrace();",
    "monitor": "synchronized (a) { a.wait(1); }",
    "catching everything": "try { a.hashCode(); } catch (Throwable t) { }",
    "catching errors": "try { a.hashCode(); } catch (Error t) { }",
    "catching an overflow": "try { a.hashCode(); } catch (StackOverflowError t) { }",
    "finally": "while (true) try { a.hashCode(); } finally { break; }",
    "an overflow hidden by closing a stream": "Stream.of(1).onClose(() -> {}).close();",
    "garbage collection": "System.gc();",
}  # fmt: skip

HARMFUL_CLASSES = {
    "finalizer": "class Other { protected void finalize() { } }",
    "native method": "class Other { native void f(); }",
    "thread by extension": "class Other extends Thread { }",
    "parallel by inheritance": "class Other extends ArrayList<Integer> { long f() { return parallelStream().count(); } }",
    "file by inheritance": 'class Other extends PrintStream { Other() throws Exception { super("x"); } }',
    "loader by extension": "class Other extends ClassLoader { }",
    "recursive task": "class Other extends java.util.concurrent.RecursiveAction { public void compute() { } }",
    "externalizable": "abstract class Other implements Externalizable { }",
}  # fmt: skip

HARMLESS_CLASSES = {
    "record": "record Point(int x, String y) { }",
    "enum": "enum Color { RED { int f() { return 1; } }, BLUE; int f() { return 2; } }",
    "switch on an enum": "enum C { A, B } class Other { int f(C c) { switch (c) { case A: return 1; default: return 2; } } }",
    "own exception": "class Odd extends RuntimeException { Odd(String s, Throwable c) { super(s, c); } }",
    "bounded map": "class Lru extends LinkedHashMap<Integer, Integer> { protected boolean removeEldestEntry(Map.Entry<Integer, Integer> e) { return size() > 3; } }",
    "interface": "interface Shape { double area(); default String text() { return \"\" + area(); } }",
    "iterator": "class Up implements Iterable<Integer> { public Iterator<Integer> iterator() { return List.of(1).iterator(); } }",
    "generics": "class Node<T extends Comparable<T>> { T value; Node<T> next; boolean less(T other) { return value.compareTo(other) < 0; } }",
}  # fmt: skip


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless(worker: SandboxWorker, case: str) -> None:
    assert harmless(worker, main(HARMLESS[case]))
    outcome = worker.run(main(HARMLESS[case]))
    assert outcome.passed, outcome


@pytest.mark.parametrize("case", HARMFUL)
def test_not_harmless(worker: SandboxWorker, case: str) -> None:
    assert not harmless(worker, main(HARMFUL[case]))


@pytest.mark.parametrize("case", [*HARMLESS_CLASSES, *HARMFUL_CLASSES])
def test_classes(worker: SandboxWorker, case: str) -> None:
    version = get_registry().language("java").toolchain(LIMITS).version
    if case == "record" and int(version.split(".")[0]) < 16:
        pytest.skip(f"needs a JDK with records: this is {version}")
    classes = {**HARMLESS_CLASSES, **HARMFUL_CLASSES}
    assert harmless(worker, main("", classes[case])) == (case in HARMLESS_CLASSES)


def test_a_class_in_a_package_could_hide_the_jdks(worker: SandboxWorker) -> None:
    assert not harmless(worker, Program("java", f"package any; {main('').source}", entry_class="any.Main"))


def test_references_are_harmless(worker: SandboxWorker, data_dir: Path) -> None:
    """Nearly all that a model is expected to write shares a JVM."""
    (task,) = load_task("mceval-java", data_dir).tasks.values()
    lines = (REPOSITORY / "tasks/tiny/tiny-java.jsonl").read_text().splitlines()
    docs = [*task.eval_docs, *map(json.loads, lines)]
    found = [
        harmless(worker, Program("java", doc["prompt"] + doc["canonical_solution"], doc["tests"], doc["entry_class"]))
        for doc in docs
    ]
    assert len(found) > 150 and sum(found) >= len(found) - 1


def runner_of(worker: SandboxWorker) -> int:
    assert worker._runner and worker._runner._process
    return worker._runner._process.pid


def test_one_process_runs_them_and_they_share_nothing(worker: SandboxWorker) -> None:
    counter = "class Main {{ static int n; public static void main(String[] a) {{ n++; assert n == {}; }} }}"
    closes = main('System.out.close(); System.err.close(); System.in.close(); System.out.println("x");')
    prints = main('System.out.print("x"); assert !System.out.checkError() && System.in.read() == -1;')
    programs = [Program("java", counter.format(1)), Program("java", counter.format(2)), closes, prints]
    first = (worker.run(main("")), runner_of(worker))[1]
    statuses = [worker.run(program).status for program in (*programs, programs[0])]
    assert statuses == [Status.PASSED, Status.FAILED, Status.PASSED, Status.PASSED, Status.PASSED]
    assert runner_of(worker) == first


SHARED_VERDICTS = {
    "exception": ('throw new IllegalStateException("the detail");', Status.ERROR),
    "assertion": ("assert false : 7;", Status.FAILED),
    "overflow": ("new Object() { int f() { return f() + 1; } }.f();", Status.ERROR),
    "memory": ("List<long[]> l = new ArrayList<>(); while (true) l.add(new long[1 << 24]);", Status.OUT_OF_MEMORY),
    "output": ('while (true) System.out.println("xxxxxxxxx");', Status.OUTPUT_LIMIT),
    "a class that fails to start": ("new Other();", Status.ERROR),
}  # fmt: skip


@pytest.mark.parametrize("case", SHARED_VERDICTS)
def test_verdicts_are_those_of_a_fresh_process(worker: SandboxWorker, case: str) -> None:
    """And the next program finds a runner that works."""
    body, status = SHARED_VERDICTS[case]
    program = main(body, "class Other { static int x = 1 / 0; }")
    assert harmless(worker, program)
    outcome = worker.run(program)
    assert outcome.status is status, outcome
    assert worker.run(main("assert true;")).passed
    assert worker._compiler
    if status in (Status.ERROR, Status.FAILED):
        compiled = compile_program(worker._compiler, program)
        assert isinstance(compiled, Compiled)
        assert worker._run("", compiled.classes).detail == outcome.detail


def test_a_runner_that_died_is_replaced(worker: SandboxWorker) -> None:
    assert worker.run(main("")).passed
    assert worker._runner and worker._runner._process
    worker._runner._process.kill()
    worker._runner._process.wait()
    assert worker.run(main("assert false;")).status is Status.FAILED


@pytest.mark.parametrize(
    ("body", "limits", "why"),
    [
        ("while (true) { }", Limits(cpu_seconds=1, wall_seconds=30.0, processes=128), "1 s of CPU time"),
        ("Thread.sleep(60_000);", Limits(cpu_seconds=20, wall_seconds=5.0, processes=128), "5 s of wall time"),
    ],
)
def test_time_is_limited_in_the_runner(body: str, limits: Limits, why: str) -> None:
    worker = SandboxWorker(get_registry().language("java"), choose_isolation(), limits)
    outcome = worker.run(main(body))
    worker.close()
    assert (outcome.status, outcome.detail) == (Status.TIMEOUT, why)
