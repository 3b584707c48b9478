import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Objects;

/**
 * Runs programs that JavaScreen has found harmless, one after the other, inside the sandbox. Its arguments are the
 * bytes that a program may print and the CPU seconds it may take. It says {@code ready}. A request is three lines: a
 * word that the answer begins with, the entry class, and the classes in base64. The answer is one line: that word;
 * {@code fit}, or {@code worn} where the program left more than a little behind (JavaRunState); a status and a detail.
 * Each program gets a class loader, a thread and standard streams of its own.
 *
 * <p>Only what is surely the program's own verdict is given: its end, a failed assertion, an exception. Any other
 * error may have left the JVM's own classes half initialised or may come from them: the answer is {@code again}, for
 * a JVM of the program's own, as it is at a limit. After that answer, this one ends. An exhausted heap ends it at once
 * ({@code -XX:+ExitOnOutOfMemoryError}).
 */
public final class JavaRunServer {
    private static final Path CLOCK = Paths.get("/proc/self/stat");
    private static final int CLOCK_TICKS = 100; // a second: what Linux tells programs, whatever its own rate
    private static final int LOOK_EVERY = 500; // milliseconds

    private final PrintStream answers;
    private final long outputBytes;
    private final long cpuTicks;
    private final JavaRunState state = new JavaRunState();
    private String word;
    private boolean ended;

    private JavaRunServer(PrintStream answers, long outputBytes, long cpuSeconds) {
        this.answers = answers;
        this.outputBytes = outputBytes;
        this.cpuTicks = cpuSeconds * CLOCK_TICKS;
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        JavaRunServer server = new JavaRunServer(out, Long.parseLong(args[0]), Long.parseLong(args[1]));
        out.println("ready");
        for (String word = in.readLine(); word != null && !server.ended; word = in.readLine()) {
            server.word = word;
            server.serve(in.readLine(), in.readLine());
        }
    }

    private void serve(String entry, String classes) throws InterruptedException, IOException {
        PrintStream sink = new PrintStream(new Counted());
        System.setIn(new ByteArrayInputStream(new byte[0]));
        System.setOut(sink);
        System.setErr(sink);
        Run run = new Run(entry, classes);
        long begun = ticks();
        run.start();
        for (run.join(LOOK_EVERY); run.isAlive(); run.join(LOOK_EVERY)) {
            if (ticks() - begun > cpuTicks) endWith("CPU time");
        }
        JavaVerdict verdict = run.verdict;
        if (verdict == null || !verdict.sure) endWith(verdict == null ? "" : verdict.detail);
        else answers.println(word + (state.isWorn() ? " worn " : " fit ") + verdict.status + " " + verdict.detail);
    }

    /** Give no verdict, and end this JVM. */
    private synchronized void endWith(String why) {
        if (ended) return;
        ended = true;
        try {
            answers.println(word + " worn " + JavaVerdict.ODD + " " + why);
        } finally {
            Runtime.getRuntime().halt(0);
        }
    }

    /** The CPU time that this process has taken, in clock ticks; 0 where the system does not tell. */
    private static long ticks() throws IOException {
        if (!Files.exists(CLOCK)) return 0;
        String line = new String(Files.readAllBytes(CLOCK), StandardCharsets.US_ASCII);
        String[] fields = line.substring(line.lastIndexOf(')') + 2).split(" ");
        return Long.parseLong(fields[11]) + Long.parseLong(fields[12]);
    }

    /** One program's thread. Its verdict is read when it has ended. */
    private static final class Run extends Thread {
        private final String entry;
        private final String classes;
        private JavaVerdict verdict;

        Run(String entry, String classes) {
            super("main");
            this.entry = entry;
            this.classes = classes;
        }

        @Override
        public void run() {
            try {
                Throwable thrown = new JavaProgram(classes, entry).thrown();
                boolean ordinary = thrown == null || thrown instanceof AssertionError || thrown instanceof Exception;
                verdict = ordinary ? JavaVerdict.of(thrown) : JavaVerdict.odd(thrown);
            } catch (Throwable other) {
                verdict = JavaVerdict.odd(other);
            }
        }
    }

    /** Discards what a program prints, and ends it when it printed too much. */
    private final class Counted extends OutputStream {
        private long left = outputBytes;

        @Override
        public void write(int one) {
            count(1);
        }

        @Override
        public void write(byte[] bytes, int start, int length) {
            Objects.checkFromIndexSize(start, length, bytes.length);
            count(length);
        }

        private void count(int written) {
            left -= written;
            if (left < 0) endWith("output");
        }
    }
}
