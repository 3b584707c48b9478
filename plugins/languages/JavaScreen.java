import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Decides from a program's classes alone whether it is harmless: whether it can neither see nor change anything that
 * outlives it in the JVM that runs it, nor reach anything outside. Harmless programs may share a JVM, one after the
 * other; what is not surely harmless gets a JVM of its own, and its verdict is the same.
 *
 * <p>Why this is sound. The JVM verifies bytecode, so code acts on the world only through the fields and methods that
 * its constant pool names; an owner, a name and a descriptor each (of lambdas and method references, too: the handles
 * in the pool refer to such entries). Every entry must name a class of the program's own, whose code is held to the
 * same rules, or one on the list below; and all types in its descriptor must be on the list or the program's own, so
 * that nothing else can be got hold of. What is on the list
 * <ul>
 *   <li>reaches no file, socket, process, property or class loader: of System, Class, Thread and others few members
 *       are allowed; constructors that take a file's name are not;
 *   <li>starts no thread ("parallel" methods, and those of ConcurrentHashMap with a threshold, are out), so that no
 *       code runs after the program's end: finalizers, references and cleaners are out too;
 *   <li>has no state of its own that a program can set, the default locale and time zone apart, whose setters are out.
 *       What its classes keep between calls (small boxed numbers, interned strings, powers of ten) cannot be changed;
 *   <li>keeps no object of the program's in a static field. Thread locals end with the program's thread.
 * </ul>
 * Standard streams are new for each program. A class of the program's may extend few classes, so that it inherits no
 * member that these rules exclude by its owner. Its classes have no package, so that none can hide one of the JDK's.
 * An overflowing stack or heap could break a class of the JDK half way through: no program that could go on after such
 * an error is harmless, that is none with a handler for Throwable, Error or everything ({@code finally}), and the run
 * server ends after one. Where the JDK itself makes an exception of an overflow (in compiling a regular expression), a
 * class that was left broken throws an Error at its next use, which no harmless program can catch: the run server
 * takes that for no verdict, and ends.
 */
final class JavaScreen {
    private static final Set<String> ALLOWED = new HashSet<>();
    private static final Set<String> EXTENDABLE = new HashSet<>();
    private static final Map<String, Set<String>> ONLY = new HashMap<>();
    private static final Set<String> BOOTSTRAPS = names(
            "java/lang/invoke/",
            "LambdaMetafactory.metafactory StringConcatFactory.makeConcat StringConcatFactory.makeConcatWithConstants");
    private static final Set<String> UNCATCHABLE = names("java/lang/", "Throwable Error");
    private static final Set<String> BANNED = names("", "finalize onClose setDefault");
    private static final Pattern TYPES = Pattern.compile("L([^;]+);");

    static {
        String exceptions = "Arithmetic ArrayIndexOutOfBounds ArrayStore ClassCast CloneNotSupported IllegalArgument"
                + " IllegalState IndexOutOfBounds Interrupted NegativeArraySize NullPointer NumberFormat Runtime"
                + " StringIndexOutOfBounds UnsupportedOperation";
        for (String each : exceptions.split(" ")) extend("java/lang/", each + "Exception");
        extend("java/lang/", "AssertionError Enum Error Exception Number Object Record Throwable");
        allow("java/lang/", "Appendable AutoCloseable Boolean Byte CharSequence Character Cloneable Comparable Double");
        allow("java/lang/", "Float Integer Iterable Long Math MatchException NoSuchFieldError Readable Runnable Short");
        allow("java/lang/", "StrictMath String StringBuffer StringBuilder Void");
        extend("java/util/", "AbstractCollection AbstractList AbstractMap AbstractQueue AbstractSequentialList");
        extend("java/util/", "AbstractSet ArrayDeque ArrayList HashMap HashSet LinkedHashMap LinkedHashSet LinkedList");
        extend("java/util/", "PriorityQueue Random Stack TreeMap TreeSet Vector");
        extend("java/util/", "ConcurrentModificationException EmptyStackException InputMismatchException");
        extend("java/util/", "MissingFormatArgumentException NoSuchElementException");
        allow("java/util/", "AbstractMap$SimpleEntry AbstractMap$SimpleImmutableEntry Arrays Base64 Base64$Decoder");
        allow("java/util/", "Base64$Encoder BitSet Collection Collections Comparator Deque Enumeration");
        allow("java/util/", "DoubleSummaryStatistics EnumMap EnumSet Formatter Hashtable IdentityHashMap");
        allow("java/util/", "IllegalFormatException IntSummaryStatistics Iterator List ListIterator Locale");
        allow("java/util/", "LongSummaryStatistics Map Map$Entry NavigableMap NavigableSet Objects Optional");
        allow("java/util/", "OptionalDouble OptionalInt OptionalLong PrimitiveIterator PrimitiveIterator$OfDouble");
        allow("java/util/", "PrimitiveIterator$OfInt PrimitiveIterator$OfLong Queue RandomAccess Scanner");
        allow("java/util/", "SequencedCollection SequencedMap SequencedSet Set SortedMap SortedSet Spliterator");
        allow("java/util/", "SplittableRandom StringJoiner StringTokenizer");
        allow("java/util/regex/", "MatchResult Matcher Pattern PatternSyntaxException");
        allow("java/util/stream/", "BaseStream Collector Collector$Characteristics Collectors DoubleStream IntStream");
        allow("java/util/stream/", "IntStream$Builder LongStream Stream Stream$Builder");
        allow("java/util/concurrent/", "Callable ConcurrentHashMap ConcurrentLinkedDeque ConcurrentLinkedQueue");
        allow("java/util/concurrent/", "ConcurrentMap ConcurrentSkipListMap ConcurrentSkipListSet");
        allow("java/util/concurrent/", "CopyOnWriteArrayList ThreadLocalRandom TimeUnit");
        allow("java/util/concurrent/atomic/", "AtomicBoolean AtomicInteger AtomicIntegerArray AtomicLong");
        allow("java/util/concurrent/atomic/", "AtomicLongArray AtomicReference AtomicReferenceArray LongAdder");
        allow("java/math/", "BigDecimal BigInteger MathContext RoundingMode");
        allow("java/text/", "DecimalFormat DecimalFormatSymbols NumberFormat ParseException");
        allow("java/time/", "DateTimeException DayOfWeek Duration Instant LocalDate LocalDateTime LocalTime Month");
        allow("java/time/", "MonthDay Period Year YearMonth");
        allow("java/time/format/", "DateTimeFormatter DateTimeParseException");
        allow("java/time/chrono/", "ChronoLocalDate ChronoLocalDateTime ChronoPeriod");
        allow("java/time/temporal/", "ChronoField ChronoUnit Temporal TemporalAccessor TemporalAdjuster");
        allow("java/time/temporal/", "TemporalAdjusters TemporalAmount TemporalField TemporalUnit");
        extend("java/io/", "IOException");
        allow("java/io/", "BufferedReader BufferedWriter ByteArrayInputStream ByteArrayOutputStream Closeable Flushable");
        allow("java/io/", "InputStream InputStreamReader OutputStream OutputStreamWriter PrintStream PrintWriter");
        allow("java/io/", "Reader Serializable StringReader StringWriter UncheckedIOException Writer");
        allow("java/nio/charset/", "Charset StandardCharsets");
        allow("qharness/", "JavaValues");
        allow("org/javatuples/", "Decade Ennead Octet Pair Quartet Quintet Septet Sextet Triplet Tuple Unit");
        only("java/lang/Object", "<init> clone equals getClass hashCode toString");
        only("java/lang/System", "arraycopy currentTimeMillis err identityHashCode in lineSeparator nanoTime out");
        only("java/lang/Class", "cast desiredAssertionStatus equals getComponentType getEnumConstants getName");
        only("java/lang/Class", "getSimpleName getTypeName hashCode isArray isEnum isInstance isInterface toString");
        only("java/lang/Thread", "sleep");
        only("java/lang/reflect/Array", "newInstance");
        only("java/nio/charset/Charset", "equals hashCode name toString");
        BOOTSTRAPS.add("java/lang/runtime/ObjectMethods.bootstrap");
        BOOTSTRAPS.add("java/lang/runtime/SwitchBootstraps.typeSwitch");
        BOOTSTRAPS.add("java/lang/runtime/SwitchBootstraps.enumSwitch");
    }

    private final Set<String> own;

    private JavaScreen(Set<String> own) {
        this.own = own;
    }

    /** {@code classes}: the compiled classes by their names. */
    static boolean harmless(Map<String, byte[]> classes) {
        JavaScreen screen = new JavaScreen(classes.keySet());
        try {
            for (Map.Entry<String, byte[]> each : classes.entrySet()) {
                if (each.getKey().contains(".")) return false;
                if (!screen.admits(new JavaClassFile(each.getValue()))) return false;
            }
            return true;
        } catch (IOException | IndexOutOfBoundsException | NullPointerException unreadable) {
            return false;
        }
    }

    private boolean admits(JavaClassFile file) {
        return (own.contains(file.superclass) || EXTENDABLE.contains(file.superclass))
                && file.interfaces.stream().allMatch(this::knows)
                && file.named.stream().allMatch(this::mayName)
                && file.descriptors.stream().allMatch(this::knowsTypesOf)
                && file.used.stream().allMatch(this::mayUse)
                && file.declared.stream().allMatch(this::mayDeclare)
                && file.caught.stream().noneMatch(each -> each == null || UNCATCHABLE.contains(each));
    }

    private boolean mayDeclare(JavaClassFile.Member member) {
        return (member.flags & JavaClassFile.NATIVE) == 0 && !member.name.equals("finalize");
    }

    private boolean mayUse(JavaClassFile.Member member) {
        String owner = member.owner;
        String name = member.name;
        if (BOOTSTRAPS.contains(owner + "." + name)) return true; // useless without a Lookup, which none can get
        if (owner.startsWith("[")) return name.equals("clone");
        if (name.startsWith("parallel") || BANNED.contains(name)) return false;
        if (ONLY.containsKey(owner)) return ONLY.get(owner).contains(name) && knowsTypesOf(member.descriptor);
        return knows(owner) && knowsTypesOf(member.descriptor) && !opens(member) && !startsThreads(member);
    }

    /** Whether this reads a file, or the system's properties. */
    private static boolean opens(JavaClassFile.Member member) {
        switch (member.owner) {
            case "java/io/PrintStream":
            case "java/io/PrintWriter":
            case "java/util/Formatter":
                return member.name.equals("<init>") && member.descriptor.startsWith("(Ljava/lang/String;");
            case "java/lang/Boolean":
                return member.name.equals("getBoolean");
            case "java/lang/Integer":
                return member.name.equals("getInteger");
            case "java/lang/Long":
                return member.name.equals("getLong");
            default:
                return false;
        }
    }

    private static boolean startsThreads(JavaClassFile.Member member) {
        return member.owner.equals("java/util/concurrent/ConcurrentHashMap")
                && member.descriptor.startsWith("(J")
                && !member.name.equals("<init>");
    }

    private boolean knows(String name) {
        return own.contains(name) || ALLOWED.contains(name) || isFunction(name);
    }

    /** To name a class alone, as the tables of inner classes and of bootstraps do, gives nothing to call. */
    private boolean mayName(String name) {
        if (name.startsWith("[")) return knowsTypesOf(name);
        if (name.startsWith("java/lang/invoke/") || name.startsWith("java/lang/runtime/")) return true;
        return knows(name) || ONLY.containsKey(name);
    }

    private boolean knowsTypesOf(String descriptor) {
        for (Matcher type = TYPES.matcher(descriptor); type.find(); ) {
            if (!knows(type.group(1)) && !type.group(1).equals("java/lang/Class")) return false;
        }
        return true;
    }

    private static boolean isFunction(String name) {
        return name.startsWith("java/util/function/");
    }

    private static void allow(String where, String classes) {
        ALLOWED.addAll(names(where, classes));
    }

    private static void extend(String where, String classes) {
        allow(where, classes);
        EXTENDABLE.addAll(names(where, classes));
    }

    private static void only(String name, String members) {
        ONLY.computeIfAbsent(name, none -> new HashSet<>()).addAll(Arrays.asList(members.split(" ")));
    }

    private static Set<String> names(String where, String classes) {
        Set<String> all = new HashSet<>();
        for (String each : classes.split(" ")) all.add(where + each);
        return all;
    }
}
