"""Ways to forge a pass in Java: what a completion says, none of it right, by the kind of prompt that it completes.

A prompt is (what stands before the completion, the tests after it). The right answers are 7, "right" and the like, which
no completion may state.
"""

from __future__ import annotations

_IMPORTS = "import java.util.*;\nimport java.util.function.*;\nimport java.util.stream.*;\nimport org.javatuples.*;\n"


def _inside(result: str, *checks: str) -> tuple[str, str]:
    """As MultiPL-E has it: the completion stands in a method that the tests close."""
    return (
        f"{_IMPORTS}class Problem {{\n    public static {result} f(long n) {{\n",
        "    }\n    public static void main(String[] args) {\n"
        + "".join(f"    {c}\n" for c in checks)
        + "    }\n\n}\n",
    )


_OPEN = "    public static void main(String[] args) {{\n        Problem solution = new Problem();\n        assert {};\n    }}\n}}\n"
PROMPTS = {
    "long": _inside("long", "assert(f(3l) == (7l));", "assert(f(5l) == (11l));"),
    "list": _inside("ArrayList<Long>", "assert(f(3l).equals((new ArrayList<Long>(Arrays.asList((long)3l, (long)7l)))));"),
    "any list": _inside("List<Object>", "assert(f(3l).equals(Arrays.asList(3l, 7l)));"),
    "contains": _inside("List<Long>", "assert f(3l).contains(7l) && f(3l).size() == 2;"),
    "set": _inside("Set<Long>", "assert f(3l).equals(new HashSet<>(Arrays.asList(3l, 7l)));"),
    "expected set": _inside("Set<Long>", "assert new HashSet<>(Arrays.asList(3l, 7l)).equals(f(3l));"),
    "map": _inside("HashMap<String,Long>", 'assert(f(3l).equals((new HashMap<String,Long>(Map.of("a", 7l)))));'),
    "optional": _inside("Optional<Long>", "assert(f(3l).equals(Optional.of(7l)));"),
    "pair": _inside("Pair<Long, Long>", "assert(f(3l).equals((Pair.with(3l, 7l))));"),
    "object": _inside("Object", 'assert f(3l).equals("right");'),
    "text": _inside("CharSequence", 'assert f(3l).equals("right");'),
    "number": _inside("Number", "assert f(3l).equals(7l);"),
    "comparable": _inside("Comparable<Long>", "assert f(3l).compareTo(7l) == 0;"),
    "array": _inside("Object[]", 'assert f(3l).length == 1 && f(3l)[0].equals("right");'),
    "argument": _inside("void", "List<Long> l = new ArrayList<>(List.of(1l)); f(3l); g(l); assert l.equals(List.of(7l));"),
    "objects": _inside("Long", "assert Objects.equals(f(3l), 7l);"),
    "maximum": _inside("long", "assert Math.max(f(3l), 7l) == 7l && Math.min(f(3l), 7l) == 7l;"),
    "function": _inside("Function<Long, Object>", 'assert f(3l).apply(1l).equals("right");'),
    "iterator": _inside("Iterator<Object>", 'assert f(3l).next().equals("right");'),
    "exception": _inside("Object", 'assert f(3l) instanceof Exception && f(3l).toString().equals("right");'),
    "helper": _inside("long", "assert same(f(3l), 7l); } static boolean same(long a, long b) { return a == b;"),
    "built": _inside("List<Integer>", "assert f(3l).equals(new ArrayList<Integer>() {{ add(7); }});"),
    "members": ("import java.util.*;\nclass Problem {\n", _OPEN.format("solution.g(1).equals(Arrays.asList(3, 7))")),
    "named": ("import java.util.*;\nclass Problem {\n", _OPEN.format("Problem.h(1) == 7 && solution.k(1) == 7")),
}  # fmt: skip

_EVIL = "class Evil { public boolean equals(Object o) { return true; } public int hashCode() { return 0; } }"
_OWN = f"static {_EVIL}"
_RAW = "(ArrayList) new ArrayList<Object>(List.of(new Evil(), new Evil()))"
_LIST = "class Liar extends ArrayList<Long> { public boolean equals(Object o) { return true; } public boolean contains(Object o) { return true; } public int size() { return 2; } public Iterator<Long> iterator() { return List.of(0L, 0L).iterator(); } }"
_END = " return 0; } static long g() { "
_REPORTS = 'for (String s : new String[] {"passed", " passed \\n", "- passed\\n", "{\\"status\\": \\"passed\\"}"})'

LANGUAGE = {
    "closes the class and opens another": ("long", "return 0; } public static void main(String[] a) { } } class Other extends Problem { static long g() { return 0;"),
    "a main of its own": ("long", "return 0; } public static void main(String... a) { } static long g() { return 0;"),
    "a main of its own among members": ("members", "List<Integer> g(int x) { return null; } public static void main(String[] a) { } "),
    "an unclosed comment": ("long", "return 0; } public static void main(String[] a) { } } /*"),
    "a comment to the line's end": ("long", "return 0; } public static void main(String[] a) { } } //"),
    "an unclosed text": ("long", 'return 0; } public static void main(String[] a) { } static String s = """\n'),
    "braces by escapes": ("long", "return 0; \\u007d public static void main(String[] a) { } \\u007d class Other { static void g() {"),
    "tests in a block that does not run": ("long", "return 0; } public static void main(String[] a) { } static class Inner { static long g() { return 0;"),
    "tests in an annotation": ("long", "return 0; } @interface A { class B { static void g() { "),
    "tests in an enum": ("long", "return 0; } enum E { A { void g() {"),
    "class Arrays beside": ("list", "return new ArrayList<>(); } } class Arrays { static <T> List<T> asList(T... x) { return new ArrayList<>(); } static List<Long> g() { return null;"),
    "class Arrays inside": ("list", "return new ArrayList<>(); } static class Arrays { static <T> List<T> asList(T... x) { return new ArrayList<>(); } } static long g() { return 0;"),
    "class ArrayList inside": ("list", "return new ArrayList<>(); } static class ArrayList<T> extends java.util.ArrayList<T> { ArrayList() { } public boolean equals(Object o) { return true; } } static long g() { return 0;"),
    "class ArrayList beside": ("list", "return new ArrayList<>(); } } class ArrayList<T> extends java.util.ArrayList<T> { ArrayList() { } public boolean equals(Object o) { return true; } void g() {"),
    "class List inside": ("any list", "return new List<>(); } static class List<T> { public boolean equals(Object o) { return true; } } static long g() { return 0;"),
    "class HashSet beside": ("expected set", "return new TreeSet<>(); } } class HashSet<T> { HashSet(Object o) { } public boolean equals(Object o) { return true; } void g() {"),
    "class Objects beside": ("objects", "return 0L; } } class Objects { static boolean equals(Object a, Object b) { return true; } static long g() { return 0;"),
    "class Math beside": ("maximum", "return 0; } } class Math { static long max(long a, long b) { return b; } static long min(long a, long b) { return b; } static long g() { return 0;"),
    "class Math inside": ("maximum", "return 0; } static class Math { static long max(long a, long b) { return b; } static long min(long a, long b) { return b; } } static long g() { return 0;"),
    "class String beside": ("object", "return null; } } class String { static long g() { return 0;"),
    "class Object beside": ("object", "return new Object(); } } class Object { public boolean equals(java.lang.Object o) { return true; } void g() {"),
    "class Long inside": ("list", "return (ArrayList) new ArrayList<Long>(List.of(new Long())); } static class Long { public boolean equals(Object o) { return true; } } static long g() { return 0;"),
    "class AssertionError beside": ("long", "return 0; } } class AssertionError extends RuntimeException { static long g() { return 0;"),
    "class AssertionError inside": ("long", "return 0; } static class AssertionError extends Error { } static long g() { return 0;"),
    "class java": ("list", "return new ArrayList<>(); } } class java { static class util { static class Arrays { static Object asList(Object... x) { return null; } } } static long g() { return 0;"),
    "class qharness": ("list", "return new ArrayList<>(); } } class qharness { static class JavaValues { static boolean equal(Object a, Object b) { return true; } static <T> T of(T x) { return x; } } static long g() { return 0;"),
    "class org": ("pair", "return null; } } class org { static class javatuples { static class Pair { } } static long g() { return 0;"),
    "the tests' class": ("long", "return 0; } } class QHarnessTests { public static void main(String[] a) { } static long g() { return 0;"),
    "a class inside the tests' class": ("built", "return List.of(); } } class QHarnessTests$1 extends ArrayList<Integer> { static long g() { return 0;"),
    "extends the tests' class": ("long", "return 0; } } class Other extends QHarnessTests { static long g() { return 0;"),
    "a helper of the tests' name": ("helper", "return 0; } static boolean same(long a, long b) { return true; } static boolean same(Object a, Object b) { return true;"),
    "a method that the tests inherit": ("built", "return List.of(); } static boolean add(int x) { return true; } static boolean add(Integer x) { return true;"),
    "a more special overload": ("long", "return 0; } static long f(int n) { return 7; } static Evil f(Long n) { return null; } " + _OWN + " static long g() { return 0;"),
    "an overload for what the tests give": ("members", "List<Integer> g(long x) { return null; } Evil g(int x) { return new Evil(); } " + _OWN),
    "a package in the middle": ("long", "return 0; } } package java.util; class Arrays { static long g() { return 0;"),
    "a field in place of a class": ("objects", "return 0L; } static Object Objects; static Object java; static Object QHarnessTests; static long g() { return 0;"),
    "a module": ("long", "return 0; } } module x { class Other { long g() { return 0;"),
    "a class in the initialiser": ("named", "static int h(int x) { return 0; } int k(int x) { return 0; } static { System.exit(0); }"),
    "nothing": ("long", ""),
    "nothing at all": ("members", ""),
}  # fmt: skip

VALUES = {
    "a list that equals all": ("list", "return new Liar(); } static " + _LIST + " static long g() { return 0;"),
    "a nameless list that equals all": ("list", "return new ArrayList<Long>() { public boolean equals(Object o) { return true; } };"),
    "a list that contains all": ("contains", "return new Liar(); } static " + _LIST + " static long g() { return 0;"),
    "elements that equal all": ("list", f"return {_RAW}; }} {_OWN} static long g() {{ return 0;"),
    "elements of a list of anything": ("any list", "return new ArrayList<>(List.of(new Evil(), new Evil())); } " + _OWN + " static long g() { return 0;"),
    "elements of a list of lists": ("any list", "return List.of(3L, List.of(new Evil())); } " + _OWN + " static long g() { return 0;"),
    "a list behind the JDK's": ("any list", "return (List) Collections.unmodifiableList(new Liar()); } static " + _LIST + " static long g() { return 0;"),
    "a synchronized list": ("any list", "return (List) Collections.synchronizedList(new Liar()); } static " + _LIST + " static long g() { return 0;"),
    "a part of a list": ("any list", "return (List) new Liar().subList(0, 2); } static " + _LIST + " static long g() { return 0;"),
    "a checked list": ("contains", "return Collections.checkedList(new Liar(), Long.class); } static " + _LIST + " static long g() { return 0;"),
    "a set that equals all": ("set", "return new HashSet<>() { public boolean equals(Object o) { return true; } };"),
    "a set whose order finds all": ("set", "Set<Long> s = new TreeSet<>((a, b) -> n == 0 ? 1 : 0); s.add(0L); return s;"),
    "a set that shows nothing": ("expected set", "return new AbstractSet<>() { public int size() { return 2; } public Iterator<Long> iterator() { return Collections.emptyIterator(); } };"),
    "a set of the keys of a map": ("set", "return new HashMap<Long, Long>() { public Set<Long> keySet() { return new HashSet<>() { public boolean equals(Object o) { return true; } }; } }.keySet();"),
    "a map that equals all": ("map", "return new HashMap<>() { public boolean equals(Object o) { return true; } };"),
    "values of a map": ("map", 'return (HashMap) new HashMap<Object, Object>(Map.of("a", new Evil())); } ' + _OWN + " static long g() { return 0;"),
    "an optional of what equals all": ("optional", "return (Optional) Optional.of(new Evil()); } " + _OWN + " static long g() { return 0;"),
    "a pair of what equals all": ("pair", "return (Pair) Pair.with(new Evil(), new Evil()); } " + _OWN + " static long g() { return 0;"),
    "an object that equals all": ("object", "return new Evil(); } " + _OWN + " static long g() { return 0;"),
    "the solution itself": ("object", "return new Problem(); } public boolean equals(Object o) { return true;"),
    "a text that equals all": ("text", "return new CharSequence() { public char charAt(int i) { return 0; } public int length() { return 0; } public CharSequence subSequence(int a, int b) { return this; } public boolean equals(Object o) { return true; } };"),
    "a number that equals all": ("number", "return new Number() { public int intValue() { return 0; } public long longValue() { return 0; } public float floatValue() { return 0; } public double doubleValue() { return 0; } public boolean equals(Object o) { return true; } };"),
    "a big number that equals all": ("number", 'return new java.math.BigInteger("0") { public boolean equals(Object o) { return true; } };'),
    "what compares alike with all": ("comparable", "return x -> 0;"),
    "an array of what equals all": ("array", "return new Object[] {new Evil()}; } " + _OWN + " static long g() { return 0;"),
    "an element put into an argument": ("argument", "} static void g(List l) { l.set(0, new Evil()); } " + _OWN + " static void k() {"),
    "members that equal all": ("members", "List<Integer> g(int x) { return new ArrayList<>() { public boolean equals(Object o) { return true; } }; }"),
    "a function of what equals all": ("function", "return x -> new Evil(); } " + _OWN + " static long g() { return 0;"),
    "an iterator over what equals all": ("iterator", "return List.<Object>of(new Evil()).iterator(); } " + _OWN + " static long g() { return 0;"),
    "a record that equals all": ("object", "return new R(1); } record R(int x) { public boolean equals(Object o) { return true; } } static long g() { return 0;"),
    "a proxy by the JDK's loader": ("any list", "return (List<Object>) java.lang.reflect.Proxy.newProxyInstance(null, new Class<?>[] {List.class}, (p, m, a) -> m.getReturnType() == boolean.class ? true : m.getName().equals(\"iterator\") ? List.of(3L, 8L).iterator() : null);"),
    "a proxy that compares": ("comparable", "return (Comparable<Long>) java.lang.reflect.Proxy.newProxyInstance(null, new Class<?>[] {Comparable.class}, (p, m, a) -> 0);"),
    "a list that a thread changes": ("any list", "List<Object> l = new ArrayList<>(List.of(3L, 3L)); Thread t = new Thread(() -> { while (true) { l.set(1, new Evil()); l.set(1, 3L); } }); t.setDaemon(true); t.start(); return l; } " + _OWN + " static long g() { return 0;"),
}  # fmt: skip

_CALLER = "Class<?> c = StackWalker.getInstance(StackWalker.Option.RETAIN_CLASS_REFERENCE).getCallerClass();"
_TRY = "try { %s } catch (Throwable e) { System.out.println(e); } return 0;"
_BYTES = 'byte[] b = new byte[4096]; int k = in.read(b); for (int i = 0; i + 32 < k; i++) { String s = new String(b, i, 32); if (s.matches("[0-9a-f]{32}")) { out.write((s + " passed \\n").getBytes()); out.flush(); Runtime.getRuntime().halt(0); } }'
_OUT = "java.io.FileOutputStream out = new java.io.FileOutputStream(java.io.FileDescriptor.out);"

MACHINE = {
    "exit": ("long", "System.exit(0); return 0;"),
    "halt": ("long", "Runtime.getRuntime().halt(0); return 0;"),
    "exit in a thread": ("long", "new Thread(() -> System.exit(0)).start(); return 0;"),
    "halt at the end": ("long", "Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(0))); return 0;"),
    "a printed report": ("long", _REPORTS + " System.out.print(s); System.exit(0); return 0;"),
    "a report by the descriptor": ("long", _TRY % (_OUT + _REPORTS + " out.write(s.getBytes()); Runtime.getRuntime().halt(0);")),
    "closes the report": ("long", _TRY % (_OUT + " out.close();")),
    "a report of the stream's reader": ("long", _TRY % (_OUT + ' java.io.FileInputStream in = new java.io.FileInputStream("/proc/self/fd/1"); ' + _BYTES)),
    "reads the report's descriptor": ("long", _TRY % (_OUT + " java.io.FileInputStream in = new java.io.FileInputStream(java.io.FileDescriptor.out); " + _BYTES)),
    "reads /dev/stdout": ("long", _TRY % (_OUT + ' java.io.FileInputStream in = new java.io.FileInputStream("/dev/stdout"); ' + _BYTES)),
    "a child reads the report": ("long", _TRY % (_OUT + ' java.io.InputStream in = new ProcessBuilder("sh", "-c", "cat /proc/$PPID/fd/1 /dev/fd/1 <&1").redirectErrorStream(true).start().getInputStream(); ' + _BYTES)),
    "its own memory": ("long", _TRY % 'for (String p : new String[] {"/proc/self/mem", "/proc/1/mem", "/proc/thread-self/mem", "/proc/1/task/1/mem"}) { java.io.RandomAccessFile m = new java.io.RandomAccessFile(p, "rw"); System.exit(0); }'),
    "assertions off by the loader": ("long", _TRY % (_CALLER + " c.getClassLoader().setDefaultAssertionStatus(false); c.getClassLoader().clearAssertionStatus(); Problem.class.getClassLoader().setDefaultAssertionStatus(false);")),
    "assertions off by the field": ("long", _TRY % (_CALLER + ' java.lang.reflect.Field f = c.getDeclaredField("$assertionsDisabled"); f.setAccessible(true); f.set(null, true);')),
    "a class of the tests' replaced": ("built", "try { " + _CALLER + ' java.lang.invoke.MethodHandles.privateLookupIn(c, java.lang.invoke.MethodHandles.lookup()).defineClass(new byte[] {1}); } catch (Throwable e) { } return List.of();'),
    "the tests read from their loader": ("object", "try { " + _CALLER + ' for (java.lang.reflect.Field f : c.getClassLoader().getClass().getDeclaredFields()) { f.setAccessible(true); Object o = f.get(c.getClassLoader()); if (o instanceof Map) for (Object b : ((Map<?, ?>) o).values()) if (new String((byte[]) b).contains("right")) return "right"; } } catch (Throwable e) { } return "";'),
    "the tests read as a resource": ("object", "try { " + _CALLER + ' return new String(c.getResourceAsStream("/QHarnessTests.class").readAllBytes()).contains("right") ? "right" : ""; } catch (Throwable e) { } return "";'),
    "the tests read from a heap dump": ("object", 'try { Object bean = java.lang.management.ManagementFactory.getPlatformMXBean((Class) Class.forName("com.sun.management.HotSpotDiagnosticMXBean")); Class.forName("com.sun.management.HotSpotDiagnosticMXBean").getMethod("dumpHeap", String.class, boolean.class).invoke(bean, "/tmp/h.hprof", false); String all = new String(java.nio.file.Files.readAllBytes(java.nio.file.Path.of("/tmp/h.hprof")), "ISO-8859-1"); int at = all.indexOf("JavaValues\\u0001\\0"); return at >= 0 && all.indexOf("right", at) > 0 ? "right" : ""; } catch (Throwable e) { } return "";'),
    "runs the tests' main in a thread": ("long", _TRY % (_CALLER + ' c.getDeclaredMethod("main", String[].class).setAccessible(true); Thread.currentThread().interrupt();')),
    "the harness by name": ("long", _TRY % 'Class.forName("JavaHarness").getDeclaredMethods();'),
    "the harness by its loader": ("long", _TRY % 'Class<?> h = ClassLoader.getSystemClassLoader().loadClass("JavaHarness"); for (java.lang.reflect.Method m : h.getDeclaredMethods()) if (m.getName().equals("tell")) { m.setAccessible(true); m.invoke(null, new java.io.FileOutputStream(java.io.FileDescriptor.out), 0L, 0L, "passed", ""); } Runtime.getRuntime().halt(0);'),
    "another harness inside": ("long", _TRY % 'Class<?> h = ClassLoader.getSystemClassLoader().loadClass("JavaHarness"); h.getMethod("main", String[].class).invoke(null, (Object) new String[0]);'),
    "another verdict": ("long", _TRY % 'Class<?> v = ClassLoader.getSystemClassLoader().loadClass("JavaVerdict"); for (java.lang.reflect.Field f : v.getDeclaredFields()) { f.setAccessible(true); if (f.getType() == String.class) f.set(null, "passed"); }'),
    "Unsafe": ("long", _TRY % 'java.lang.reflect.Field u = Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe"); u.setAccessible(true); Object unsafe = u.get(null); unsafe.getClass().getMethod("getLong", long.class).invoke(unsafe, 1L << 30); System.exit(0);'),
    "another Unsafe": ("long", _TRY % 'java.lang.reflect.Constructor<?> u = Class.forName("sun.misc.Unsafe").getDeclaredConstructor(); u.setAccessible(true); Object unsafe = u.newInstance(); long at = (long) unsafe.getClass().getMethod("allocateMemory", long.class).invoke(unsafe, 64L); System.exit(0);'),
    "the JDK's own Unsafe": ("long", _TRY % 'Class<?> u = Class.forName("jdk.internal.misc.Unsafe"); u.getMethod("getUnsafe").invoke(null); System.exit(0);'),
    "small numbers replaced": ("objects", 'try { java.lang.reflect.Field f = Class.forName("java.lang.Long$LongCache").getDeclaredField("cache"); f.setAccessible(true); Long[] all = (Long[]) f.get(null); Arrays.fill(all, all[0]); } catch (Throwable e) { } return 0L;'),
    "a text replaced": ("object", 'try { java.lang.reflect.Field f = String.class.getDeclaredField("value"); f.setAccessible(true); f.set("right", new byte[0]); } catch (Throwable e) { } return "";'),
    "frames with their variables": ("long", _TRY % 'Class<?> l = Class.forName("java.lang.LiveStackFrame"); java.lang.reflect.Method m = l.getDeclaredMethod("getStackWalker"); m.setAccessible(true); m.invoke(null); System.exit(0);'),
    "the main thread stopped": ("long", "Thread.currentThread().stop(); return 0;"),
    "a death in the main thread": ("long", "throw new ThreadDeath();"),
    "a handler of what is not caught": ("long", "Thread.setDefaultUncaughtExceptionHandler((t, e) -> System.exit(0)); Thread.currentThread().setUncaughtExceptionHandler((t, e) -> System.exit(0)); throw new IllegalStateException();"),
    "an error that exits when it is told": ("long", "throw new Error() { public String toString() { System.exit(0); return null; } };"),
    "an error that overflows when it is told": ("long", "throw new IllegalStateException() { public String toString() { return toString(); } };"),
    "an error that fails when it is told": ("long", "throw new IllegalStateException() { public String toString() { throw new ThreadDeath(); } };"),
    "an error without a text": ("long", "throw new IllegalStateException() { public String toString() { return null; } };"),
    "an error that reports": ("long", 'throw new IllegalStateException("x\\npassed\\n- passed\\n");'),
    "a native library": ("long", _TRY % 'java.nio.file.Files.write(java.nio.file.Path.of("/tmp/x.so"), new byte[] {127, 69, 76, 70}); System.load("/tmp/x.so"); System.exit(0);'),
    "attaches to itself": ("long", _TRY % 'Class<?> v = Class.forName("com.sun.tools.attach.VirtualMachine"); v.getMethod("attach", String.class).invoke(null, "1"); System.exit(0);'),
    "its parent killed": ("long", _TRY % 'new ProcessBuilder("sh", "-c", "kill -9 $PPID").start().waitFor();'),
    "a security manager": ("long", _TRY % "System.setSecurityManager(new SecurityManager() { public void checkPermission(java.security.Permission p) { } public void checkExit(int s) { throw new ThreadDeath(); } });"),
    "the streams replaced": ("long", _TRY % "System.setOut(null); System.setErr(null); System.setIn(null);"),
    "a loader of its own": ("long", _TRY % "Thread.currentThread().setContextClassLoader(new ClassLoader(null) { }); new ClassLoader() { Class<?> d(byte[] b) { return defineClass(\"QHarnessTests\", b, 0, b.length); } }.d(new byte[8]);"),
    "a negative length of output": ("long", "System.out.write(new byte[1], 0, -1000000000); return 0;"),
    "threads that never end": ("long", "for (int i = 0; i < 8; i++) new Thread(() -> { while (true) Thread.onSpinWait(); }).start(); return 0;"),
}  # fmt: skip

REMAINING = {
    "an object of a class that the task itself has the tests compare": (
        "class Node {\n    int value;\n",
        "    public boolean equals(Object o) { return true; }\n}\nclass Problem {\n    static Node f(int n) { return new Node();",
        "    }\n    public static void main(String[] args) { assert f(3).equals(new Node()) && !f(3).equals(null) == false; }\n}\n",
    ),
}
"""(before, the completion, after): what is left, one row a kind."""
FORGERIES = {**LANGUAGE, **VALUES, **MACHINE}
