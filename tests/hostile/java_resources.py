"""Java programs that use more than they may, that are hard to compile, or that leave something for the next."""

from __future__ import annotations

from qharness import Status
from tests.hostile import java
from tests.hostile.java_programs import WRONG

EARLY, FAILED, ERROR, PASSED, TIMEOUT, COMPILE, MEMORY, OUTPUT = (
    Status.EARLY_EXIT, Status.FAILED, Status.ERROR, Status.PASSED, Status.TIMEOUT, Status.COMPILE_ERROR,
    Status.OUT_OF_MEMORY, Status.OUTPUT_LIMIT,
)  # fmt: skip

LIMITS = [
    java("a heap bomb", "static int f() { List<long[]> held = new ArrayList<>(); while (true) held.add(new long[1 << 20]); }", MEMORY, tests=WRONG),
    java("a heap bomb that catches the error", "static int f() { List<long[]> held = new ArrayList<>(); for (int i = 0; i < 200; i++) try { held.add(new long[1 << 20]); } catch (OutOfMemoryError e) { } return held.size() > 60 ? 1 : 2; }", FAILED, MEMORY, tests=WRONG),
    java("direct buffers", "static int f() { List<ByteBuffer> held = new ArrayList<>(); while (true) held.add(ByteBuffer.allocateDirect(16 << 20)); }", MEMORY, ERROR, tests=WRONG),
    java("memory by Unsafe", 'static int f() throws Throwable { Field u = Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe"); u.setAccessible(true); sun.misc.Unsafe unsafe = (sun.misc.Unsafe) u.get(null); for (int i = 0; i < 12; i++) unsafe.setMemory(unsafe.allocateMemory(64 << 20), 64 << 20, (byte) 1); return 1; }', MEMORY, ERROR, EARLY, COMPILE, tests=WRONG),
    java("a thread bomb", "static int f() { while (true) new Thread(() -> { try { Thread.sleep(60000); } catch (InterruptedException e) { } }).start(); }", MEMORY, ERROR, TIMEOUT, tests=WRONG),
    java("a fork bomb", 'static int f() throws Throwable { while (true) try { new ProcessBuilder("sh", "-c", "sleep 60 & sleep 60").start(); } catch (IOException e) { } }', TIMEOUT, ERROR, MEMORY, tests=WRONG),
    java("endless output", 'static int f() { while (true) System.out.println("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"); }', OUTPUT, tests=WRONG),
    java("endless errors", 'static int f() { while (true) System.err.println("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"); }', OUTPUT, tests=WRONG),
    java("endless output by the descriptor", "static int f() throws Throwable { FileOutputStream out = new FileOutputStream(FileDescriptor.out); while (true) out.write(new byte[1 << 16]); }", OUTPUT, tests=WRONG),
    java("a full disk", 'static String loot() throws Throwable { try { for (int i = 0; i < 20; i++) Files.write(Path.of("/tmp/" + i), new byte[8 << 20]); } catch (IOException e) { return null; } return "160 MB"; }'),
    java("a loop", "static int f() { while (true) { } }", TIMEOUT, tests=WRONG),
    java("a loop that catches everything", "static int f() { while (true) try { while (true) { Thread.onSpinWait(); } } catch (Throwable any) { } }", TIMEOUT, tests=WRONG),
    java("a sleep that catches everything", "static int f() { while (true) try { Thread.sleep(100000); } catch (Throwable any) { } }", TIMEOUT, tests=WRONG),
    java("deep recursion", "static int f() { return f() + 1; }", ERROR, tests=WRONG),
    java("deep recursion that catches the error", "static int f() { try { return f() + 1; } catch (StackOverflowError e) { return 2; } }", FAILED, ERROR, TIMEOUT, tests=WRONG),
    java("a daemon", 'static int f() throws Throwable { new ProcessBuilder("setsid", "sh", "-c", "sleep 60; : @mark@").start(); Thread.sleep(100); return 2; }', tests=WRONG),
]  # fmt: skip

_DEEP = " + ".join(["(1"] * 4000) + ")" * 4000
_WIDE = "".join(f"static int[] a{n} = {{{'1,' * 9000}}};" for n in range(3))
_OVERLOADED = "static <T> T r(java.util.concurrent.Callable<T> c) throws Exception { return c.call(); } static void r(Runnable x) { }"
_LAMBDAS = "r(() -> " * 24 + "{ return 2; }" + ")" * 24
COMPILING = [
    java("an expression too deep for the compiler", f"static int f() {{ return {_DEEP}; }}", COMPILE, FAILED, TIMEOUT, ERROR, tests=WRONG),
    java("code too large", f"static int f() {{ return 2; }} {_WIDE}", COMPILE, FAILED, tests=WRONG),
    java("types that take the compiler ages", f"{_OVERLOADED} static int f() throws Exception {{ {_LAMBDAS}; return 2; }}", COMPILE, FAILED, TIMEOUT, tests=WRONG),
    java("a source without an end", "static int f() { return 1; /* ", COMPILE, tests=WRONG),
]  # fmt: skip

_LEAVE = r"""
    static int f() throws Throwable {
        for (String name : new String[] {"/tmp/@mark@", "/dev/shm/@mark@", "/var/tmp/@mark@"}) try { Files.writeString(Path.of(name), "left"); } catch (IOException e) { }
        System.setProperty("left", "@mark@");
        System.setProperty("line.separator", "@mark@");
        System.setProperty("java.io.tmpdir", "/@mark@");
        Locale.setDefault(new Locale("tr", "TR"));
        TimeZone.setDefault(TimeZone.getTimeZone("Pacific/Chatham"));
        System.setOut(new PrintStream(OutputStream.nullOutputStream()));
        System.setErr(null);
        System.setIn(null);
        Thread.currentThread().setName("@mark@");
        Thread.currentThread().setPriority(1);
        Thread.currentThread().setContextClassLoader(null);
        Thread.setDefaultUncaughtExceptionHandler((t, e) -> { });
        java.security.Security.setProperty("left", "@mark@");
        URL.setURLStreamHandlerFactory(protocol -> null);
        try { new ServerSocket(47119); } catch (IOException e) { }
        try { Field f = Integer.class.getDeclaredClasses()[0].getDeclaredField("cache"); f.setAccessible(true); Integer[] cache = (Integer[]) f.get(null); cache[129] = 7; } catch (Throwable e) { }
        try {
            Class<?> c = Class.forName("sun.misc.Unsafe"); Field u = c.getDeclaredField("theUnsafe"); u.setAccessible(true); sun.misc.Unsafe unsafe = (sun.misc.Unsafe) u.get(null);
            Field value = String.class.getDeclaredField("value");
            unsafe.putObject("left-literal", unsafe.objectFieldOffset(value), "gone-literal".getBytes());
        } catch (Throwable e) { }
        Thread stays = new Thread(() -> { while (true) try { Thread.sleep(1000); } catch (Throwable any) { } }, "@mark@");
        stays.start();
        new ProcessBuilder("setsid", "sh", "-c", "sleep 60; : @mark@").start();
        return 1;
    }
"""
_FIND = r"""
    static String loot() throws Throwable {
        List<String> found = new ArrayList<>();
        for (String name : new String[] {"/tmp/@mark@", "/dev/shm/@mark@", "/var/tmp/@mark@"}) if (Files.exists(Path.of(name))) found.add(name);
        if (System.getProperties().toString().contains("@mark@")) found.add("properties");
        if (!"A".toLowerCase().equals("a") || !"I".toLowerCase().equals("i")) found.add("locale " + Locale.getDefault());
        if (TimeZone.getDefault().getID().equals("Pacific/Chatham")) found.add("zone");
        if (System.err == null || System.in == null) found.add("streams");
        for (Thread t : Thread.getAllStackTraces().keySet()) if (t.getName().equals("@mark@")) found.add("thread");
        if (Thread.currentThread().getPriority() == 1) found.add("priority");
        if ("@mark@".equals(java.security.Security.getProperty("left"))) found.add("security");
        if (Thread.getDefaultUncaughtExceptionHandler() != null) found.add("handler");
        try { URL.setURLStreamHandlerFactory(null); URL.setURLStreamHandlerFactory(protocol -> null); } catch (Error e) { found.add("url"); }
        try { new ServerSocket(47119).close(); } catch (BindException e) { found.add("port"); } catch (IOException e) { }
        if (Integer.valueOf(1) != 1 + 0) found.add("integers");
        if (!new StringBuilder("literal").insert(0, "left-").toString().equals("left-literal")) found.add("strings");
        if (ProcessHandle.allProcesses().anyMatch(p -> p.info().commandLine().orElse("").contains("@mark@"))) found.add("process");
        return found.isEmpty() ? null : found.toString();
    }
"""
LEFTOVERS = [
    java("leaves what it can for the next", _LEAVE, PASSED, ERROR, tests=WRONG),
    java("looks for what was left", _FIND, next_to="leaves what it can for the next"),
]

PROGRAMS = [*LIMITS, *COMPILING, *LEFTOVERS]
