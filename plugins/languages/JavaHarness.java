import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;

/**
 * Runs one compiled program in a JVM of its own, inside the sandbox: reads the token, the entry class and the classes
 * (in base64), a line each, and reports on the standard output it started with. What the program prints goes to
 * standard error. The token's 32 hexadecimal digits are read and written one by one and lie in two local variables in
 * between: no object, buffer or field holds them while the program runs.
 */
public final class JavaHarness {
    private static final String HEXADECIMAL = "0123456789abcdef";

    public static void main(String[] args) throws IOException {
        InputStream input = new FileInputStream(FileDescriptor.in);
        OutputStream report = new FileOutputStream(FileDescriptor.out);
        long high = digits(input);
        long low = digits(input);
        JavaProgram program = null;
        Throwable broken = null;
        try {
            program = program(input);
        } catch (Throwable error) { // classes that cannot be loaded are the program's own fault
            broken = error;
        }
        System.gc(); // so that a heap dump does not show the tests
        System.setIn(new ByteArrayInputStream(new byte[0]));
        System.setOut(System.err);
        disarm();
        tell(report, high, low, "started", "");
        JavaVerdict verdict = JavaVerdict.of(program == null ? broken : program.thrown());
        tell(report, high, low, verdict.status, verdict.detail);
        Runtime.getRuntime().halt(0);
    }

    private static JavaProgram program(InputStream input) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(input, StandardCharsets.US_ASCII));
        in.readLine();
        String entry = in.readLine();
        return new JavaProgram(in.readLine(), entry);
    }

    private static long digits(InputStream in) throws IOException {
        long value = 0;
        for (int i = 0; i < 16; i++) value = value << 4 | Character.digit(in.read(), 16);
        return value;
    }

    private static void tell(OutputStream report, long high, long low, String status, String detail)
            throws IOException {
        String rest = " " + status + " " + detail + "\n";
        for (int shift = 60; shift >= 0; shift -= 4) report.write(HEXADECIMAL.charAt((int) (high >>> shift) & 15));
        for (int shift = 60; shift >= 0; shift -= 4) report.write(HEXADECIMAL.charAt((int) (low >>> shift) & 15));
        report.write(rest.getBytes(StandardCharsets.UTF_8));
        report.flush();
    }

    /** Take the way to raw memory, and so to the stack that holds the token, from the program. */
    private static void disarm() {
        try {
            Class<?> type = Class.forName("sun.misc.Unsafe");
            Field one = type.getDeclaredField("theUnsafe");
            one.setAccessible(true);
            Object unsafe = one.get(null);
            Method baseOf = type.getMethod("staticFieldBase", Field.class);
            Method offsetOf = type.getMethod("staticFieldOffset", Field.class);
            Method put = type.getMethod("putObject", Object.class, long.class, Object.class);
            Field[] fields = {one, type.getDeclaredField("theInternalUnsafe")};
            Object[] bases = {baseOf.invoke(unsafe, fields[0]), baseOf.invoke(unsafe, fields[1])};
            Object[] offsets = {offsetOf.invoke(unsafe, fields[0]), offsetOf.invoke(unsafe, fields[1])};
            for (int i = 0; i < fields.length; i++) put.invoke(unsafe, bases[i], offsets[i], null);
        } catch (ReflectiveOperationException | RuntimeException absent) {
            return; // this JDK has none, or keeps it to itself
        }
    }
}
