package qharness;

import java.lang.reflect.Array;
import java.lang.reflect.Proxy;
import java.util.AbstractMap;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.PriorityQueue;
import java.util.Queue;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.Stack;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.Vector;
import org.javatuples.Tuple;

/**
 * What tests ask of the values that a solution returns: they must be the JDK's own, so that no code of the solution's
 * answers for them. A collection, map, entry or array of any other class becomes one of the JDK's with what it holds;
 * any other object of the solution's own is a failed assertion, unless it equals itself alone.
 *
 * <p>There is no state here that a program could change.
 */
public final class JavaValues {
    private static final int DEEPEST = 200;

    private JavaValues() {}

    public static boolean of(boolean value) {
        return value;
    }

    public static char of(char value) {
        return value;
    }

    public static byte of(byte value) {
        return value;
    }

    public static short of(short value) {
        return value;
    }

    public static int of(int value) {
        return value;
    }

    public static long of(long value) {
        return value;
    }

    public static float of(float value) {
        return value;
    }

    public static double of(double value) {
        return value;
    }

    /** {@code value} itself where it is the JDK's through and through, else what it is worth. */
    @SuppressWarnings("unchecked")
    public static <T> T of(T value) {
        return (T) plain(value, false, 0);
    }

    /** Whether two values are equal, by the first one's class, the JDK's, and a copy that no thread can change. */
    public static boolean equal(Object one, Object other) {
        if (one == null) throw new NullPointerException("null is asked whether it equals a value");
        return plain(one, true, 0).equals(other);
    }

    /** {@code copied}: what holds other values is replaced even where it is the JDK's. */
    private static Object plain(Object value, boolean copied, int depth) {
        if (value == null) return null;
        if (depth > DEEPEST) throw new AssertionError("a value nested too deeply");
        Class<?> type = value.getClass();
        if (value instanceof Object[]) return array((Object[]) value, copied, depth + 1);
        if (type.isArray()) return value;
        if (value instanceof Map) return map((Map<?, ?>) value, copied, depth + 1);
        if (value instanceof Collection) return collection((Collection<?>) value, copied, depth + 1);
        if (value instanceof Map.Entry) return entry((Map.Entry<?, ?>) value, copied, depth + 1);
        if (Proxy.isProxyClass(type) || !isOurs(type.getClassLoader())) {
            if (equalsOnlyItself(value)) return value;
            throw new AssertionError("an object of the solution's own: " + type.getName());
        }
        if (value instanceof Optional) return optional((Optional<?>) value, copied, depth + 1);
        if (value instanceof Tuple) return tuple((Tuple) value, copied, depth + 1);
        return value;
    }

    /** Whether a loader's classes are not the program's: the JDK's, and the library's. */
    private static boolean isOurs(ClassLoader loader) {
        return loader == null
                || loader == ClassLoader.getPlatformClassLoader()
                || loader == JavaValues.class.getClassLoader();
    }

    /** Whether an object of the solution's own has no say in what it equals: a lambda, an iterator, an exception. */
    private static boolean equalsOnlyItself(Object value) {
        if (value instanceof Enum) return true;
        if (value instanceof Comparable || value instanceof CharSequence || value instanceof Number) return false;
        try {
            return value.getClass().getMethod("equals", Object.class).getDeclaringClass() == Object.class;
        } catch (NoSuchMethodException impossible) {
            return false;
        }
    }

    private static Object[] array(Object[] values, boolean copied, int depth) {
        Object[] plain = values;
        for (int i = 0; i < values.length; i++) {
            Object each = plain(values[i], copied, depth);
            if (each == values[i]) continue;
            if (plain == values) plain = values.clone();
            plain[i] = each;
        }
        return plain;
    }

    private static Object collection(Collection<?> values, boolean copied, int depth) {
        List<Object> plain = new ArrayList<>();
        boolean same = isExact(values.getClass()) && !(copied && (values instanceof List || values instanceof Set));
        for (Object each : values) {
            Object made = plain(each, copied, depth);
            same &= made == each;
            plain.add(made);
        }
        if (same && !(values instanceof SortedSet && ((SortedSet<?>) values).comparator() != null)) return values;
        if (values instanceof SortedSet) {
            Set<Object> sorted = new TreeSet<>(inOrderOf(plain));
            sorted.addAll(plain);
            return sorted;
        }
        if (values instanceof Set) return new LinkedHashSet<>(plain);
        if (values instanceof Stack) return filled(new Stack<>(), plain);
        if (values instanceof Vector) return new Vector<>(plain);
        if (values instanceof PriorityQueue) return filled(new PriorityQueue<>(inOrderOf(plain)), plain);
        if (values instanceof ArrayDeque) return new ArrayDeque<>(plain);
        return values instanceof Queue ? new LinkedList<>(plain) : plain;
    }

    private static Collection<Object> filled(Collection<Object> empty, Collection<?> values) {
        empty.addAll(values);
        return empty;
    }

    private static Object map(Map<?, ?> values, boolean copied, int depth) {
        Map<Object, Object> plain = new LinkedHashMap<>();
        boolean same = isExact(values.getClass()) && !copied;
        for (Map.Entry<?, ?> each : values.entrySet()) {
            Object key = plain(each.getKey(), copied, depth);
            Object value = plain(each.getValue(), copied, depth);
            same &= key == each.getKey() && value == each.getValue();
            plain.put(key, value);
        }
        if (same && !(values instanceof SortedMap && ((SortedMap<?, ?>) values).comparator() != null)) return values;
        if (!(values instanceof SortedMap)) return plain;
        Map<Object, Object> sorted = new TreeMap<>(inOrderOf(plain.keySet()));
        sorted.putAll(plain);
        return sorted;
    }

    private static Object entry(Map.Entry<?, ?> entry, boolean copied, int depth) {
        Object key = plain(entry.getKey(), copied, depth);
        Object value = plain(entry.getValue(), copied, depth);
        return new AbstractMap.SimpleEntry<>(key, value);
    }

    private static Object optional(Optional<?> value, boolean copied, int depth) {
        Object plain = plain(value.orElse(null), copied, depth);
        return plain == value.orElse(null) ? value : Optional.ofNullable(plain);
    }

    private static Object tuple(Tuple tuple, boolean copied, int depth) {
        Object[] values = tuple.toArray();
        Object[] plain = array(values, copied, depth);
        if (plain == values) return tuple;
        Class<?>[] types = new Class<?>[plain.length];
        Arrays.fill(types, Object.class);
        try {
            return tuple.getClass().getConstructor(types).newInstance(plain);
        } catch (ReflectiveOperationException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** Whether objects of this very class hold their elements themselves, and none that answers for them. */
    private static boolean isExact(Class<?> type) {
        if (type.getClassLoader() != null || Proxy.isProxyClass(type)) return false;
        String name = type.getName();
        return type == ArrayList.class
                || type == LinkedList.class
                || type == HashMap.class
                || type == LinkedHashMap.class
                || type == TreeMap.class
                || type == HashSet.class
                || type == LinkedHashSet.class
                || type == TreeSet.class
                || type == ArrayDeque.class
                || type == PriorityQueue.class
                || type == Vector.class
                || type == Stack.class
                || name.equals("java.util.Arrays$ArrayList")
                || name.startsWith("java.util.ImmutableCollections$") && !name.contains("SubList")
                || name.startsWith("java.util.Collections$Empty")
                || name.startsWith("java.util.Collections$Singleton")
                || name.equals("java.util.EnumMap")
                || name.equals("java.util.concurrent.ConcurrentHashMap")
                || name.equals("java.util.concurrent.CopyOnWriteArrayList");
    }

    /** The order in which these stand; what is none of them comes first. */
    private static Comparator<Object> inOrderOf(Collection<?> values) {
        Map<Object, Integer> places = new HashMap<>();
        for (Object each : values) places.putIfAbsent(each, places.size());
        return Comparator.comparing(each -> places.getOrDefault(each, -1));
    }
}
