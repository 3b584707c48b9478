import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;

/**
 * One compiled program. The solution's classes are in a loader that does not know ours: of what stands beside us it
 * finds the library that programs may import and nothing else. The tests' classes are in a loader below, all of them
 * from the start, so that the solution can neither take the place of one nor find them by name. Assertions are on.
 */
final class JavaProgram {
    private static final String LIBRARY = "org.javatuples.";
    private static final String VALUES = "qharness.";

    private final String main;
    private final Classes classes;

    /** {@code packed}: as JavaCompiled packs them. {@code entry}: the class to run where there are no tests. */
    JavaProgram(String packed, String entry) throws IOException {
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(Base64.getDecoder().decode(packed)));
        String ofTests = in.readUTF();
        main = !ofTests.isEmpty() ? ofTests : entry.isEmpty() ? "Main" : entry;
        Classes solution = new Classes(ClassLoader.getPlatformClassLoader(), LIBRARY, unpacked(in));
        Map<String, byte[]> tests = unpacked(in);
        classes = tests.isEmpty() ? solution : new Classes(solution, VALUES, tests);
        for (String name : tests.keySet()) classes.define(name);
        tests.clear(); // what the tests expect is not to be read from here
    }

    /** Run the program's main to its end on this thread. What the program throws comes wrapped. */
    void run() throws ReflectiveOperationException, InvocationTargetException {
        Method method = classes.loadClass(main).getDeclaredMethod("main", String[].class);
        method.setAccessible(true);
        method.invoke(null, (Object) new String[0]);
    }

    /** What the program threw; null where it came to its end. */
    Throwable thrown() {
        try {
            run();
            return null;
        } catch (InvocationTargetException wrapped) {
            return wrapped.getCause();
        } catch (Throwable other) {
            return other;
        }
    }

    private static Map<String, byte[]> unpacked(DataInputStream in) throws IOException {
        Map<String, byte[]> classes = new HashMap<>();
        for (int left = in.readInt(); left > 0; left--) {
            String name = in.readUTF();
            classes.put(name, in.readNBytes(in.readInt()));
        }
        return classes;
    }

    /** A loader of classes that are at hand, and of those beside us in one package. */
    private static final class Classes extends ClassLoader {
        private final String beside;
        private final Map<String, byte[]> classes;

        Classes(ClassLoader parent, String beside, Map<String, byte[]> classes) {
            super(parent);
            this.beside = beside;
            this.classes = classes;
            super.setDefaultAssertionStatus(true);
        }

        /** Assertions stay on: the program can reach its own loader. The same holds for the three below. */
        @Override
        public void setDefaultAssertionStatus(boolean enabled) {}

        @Override
        public void setPackageAssertionStatus(String packageName, boolean enabled) {}

        @Override
        public void setClassAssertionStatus(String className, boolean enabled) {}

        @Override
        public void clearAssertionStatus() {}

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            Class<?> own = findLoadedClass(name);
            if (own != null) return own;
            if (name.startsWith(beside)) return ClassLoader.getSystemClassLoader().loadClass(name);
            return super.loadClass(name, resolve);
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            if (!classes.containsKey(name)) throw new ClassNotFoundException(name);
            return define(name);
        }

        Class<?> define(String name) {
            Class<?> own = findLoadedClass(name);
            byte[] bytes = classes.get(name);
            return own != null ? own : defineClass(name, bytes, 0, bytes.length);
        }
    }
}
