import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

/**
 * Compiles programs in memory, one after the other, inside the sandbox. It says {@code ready}. A request is three lines: the entry class, the
 * source and the tests, the last two in base64. The answer is one line: {@code ok}, then {@code shared} where JavaScreen
 * finds the program harmless, else {@code fresh}, and the classes in base64; or {@code error} and the first error. No
 * code of a program is run: annotation processing is off.
 */
public final class JavaCompileServer {
    private static final List<String> OPTIONS =
            List.of("-proc:none", "-nowarn", "-Xlint:none", "-g:none", "-implicit:none");

    public static void main(String[] args) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        Memory files = new Memory(compiler.getStandardFileManager(null, Locale.ROOT, StandardCharsets.UTF_8));
        JavaWarmCompiler warm = new JavaWarmCompiler(compiler, OPTIONS);
        out.println("ready");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String entry = line.isEmpty() ? "Main" : line;
            String code = decode(in.readLine()) + "\n" + decode(in.readLine());
            out.println(answer(warm, files, entry, code));
        }
    }

    private static String answer(JavaWarmCompiler compiler, Memory files, String entry, String code) {
        Map<String, byte[]> classes = files.classes = new TreeMap<>();
        try {
            String problem = compile(compiler, files, entry, code);
            if (problem != null) return "error " + problem.replaceAll("\\s+", " ");
            return (JavaScreen.harmless(classes) ? "ok shared " : "ok fresh ") + pack(classes);
        } catch (StackOverflowError error) {
            return "error nested too deeply";
        } catch (RuntimeException | IOException error) {
            return "error " + error.toString().replaceAll("\\s+", " ");
        }
    }

    /** Compile into {@code files}; return null, or the first error. */
    private static String compile(JavaWarmCompiler compiler, Memory files, String entry, String code) {
        DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
        if (compiler.compile(files, found, List.of(new Source(entry, code)))) return null;
        for (Diagnostic<? extends JavaFileObject> each : found.getDiagnostics()) {
            if (each.getKind() == Diagnostic.Kind.ERROR) {
                return "line " + each.getLineNumber() + ": " + each.getMessage(Locale.ROOT);
            }
        }
        return "the compiler gave up";
    }

    private static String decode(String base64) {
        return new String(Base64.getDecoder().decode(base64), StandardCharsets.UTF_8);
    }

    private static String pack(Map<String, byte[]> classes) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeInt(classes.size());
        for (Map.Entry<String, byte[]> each : classes.entrySet()) {
            out.writeUTF(each.getKey());
            out.writeInt(each.getValue().length);
            out.write(each.getValue());
        }
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
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
        private Map<String, byte[]> classes;

        Memory(JavaFileManager files) {
            super(files);
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
}
