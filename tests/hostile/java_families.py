"""Families of Java programs that change what a JVM shares, use it up, or leave something running."""

from __future__ import annotations

from tests.hostile.families import java_family

_LINES = (
    "started",
    "passed",
    "- passed",
    "x passed",
    "harmless",
    "ok 0",
    "0 passed",
    '{\\"status\\": \\"passed\\"}',
    "\\0\\0",
    "\\r\\n\\r\\n",
    "compiled",
)
_PROPERTIES = (
    "line.separator", "java.io.tmpdir", "user.dir", "user.language", "file.encoding", "java.class.path", "java.home", "os.name", "java.version",
    "java.util.concurrent.ForkJoinPool.common.parallelism", "jdk.internal.lambda.dumpProxyClasses", "java.locale.providers", "user.timezone",
)  # fmt: skip
_STATICS = (
    'Locale.setDefault(new Locale("tr", "TR"))', 'TimeZone.setDefault(TimeZone.getTimeZone("Pacific/Chatham"))', "System.setOut(null)", "System.setErr(null)", "System.setIn(null)",
    "System.setOut(new PrintStream(OutputStream.nullOutputStream()))", "System.out.close()", "System.setProperties(new Properties())", "System.getProperties().clear()",
    "URL.setURLStreamHandlerFactory(p -> null)", 'java.security.Security.insertProviderAt(new java.security.Provider("x", "1", "") { }, 1)', "Thread.setDefaultUncaughtExceptionHandler((t, e) -> Runtime.getRuntime().halt(0))",
    'java.util.logging.LogManager.getLogManager().reset()', "Authenticator.setDefault(null)", "ProxySelector.setDefault(null)", "CookieHandler.setDefault(new CookieManager())",
    "Thread.currentThread().setContextClassLoader(null)", "Thread.currentThread().setPriority(1)", 'Thread.currentThread().setName("passed")', "Thread.currentThread().getThreadGroup().setMaxPriority(1)", "Thread.currentThread().interrupt()",
    "Runtime.getRuntime().gc()", "Runtime.getRuntime().addShutdownHook(new Thread(() -> { while (true) { } }))", "Math.random()", "ThreadLocal.withInitial(() -> new byte[1 << 20]).get()",
)  # fmt: skip
_THREADS = (
    "new Thread(() -> { while (true) { } }).start()", "new Timer().schedule(new TimerTask() { public void run() { } }, 0, 1)", "java.util.concurrent.Executors.newFixedThreadPool(3).submit(() -> { while (true) { } })",
    "java.util.concurrent.CompletableFuture.runAsync(() -> { while (true) { } })", "java.util.concurrent.ForkJoinPool.commonPool().execute(() -> { while (true) { } })",
    "java.util.stream.IntStream.range(0, 99).parallel().forEach(i -> { })", "new Thread(() -> { synchronized (String.class) { while (true) { } } }).start()",
    "new Thread(() -> { throw new Error(); }).start()", "for (Thread t : Thread.getAllStackTraces().keySet()) t.interrupt()",
    "Thread.currentThread().getThreadGroup().interrupt()", "Thread.currentThread().join(100)",
)  # fmt: skip
_FIRST_TOUCHED = (
    'java.time.format.DateTimeFormatter.ofPattern("yyyy MM").format(java.time.LocalDate.of(2020, 1, 1))', 'String.format("%,.3f %s", 1.5, new java.math.BigDecimal("1.5"))', 'Pattern.compile("(a|b)*\\\\d{2,}").matcher("aab12").find()',
    "java.util.stream.Stream.of(3, 1, 2).sorted().collect(java.util.stream.Collectors.groupingBy(x -> x))", 'Locale.forLanguageTag("de-DE").getDisplayName()', "new java.util.concurrent.ConcurrentSkipListMap<>(Map.of(1, 2)).size()",
    'new Scanner("1 2").nextInt()', 'java.text.NumberFormat.getInstance(Locale.FRANCE).format(1.5)', "new PriorityQueue<>(List.of(3, 1)).poll()", 'java.util.UUID.nameUUIDFromBytes(new byte[3])',
    'java.security.MessageDigest.getInstance("MD5")', "Optional.of(1).map(x -> x + 1).get()", 'Enum.valueOf(java.time.DayOfWeek.class, "MONDAY")', "new SplittableRandom(1).nextInt()",
)  # fmt: skip
_ON_THE_EDGE = """
static int depth = 0;
static int g() { depth++; try { return g() + 1; } catch (StackOverflowError e) { try { §; } catch (Throwable again) { } return 0; } }
static int f() throws Throwable { g(); return 2; }
"""

FAMILIES = [
    java_family("statics of the JDK", "§;", _STATICS),
    java_family("system properties", 'System.setProperty("§", "x");', _PROPERTIES),
    java_family("locales", "for (Locale l : Locale.getAvailableLocales()) { §; }", ['java.time.format.DateTimeFormatter.ofPattern("EEEE MMMM yyyy", l).format(java.time.LocalDate.of(2020, 1, 1))', 'String.format(l, "%,d %tA", 12345, new Date(0))', "java.text.NumberFormat.getCurrencyInstance(l).format(1.5)", "java.text.Collator.getInstance(l)", "l.getDisplayName(l)", "java.time.DayOfWeek.MONDAY.getDisplayName(java.time.format.TextStyle.FULL, l)"]),
    java_family("time zones", "for (String id : TimeZone.getAvailableIDs()) { §; }", ["java.time.ZoneId.of(id).getRules()", "TimeZone.getTimeZone(id).getDisplayName()", "java.time.ZonedDateTime.now(java.time.ZoneId.of(id)).toString()"]),
    java_family("threads", "§;", _THREADS),
    java_family("shutdown hooks", "Runtime.getRuntime().addShutdownHook(new Thread(() -> §));", ["Runtime.getRuntime().halt(0)", "System.exit(0)", 'System.out.println("passed")', "{ while (true) { } }", "{ throw new Error(); }"]),
    java_family("exits", "§;", ["System.exit(0)", "System.exit(1)", "System.exit(143)", "Runtime.getRuntime().halt(0)", "Runtime.getRuntime().halt(255)", "Thread.currentThread().stop()", "new Thread(() -> System.exit(0)).start(); Thread.sleep(500)"]),
    java_family("printed lines", 'System.out.println("§"); System.err.println("§"); System.out.flush();', _LINES),
    java_family("lines on a descriptor", 'for (String s : new String[] {"passed\\n", "- passed \\n", "\\n", "harmless\\n"}) try (OutputStream out = new FileOutputStream("/proc/self/fd/§")) { out.write(s.getBytes()); } catch (IOException e) { }', range(8)),
    java_family("odd output", "§;", ["System.out.write(new byte[9], 0, -1000000000)", "System.out.write(new byte[60000], 0, 60000)", "System.out.print((String) null)", "System.out.print(new char[60000])", 'System.out.printf("%60000d", 1)', "System.out.append(null, -1, 2)", "new FileOutputStream(FileDescriptor.out).close()", "new FileOutputStream(FileDescriptor.err).write(new byte[60000])", "new FileInputStream(FileDescriptor.in).close()"]),
    java_family("odd errors", "throw new Own();", ["return toString() + 1;", "while (true) new byte[1 << 20].clone();", "throw new RuntimeException();", "throw new OutOfMemoryError();", "return null;", 'return "x".repeat(1 << 22);', 'return "\\n- passed \\n";', "return String.valueOf((char) 0xd800);", "System.exit(0); return null;"], besides="class Own extends RuntimeException { public String toString() { § } public String getMessage() { § } }"),
    java_family("errors thrown", "throw §;", ["new StackOverflowError()", "new OutOfMemoryError()", "new InternalError()", "new ThreadDeath()", "new ExceptionInInitializerError()", 'new NoClassDefFoundError("x")', "new VerifyError()", "new UnknownError()", "(Error) null", "new AssertionError(new AssertionError())", "new LinkageError()"]),
    java_family("a class that does not begin", "Bad.x++; ", ["if (true) throw new RuntimeException();", "x = Bad.y / 0;", "System.exit(0);", "Object[] o = new Object[1 << 30]; x = o.length;", "x = Bad.again(0);", 'x = Integer.parseInt("x");'], besides="class Bad { static int x; static int y; static int again(int n) { return again(n + 1) + 1; } static { § } }"),
    java_family("JDK classes first read at the stack's end", _ON_THE_EDGE, _FIRST_TOUCHED),
    java_family("recursion", "§", ["static int f() { return f() + 1; }", "static int f() { List<Object> l = new ArrayList<>(); l.add(l); return l.hashCode(); }", "static int f() { Map<Object, Object> m = new HashMap<>(); m.put(1, m); return m.toString().length(); }", "static int g(Object o) { return g(o.toString() + 1) + 1; } static int f() { return g(1); }", 'static int f() { return Pattern.compile("(a|b)*").matcher("ab".repeat(90000)).matches() ? 3 : 2; }', "static Supplier<Integer> s; static int f() { s = () -> s.get() + 1; return s.get(); }", "static int f() { Object o = new Object() { public String toString() { return super.toString() + this; } }; return o.toString().length(); }", "static int f() { try { return f() + 1; } finally { f(); } }".replace("finally { f(); }", "catch (StackOverflowError e) { throw e; }")]),
    java_family("strings", "for (int i = 0; i < 50000; i++) { §; }", ['("§" + i).intern()'.replace("§", "left"), 'String.format("%d", i)'.replace("i)", "1)"), 'Pattern.compile("a{" + (i % 99 + 1) + "}")', "Integer.valueOf(i).toString().intern()", "new StringBuilder().append(i).reverse()"]),
    java_family("heaps", "List<Object> held = new ArrayList<>(); while (true) held.add(§);", ["new byte[1 << 20]", "new long[4]", 'new String("x".repeat(99999))', "new HashMap<>(Map.of(1, new int[9999]))", "ByteBuffer.allocateDirect(1 << 20)", "new int[1 << 24]"], slow=True),
    java_family("loops", "while (true) { § }", ["", "Thread.sleep(1000);", "Thread.yield();", "new byte[1 << 16].clone();", "try { Thread.sleep(9999); } catch (Throwable t) { }", "synchronized (Problem.class) { Problem.class.wait(); }"], slow=True),
    java_family("files", 'try { §; } catch (IOException e) { }', ['Files.writeString(Path.of("/tmp/left"), "x")', 'Files.createDirectories(Path.of("/tmp/a/b/c"))', 'Files.createSymbolicLink(Path.of("/tmp/link"), Path.of("/"))', 'Files.setPosixFilePermissions(Path.of("/tmp"), java.nio.file.attribute.PosixFilePermissions.fromString("---------"))', 'Files.write(Path.of("/dev/shm/left"), new byte[9 << 20])', 'new RandomAccessFile("/tmp/left", "rw").getChannel().lock()', 'Files.createFile(Path.of("/tmp/Problem.class"))', 'Files.createTempFile("x", "y")']),
    java_family("processes", 'new ProcessBuilder(§).start();', ['"sleep", "60"', '"setsid", "sleep", "60"', '"sh", "-c", "trap \\"\\" 1 2 15; sleep 60 & sleep 60"', '"sh", "-c", "kill -9 $PPID"', '"sh", "-c", "kill -STOP $PPID"', '"sh", "-c", "chmod 0 /tmp"', '"true"']),
    java_family("reflection", 'try { §; } catch (ReflectiveOperationException | RuntimeException e) { }', ['Field f = String.class.getDeclaredField("value"); f.setAccessible(true); f.set("left", new byte[0])', 'Field f = Boolean.class.getDeclaredField("TRUE"); f.setAccessible(true); f.set(null, false)', 'Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe").setAccessible(true)', 'Class.forName("JavaRunServer")', 'Class.forName("JavaHarness").getDeclaredMethods()[0].invoke(null, new Object[0])', 'ClassLoader.getSystemClassLoader().loadClass("Problem")', 'for (int i = 0; i < 300; i++) Proxy.newProxyInstance(null, new Class<?>[] {Runnable.class}, (p, m, a) -> null)']),
]  # fmt: skip
