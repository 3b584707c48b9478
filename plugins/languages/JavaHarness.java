import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * Compiles and runs one program inside the sandbox: reads the token, the entry class, the source and the tests (the
 * last two in base64), a line each, and reports on the standard output it started with. What the program prints goes
 * to standard error. The token lives in a local variable only, and the program's classes are loaded by a loader that
 * does not know this class.
 */
public final class JavaHarness {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        String token = in.readLine();
        String entry = in.readLine();
        String code = decode(in.readLine()) + "\n" + decode(in.readLine());
        OutputStream report = new FileOutputStream(FileDescriptor.out);
        System.setIn(new ByteArrayInputStream(new byte[0]));
        System.setOut(System.err);
        tell(report, token, "started", "");
        String name = entry.isEmpty() ? "Main" : entry;
        Map<String, byte[]> classes = new HashMap<>();
        String problem = compile(name, code, classes);
        if (problem != null) {
            tell(report, token, "compile-error", problem);
            Runtime.getRuntime().halt(0);
        }
        try {
            Loader loader = new Loader(classes);
            loader.setDefaultAssertionStatus(true);
            Method main = loader.loadClass(name).getDeclaredMethod("main", String[].class);
            main.setAccessible(true);
            main.invoke(null, (Object) new String[0]);
            tell(report, token, "passed", "");
        } catch (InvocationTargetException wrapped) {
            Throwable error = wrapped.getCause();
            tell(report, token, statusOf(error), error.toString());
        } catch (Throwable error) {
            tell(report, token, statusOf(error), error.toString());
        }
        Runtime.getRuntime().halt(0);
    }

    private static String statusOf(Throwable error) {
        if (error instanceof AssertionError) return "failed";
        if (error instanceof OutOfMemoryError) return "out-of-memory";
        return "error";
    }

    private static void tell(OutputStream report, String token, String status, String detail) throws Exception {
        String line = detail.replaceAll("\\s+", " ");
        line = line.substring(0, Math.min(300, line.length()));
        report.write((token + " " + status + " " + line + "\n").getBytes(StandardCharsets.UTF_8));
        report.flush();
    }

    private static String decode(String base64) {
        return new String(Base64.getDecoder().decode(base64), StandardCharsets.UTF_8);
    }

    /** Compile into {@code classes}; return null, or the first error. */
    private static String compile(String name, String code, Map<String, byte[]> classes) {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
        StandardJavaFileManager standard = compiler.getStandardFileManager(found, Locale.ROOT, StandardCharsets.UTF_8);
        List<JavaFileObject> units = new ArrayList<>();
        units.add(new Source(name, code));
        List<String> options = List.of("-proc:none", "-nowarn", "-Xlint:none", "-g:none", "-XDuseUnsharedTable=true");
        if (compiler.getTask(null, new Memory(standard, classes), found, options, null, units).call()) return null;
        for (Diagnostic<? extends JavaFileObject> each : found.getDiagnostics()) {
            if (each.getKind() == Diagnostic.Kind.ERROR) {
                return "line " + each.getLineNumber() + ": " + each.getMessage(Locale.ROOT);
            }
        }
        return "the compiler gave up";
    }

    private static final class Source extends SimpleJavaFileObject {
        private final String code;

        Source(String name, String code) {
            super(URI.create("string:///" + name + ".java"), Kind.SOURCE);
            this.code = code;
        }

        @Override
        public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return code;
        }
    }

    private static final class Memory extends ForwardingJavaFileManager<JavaFileManager> {
        private final Map<String, byte[]> classes;

        Memory(JavaFileManager manager, Map<String, byte[]> classes) {
            super(manager);
            this.classes = classes;
        }

        @Override
        public JavaFileObject getJavaFileForOutput(
                Location location, String className, JavaFileObject.Kind kind, FileObject sibling) {
            return new SimpleJavaFileObject(URI.create("memory:///" + className.replace('.', '/') + ".class"), kind) {
                @Override
                public OutputStream openOutputStream() {
                    return new ByteArrayOutputStream() {
                        @Override
                        public void close() {
                            classes.put(className, toByteArray());
                        }
                    };
                }
            };
        }
    }

    private static final class Loader extends ClassLoader {
        private final Map<String, byte[]> classes;

        Loader(Map<String, byte[]> classes) {
            super(ClassLoader.getPlatformClassLoader());
            this.classes = classes;
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            byte[] bytes = classes.get(name);
            if (bytes == null) throw new ClassNotFoundException(name);
            return defineClass(name, bytes, 0, bytes.length);
        }
    }
}
