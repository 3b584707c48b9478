import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;

/**
 * One compiled program: its classes, in a loader of their own that does not know ours. Of what stands beside us it finds
 * the library that programs may import and nothing else. Assertions are on.
 */
final class JavaProgram extends ClassLoader {
    private static final String LIBRARY = "org.javatuples.";
    private static final int LONGEST_DETAIL = 300;

    private final Map<String, byte[]> classes;

    /** {@code classes}: as JavaCompileServer packs them. */
    JavaProgram(String classes) throws IOException {
        super(ClassLoader.getPlatformClassLoader());
        this.classes = unpack(Base64.getDecoder().decode(classes));
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

    /** Run {@code entry}'s main to its end on this thread. What the program throws comes wrapped. */
    void run(String entry) throws ReflectiveOperationException, InvocationTargetException {
        Method main = loadClass(entry.isEmpty() ? "Main" : entry).getDeclaredMethod("main", String[].class);
        main.setAccessible(true);
        main.invoke(null, (Object) new String[0]);
    }

    /** {@code text} on one line, cut. */
    static String oneLine(String text) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < Math.min(text.length(), LONGEST_DETAIL); i++) {
            char each = text.charAt(i);
            line.append(Character.isWhitespace(each) ? ' ' : each);
        }
        return line.toString();
    }

    @Override
    protected Class<?> findClass(String name) throws ClassNotFoundException {
        byte[] bytes = classes.containsKey(name) ? classes.get(name) : ofLibrary(name);
        return defineClass(name, bytes, 0, bytes.length);
    }

    private static byte[] ofLibrary(String name) throws ClassNotFoundException {
        if (!name.startsWith(LIBRARY)) throw new ClassNotFoundException(name);
        try (InputStream file = getSystemResourceAsStream(name.replace('.', '/') + ".class")) {
            if (file == null) throw new ClassNotFoundException(name);
            return file.readAllBytes();
        } catch (IOException error) {
            throw new ClassNotFoundException(name, error);
        }
    }

    private static Map<String, byte[]> unpack(byte[] packed) throws IOException {
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(packed));
        Map<String, byte[]> classes = new HashMap<>();
        for (int left = in.readInt(); left > 0; left--) {
            String name = in.readUTF();
            classes.put(name, in.readNBytes(in.readInt()));
        }
        return classes;
    }
}
