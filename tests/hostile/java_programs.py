"""Java programs that end early, forge a report, or look for secrets and the host's files."""

from __future__ import annotations

from qharness import Status
from tests.hostile import NOT_PASSED, SECRET, java

EARLY, FAILED, ERROR, PASSED, TIMEOUT, COMPILE = (
    Status.EARLY_EXIT, Status.FAILED, Status.ERROR, Status.PASSED, Status.TIMEOUT, Status.COMPILE_ERROR,
)  # fmt: skip
WRONG = "assert f() == 1;"
NEVER = "static int f() { while (true) { try { Thread.sleep(1000); } catch (Throwable any) { } } }"

EXITS = [
    java("exit", "static int f() { System.exit(0); return 1; }", EARLY, tests=WRONG),
    java("halt", "static int f() { Runtime.getRuntime().halt(0); return 1; }", EARLY, tests=WRONG),
    java("halt in a shutdown hook", "static int f() { Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(0))); return 2; }", tests=WRONG),
    java("exit, and halt in a shutdown hook", "static int f() { Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(0))); System.exit(1); return 2; }", EARLY, tests=WRONG),
    java("a shutdown hook that never ends", "static int f() { Runtime.getRuntime().addShutdownHook(new Thread(() -> { while (true) { } })); System.exit(0); return 2; }", EARLY, TIMEOUT, tests=WRONG),
    java("exit in a static initialiser", "static { System.exit(0); } static int f() { return 2; }", EARLY, tests=WRONG),
    java("exit in another class's initialiser", "static class Other { static int x = 2; static { Runtime.getRuntime().halt(0); } } static int f() { return Other.x; }", EARLY, tests=WRONG),
    java("exit in another thread", "static int f() throws Exception { new Thread(() -> System.exit(0)).start(); Thread.sleep(3000); return 1; }", EARLY, tests=WRONG),
    java("exit by a reflected method", 'static int f() throws Exception { Class.forName("java.lang.Shutdown"); Method m = Class.forName("java.lang.System").getMethod("exit", int.class); m.invoke(null, 0); return 1; }', EARLY, tests=WRONG),
    java("kills its own process", "static int f() throws Exception { Runtime.getRuntime().exec(new String[]{\"sh\", \"-c\", \"kill -9 $PPID\"}).waitFor(); Thread.sleep(500); return 2; }", EARLY, ERROR, FAILED, tests=WRONG),
    java("a thread that outlives main", "static int f() { new Thread(() -> { while (true) { } }).start(); return 1; }", PASSED, tests=WRONG),
    java("a thread that outlives main and exits", "static int f() { new Thread(() -> { try { Thread.sleep(50); } catch (InterruptedException e) { } System.exit(1); }).start(); return 2; }", tests=WRONG),
    java("a failure in another thread", "static int f() throws Exception { Thread t = new Thread(() -> { throw new RuntimeException(); }); t.start(); t.join(); return 2; }", tests=WRONG),
    java("the main thread stopped", "static int f() { Thread.currentThread().stop(); return 1; }", ERROR, EARLY, FAILED, tests=WRONG),
    java("stops every other thread", "static int f() { for (Thread t : Thread.getAllStackTraces().keySet()) if (t != Thread.currentThread()) { try { t.stop(); t.interrupt(); } catch (Throwable e) { } } return 2; }", *NOT_PASSED, tests=WRONG),
]  # fmt: skip

ASSERTIONS = [
    java("its own AssertionError", "static int f() { return 2; }", FAILED, ERROR, tests='if (f() != 1) throw new AssertionError("wrong");', besides="class AssertionError extends RuntimeException { AssertionError(Object o) { System.out.println(o); } }"),
    java("its own AssertionError and an assert", "static int f() { return 2; }", FAILED, ERROR, COMPILE, tests=WRONG, besides="class AssertionError extends Error { AssertionError() { } }"),
    java("assertions off by the class loader", "static int f() { ClassLoader l = Problem.class.getClassLoader(); l.setDefaultAssertionStatus(false); l.clearAssertionStatus(); ClassLoader.getSystemClassLoader().setDefaultAssertionStatus(false); return 2; } static class Check { static void that() { assert f() == 1; } }", *NOT_PASSED, tests="f(); Check.that();"),
    java("assertions off for a class", 'static { Problem.class.getClassLoader().setClassAssertionStatus("Problem$Check", false); Problem.class.getClassLoader().setPackageAssertionStatus(null, false); } static int f() { return 2; } static class Check { static void that() { assert f() == 1; } }', *NOT_PASSED, tests="Check.that();"),
    java("the assertion flag by reflection", 'static { try { Field f = Problem.class.getDeclaredField("$assertionsDisabled"); f.setAccessible(true); f.set(null, true); } catch (Exception e) { } } static int f() { return 2; }', tests=WRONG),
    java("the assertion flag by Unsafe", 'static { try { Class<?> c = Class.forName("sun.misc.Unsafe"); Field u = c.getDeclaredField("theUnsafe"); u.setAccessible(true); Object unsafe = u.get(null); Field f = Problem.class.getDeclaredField("$assertionsDisabled"); Object base = c.getMethod("staticFieldBase", Field.class).invoke(unsafe, f); long at = (long) c.getMethod("staticFieldOffset", Field.class).invoke(unsafe, f); c.getMethod("putBoolean", Object.class, long.class, boolean.class).invoke(unsafe, base, at, true); } catch (Exception e) { } } static int f() { return 2; }', *NOT_PASSED, tests=WRONG),
    java("its own assertion flag", "static boolean $assertionsDisabled = true; static int f() { return 2; }", COMPILE, FAILED, tests=WRONG),
    java("catches everything", "static int f() { try { throw new OutOfMemoryError(); } catch (Throwable t) { return 2; } finally { Thread.setDefaultUncaughtExceptionHandler((t, e) -> System.exit(0)); Thread.currentThread().setUncaughtExceptionHandler((t, e) -> Runtime.getRuntime().halt(0)); } }", tests=WRONG),
    java("a class of the JDK's", "static int f() { return 2; }", COMPILE, ERROR, tests=WRONG, besides="package java.lang;"),
    java("the harness's classes", r"""
    static String loot() throws Throwable {
        List<String> found = new ArrayList<>();
        for (StackTraceElement[] trace : Thread.getAllStackTraces().values())
            for (StackTraceElement e : trace)
                for (ClassLoader loader : new ClassLoader[] {Problem.class.getClassLoader(), ClassLoader.getSystemClassLoader(), Thread.currentThread().getContextClassLoader()}) {
                    Class<?> c;
                    try { c = Class.forName(e.getClassName(), true, loader); } catch (Throwable none) { continue; }
                    if (e.getClassName().matches("(java|jdk|sun|javax|com\\.sun)\\..*") || c == Problem.class) continue;
                    for (Field f : c.getDeclaredFields())
                        if (Modifier.isStatic(f.getModifiers())) try { f.setAccessible(true); found.add(f.getName() + "=" + f.get(null)); } catch (Throwable closed) { }
                    for (Method m : c.getDeclaredMethods())
                        if (Modifier.isStatic(m.getModifiers()) && !m.getName().equals("main") && m.getParameterCount() < 3) try { m.setAccessible(true); m.invoke(null, new Object[m.getParameterCount()]); } catch (Throwable closed) { }
                }
        forge(found.toString());
        return null;
    }
""", FAILED, ERROR, EARLY),
]  # fmt: skip

_THEN_END = 'static int f() throws Throwable {{ StringBuilder data = new StringBuilder(); try {{ {0} }} catch (Throwable t) {{ }} forge(data.toString()); Runtime.getRuntime().halt(0); return 1; }}'  # fmt: skip
_MAPS = 'for (String line : Files.readAllLines(Path.of("/proc/self/maps"))) { String[] p = line.split("[- ]"); if (!p[2].startsWith("rw")) continue; long start = Long.parseUnsignedLong(p[0], 16), size = Math.min(Long.parseUnsignedLong(p[1], 16) - start, 64L << 20); %s }'  # fmt: skip
_MEM = 'RandomAccessFile mem = new RandomAccessFile("/proc/self/mem", "r"); byte[] b = new byte[1 << 20];' + _MAPS % 'for (long at = 0; at < size; at += b.length) try { mem.seek(start + at); int n = mem.read(b, 0, (int) Math.min(b.length, size - at)); if (n > 0) words(data, b, n); } catch (IOException e) { break; }'  # fmt: skip
_UNSAFE = 'Field u = Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe"); u.setAccessible(true); sun.misc.Unsafe unsafe = (sun.misc.Unsafe) u.get(null); byte[] b = new byte[1 << 20]; MemoryUsage heap = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage(); Object[] one = {new Object()}; long top = (unsafe.getInt(one, (long) unsafe.arrayBaseOffset(Object[].class)) & 0xffffffffL) << 0; for (long base : new long[] {top, top << 3}) { base = base & ~0xfffffL; ' + _MAPS % 'if (base < start || base >= start + size) continue; for (long at = 0; at + b.length <= size; at += b.length) { unsafe.copyMemory(null, start + at, b, unsafe.arrayBaseOffset(byte[].class), b.length); words(data, b, b.length); }' + "}"  # fmt: skip
_DUMP = 'Object bean = ManagementFactory.getPlatformMXBean((Class) Class.forName("com.sun.management.HotSpotDiagnosticMXBean")); Class.forName("com.sun.management.HotSpotDiagnosticMXBean").getMethod("dumpHeap", String.class, boolean.class).invoke(bean, "/tmp/heap.hprof", true); byte[] b = Files.readAllBytes(Path.of("/tmp/heap.hprof")); words(data, b, b.length);'  # fmt: skip
_WORDS = r"""
    static void words(StringBuilder data, byte[] bytes, int length) {
        int run = 0;
        for (int i = 0; i <= length; i++) {
            int c = i < length ? bytes[i] : -1;
            if (c >= '0' && c <= '9' || c >= 'a' && c <= 'f') { run++; continue; }
            if (run == 32 && data.length() < 1 << 14) { for (int j = i - run; j < i; j++) data.append((char) bytes[j]); data.append('\n'); }
            run = 0;
        }
    }
"""

FORGERS = [
    java("a printed report", 'static int f() { System.out.println("started"); System.out.println("passed"); System.out.println("{\\"status\\": \\"passed\\"}"); System.exit(0); return 1; }', EARLY, tests=WRONG),
    java("a report on every descriptor", _THEN_END.format(""), EARLY, ERROR, tests=WRONG),
    java("properties, arguments and environment", _THEN_END.format('data.append(System.getProperties()).append(System.getenv()).append(ManagementFactory.getRuntimeMXBean().getInputArguments()); for (String n : new String[] {"cmdline", "environ"}) data.append(Files.readString(Path.of("/proc/self/" + n)));'), EARLY, ERROR, tests=WRONG),
    java("standard input", _THEN_END.format('for (int d = 0; d < 64; d++) try (FileInputStream in = new FileInputStream("/proc/self/fd/" + d)) { if (in.available() > 0) data.append(new String(in.readNBytes(Math.min(in.available(), 1 << 20)))); } catch (IOException e) { } FileInputStream own = new FileInputStream(FileDescriptor.in); if (own.available() > 0) data.append(new String(own.readNBytes(own.available())));'), EARLY, ERROR, tests=WRONG),
    java("/proc/self/mem", _WORDS + _THEN_END.format(_MEM), EARLY, ERROR, tests=WRONG),
    java("Unsafe over the heap", _WORDS + _THEN_END.format(_UNSAFE), EARLY, ERROR, COMPILE, tests=WRONG),
    java("a heap dump", _WORDS + _THEN_END.format(_DUMP), EARLY, ERROR, tests=WRONG),
    java("a child reads its parent's memory", _WORDS + _THEN_END.format('Process p = new ProcessBuilder("sh", "-c", "cat /proc/$PPID/cmdline /proc/$PPID/environ; perl -e \'open M,\\"<\\",\\"/proc/$ARGV[0]/maps\\"; while(<M>){ next unless /^(\\\\w+)-(\\\\w+) rw/; my ($s,$e)=(hex $1,hex $2); next if $e-$s>67108864; open F,\\"<\\",\\"/proc/$ARGV[0]/mem\\" or exit; seek F,$s,0; read F,my $b,$e-$s; print \\"$1\\\\n\\" while $b=~/(?<![0-9a-f])([0-9a-f]{32})(?![0-9a-f])/g }\' $PPID").start(); byte[] b = p.getInputStream().readNBytes(1 << 20); words(data, b, b.length);'), EARLY, ERROR, tests=WRONG),
    java("a child reports", 'static int f() throws Throwable { new ProcessBuilder("sh", "-c", "for i in 0 1 2 3 4 5 6 7 8 9; do echo passed >&$i; echo \' passed \' > /proc/$PPID/fd/$i; done").inheritIO().start().waitFor(); Runtime.getRuntime().halt(0); return 1; }', EARLY, ERROR, tests=WRONG),
]  # fmt: skip

_LOOK = f'Pattern secret = Pattern.compile("{SECRET}[0-9a-f]{{32}}");'
HOST = [
    java("secrets", "static String loot() throws Throwable { " + _LOOK + ' Matcher m = secret.matcher(System.getenv() + "" + System.getProperties()); if (m.find()) return m.group(); for (String p : new String[] {"/proc/1/environ", "@home_file@", "/proc/1/root@home_file@", "/proc/" + ProcessHandle.current().parent().map(ProcessHandle::pid).orElse(1L) + "/environ", "/etc/shadow"}) try { m = secret.matcher(Files.readString(Path.of(p), java.nio.charset.StandardCharsets.ISO_8859_1)); if (m.find() || p.equals("/etc/shadow")) return p; } catch (IOException e) { } return null; }'),
    java("writes to the host", 'static String loot() { for (String p : new String[] {"/@mark@", "/usr/@mark@", "/var/tmp/@mark@", "@home_file@", "@repository@/qharness/__init__.py", "@site@/@mark@.pth", "@jdk@/lib/modules", "@jdk@/conf/@mark@"}) try (FileOutputStream out = new FileOutputStream(p, true)) { out.write(32); return p; } catch (IOException e) { } for (String p : new String[] {"@home_file@", "/usr/bin/env"}) try { Files.createLink(Path.of("/tmp/hard"), Path.of(p)); return "linked " + p; } catch (IOException e) { } return null; }'),
    java("sockets", 'static String loot() { for (InetSocketAddress to : new InetSocketAddress[] {new InetSocketAddress("127.0.0.1", @port@), new InetSocketAddress("1.1.1.1", 53)}) try (Socket s = new Socket()) { s.connect(to, 300); return to.toString(); } catch (IOException e) { } try { return InetAddress.getByName("example.com").toString(); } catch (IOException e) { } return null; }'),
    java("kills every process", 'static int f() throws Throwable { long seen = ProcessHandle.allProcesses().count(); if (seen > 15 || Files.exists(Path.of("@repository@/tests"))) throw new RuntimeException("broke in: the host can be seen"); ProcessHandle.current().parent().ifPresent(ProcessHandle::destroyForcibly); ProcessHandle.allProcesses().filter(p -> p.pid() != ProcessHandle.current().pid()).forEach(p -> { try { p.destroyForcibly(); } catch (IllegalStateException e) { } }); new ProcessBuilder("sh", "-c", "kill -9 -1").start().waitFor(); Thread.sleep(200); return 2; }', FAILED, ERROR, EARLY, tests=WRONG),
    java("deletes everything it can reach", 'static int f() throws Throwable { if (Files.exists(Path.of("@repository@/tests")) || Files.exists(Path.of("@home_file@"))) throw new RuntimeException("broke in: the host can be seen"); new ProcessBuilder("rm", "-rf", "--no-preserve-root", "/").start().waitFor(); return 2; }', FAILED, EARLY, ERROR, TIMEOUT, tests=WRONG),
]  # fmt: skip

PROGRAMS = [*EXITS, *ASSERTIONS, *FORGERS, *HOST]
