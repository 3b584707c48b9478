/**
 * The parts of tests that go on where a solution stops: braces that close what the solution left open, and in between
 * the members that the tests add to its class.
 */
final class JavaTestsText {
    /** The members of the solution's class that the tests add. */
    final String members;

    /** The braces that the solution lacks. */
    final String closers;

    private JavaTestsText(String members, String closers) {
        this.members = members;
        this.closers = closers;
    }

    /** Null where the tests are not of this form: they are no members of one class, or close nothing. */
    static JavaTestsText of(String tests) {
        String members = null;
        int depth = 0, begun = 0, closed = 0;
        for (int at = 0; at < tests.length(); at++) {
            int token = skipped(tests, at);
            if (token > at) {
                at = token - 1;
                continue;
            }
            if (tests.charAt(at) == '{') depth++;
            if (tests.charAt(at) != '}' || --depth >= 0) continue;
            String before = tests.substring(begun, at);
            if (hasCode(before)) {
                if (members != null) return null;
                members = before;
            } else if (members != null) {
                return null; // it would close more than the class
            }
            depth = 0;
            closed++;
            begun = at + 1;
        }
        if (depth != 0 || members == null || hasCode(tests.substring(begun))) return null;
        return new JavaTestsText(members, "}".repeat(closed));
    }

    private static boolean hasCode(String text) {
        for (int at = 0; at < text.length(); at++) {
            int token = text.charAt(at) == '/' ? skipped(text, at) : at;
            if (token > at) at = token - 1;
            else if (!Character.isWhitespace(text.charAt(at))) return true;
        }
        return false;
    }

    /** The end of the comment, string or character that begins here; {@code at} where none does. */
    private static int skipped(String text, int at) {
        if (text.startsWith("//", at)) return ended(text, "\n", at + 2);
        if (text.startsWith("/*", at)) return ended(text, "*/", at + 2);
        if (text.startsWith("\"\"\"", at)) return quoted(text, "\"\"\"", at + 3);
        if (text.startsWith("\"", at)) return quoted(text, "\"", at + 1);
        return text.startsWith("'", at) ? quoted(text, "'", at + 1) : at;
    }

    private static int ended(String text, String end, int at) {
        int found = text.indexOf(end, at);
        return found < 0 ? text.length() : found + end.length();
    }

    private static int quoted(String text, String end, int at) {
        while (at < text.length() && !text.startsWith(end, at)) at += text.charAt(at) == '\\' ? 2 : 1;
        return Math.min(at + end.length(), text.length());
    }
}
