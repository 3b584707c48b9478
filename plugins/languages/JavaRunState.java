import java.lang.management.ClassLoadingMXBean;
import java.lang.management.ManagementFactory;
import java.util.Locale;
import java.util.Properties;
import java.util.TimeZone;

/**
 * What programs that share a JVM could leave behind in it, whatever JavaScreen says: memory that stays taken, classes
 * of the JDK's that are loaded, threads, properties, the default locale and time zone. Little of it is no matter.
 */
final class JavaRunState {
    private static final long MOST_GARBAGE = 24L << 20;
    private static final long MOST_LEFT = 16L << 20;
    private static final long MOST_CLASSES = 2_000;

    private final ClassLoadingMXBean loading = ManagementFactory.getClassLoadingMXBean();
    private final Locale[] locales = locales();
    private final TimeZone zone = TimeZone.getDefault();
    private final Properties properties = (Properties) System.getProperties().clone();
    private final int threads = threads();
    private final long live;
    private long seen;

    /** The state as it is now. */
    JavaRunState() {
        System.gc();
        live = used();
        seen = loading.getTotalLoadedClassCount();
    }

    /** Whether the program that has just ended left more than a little of anything. */
    boolean isWorn() {
        long loaded = loading.getTotalLoadedClassCount();
        boolean manyClasses = loaded - seen > MOST_CLASSES;
        seen = loaded;
        return manyClasses || isFull() || !isAsBefore();
    }

    private boolean isAsBefore() {
        for (int i = 0; i < locales.length; i++) {
            if (!locales[i].equals(locales()[i])) return false;
        }
        return zone.equals(TimeZone.getDefault()) && properties.equals(System.getProperties()) && threads() <= threads;
    }

    private boolean isFull() {
        if (used() - live < MOST_GARBAGE) return false;
        System.gc();
        return used() - live > MOST_LEFT;
    }

    private static long used() {
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }

    private static Locale[] locales() {
        return new Locale[] {
            Locale.getDefault(), Locale.getDefault(Locale.Category.DISPLAY), Locale.getDefault(Locale.Category.FORMAT)
        };
    }

    private static int threads() {
        ThreadGroup group = Thread.currentThread().getThreadGroup();
        while (group.getParent() != null) group = group.getParent();
        return group.activeCount();
    }
}
