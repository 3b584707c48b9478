/** What a program's end says about it: a status and a detail. */
final class JavaVerdict {
    static final String ODD = "again";

    private static final int LONGEST_DETAIL = 300;

    final String status;
    final String detail;

    /** Whether its text could be had: if not, the JVM may not be as it was. */
    final boolean sure;

    private JavaVerdict(String status, String detail, boolean sure) {
        this.status = status;
        this.detail = detail;
        this.sure = sure;
    }

    /** The verdict on what a program threw; null: nothing. Its text is the program's code, and may fail in turn. */
    static JavaVerdict of(Throwable thrown) {
        if (thrown == null) return new JavaVerdict("passed", "", true);
        try {
            return new JavaVerdict(statusOf(thrown), oneLine(thrown.toString()), true);
        } catch (Throwable itsOwn) {
            return new JavaVerdict("error", thrown.getClass().getName(), false);
        }
    }

    /** The verdict where only a JVM of the program's own can tell. */
    static JavaVerdict odd(Throwable thrown) {
        return new JavaVerdict(ODD, thrown.getClass().getName(), false);
    }

    private static String statusOf(Throwable thrown) {
        if (thrown instanceof AssertionError) return "failed";
        if (thrown instanceof OutOfMemoryError) return "out-of-memory";
        return "error";
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
}
