import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Locale;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;

/**
 * Compiles programs in memory, one after the other, inside the sandbox. It says {@code ready}. A request is four lines:
 * a word that the answer begins with, the entry class, the source and the tests, the last two in base64. The answer is
 * one line: that word; {@code fit}, or {@code worn} where this JVM should be replaced; and {@code ok}, then
 * {@code shared} where JavaScreen finds the program harmless, else {@code fresh}, and the classes in base64; or
 * {@code error} and the first error; or {@code odd} and an error that is believed only from a JVM that has served no
 * other program. No code of a program is run: annotation processing is off.
 */
public final class JavaCompileServer {
    private static final long MOST_USED = 384L << 20;
    private static final long MOST_LIVE = 192L << 20;

    public static void main(String[] args) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        JavaSources files =
                new JavaSources(compiler.getStandardFileManager(null, Locale.ROOT, StandardCharsets.UTF_8));
        JavaCompilation compilation = new JavaCompilation(compiler, files);
        out.println("ready");
        for (String word = in.readLine(); word != null; word = in.readLine()) {
            String entry = in.readLine();
            String source = decode(in.readLine());
            String answer = answer(compilation, entry.isEmpty() ? "Main" : entry, source, decode(in.readLine()));
            out.println(word + (answer.startsWith("odd ") || isFull() ? " worn " : " fit ") + answer);
        }
    }

    private static String answer(JavaCompilation compilation, String entry, String source, String tests) {
        try {
            JavaCompiled compiled = compilation.compile(entry, source, tests);
            return (compiled.isHarmless() ? "ok shared " : "ok fresh ") + compiled.packed();
        } catch (JavaCompilation.Refusal refusal) {
            return (refusal.odd ? "odd " : "error ") + refusal.getMessage().replaceAll("\\s+", " ");
        } catch (RuntimeException | StackOverflowError | IOException error) {
            return "odd nested too deeply, or " + error.getClass().getName();
        }
    }

    /** Whether what is kept between compilations takes more than it should, once what is not kept has gone. */
    private static boolean isFull() {
        if (used() < MOST_USED) return false;
        System.gc();
        return used() > MOST_LIVE;
    }

    private static long used() {
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }

    private static String decode(String base64) {
        return new String(Base64.getDecoder().decode(base64), StandardCharsets.UTF_8);
    }
}
