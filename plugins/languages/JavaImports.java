import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The imports that a source begins with, and what a simple name means by them: a class of the JDK's or the library's.
 * No code of a program is loaded: only classes that stand beside us are looked for, and none is initialised.
 */
final class JavaImports {
    private static final Pattern SKIPPED = Pattern.compile("\\s+|//[^\\n]*|/\\*.*?\\*/", Pattern.DOTALL);
    private static final Pattern IMPORT =
            Pattern.compile("import\\s+(static\\s+)?([\\w$]+(?:\\s*\\.\\s*[\\w$]+)*(?:\\s*\\.\\s*\\*)?)\\s*;");
    private static final Pattern PACKAGE = Pattern.compile("package\\s+([\\w$]+(?:\\s*\\.\\s*[\\w$]+)*)\\s*;");
    private static final int MOST_KNOWN = 20_000;
    private static final Map<String, Boolean> KNOWN = new HashMap<>();

    /** The package that the source says it is in, with a dot; mostly empty. */
    final String inPackage;

    /** The package and the imports, in a line. */
    final String text;

    private final List<String> statics = new ArrayList<>();
    private final List<String> single = new ArrayList<>();
    private final Set<String> packages = new LinkedHashSet<>();

    JavaImports(String source) {
        packages.add("java.lang");
        int at = skipped(source, 0);
        Matcher named = PACKAGE.matcher(source).region(at, source.length());
        inPackage = named.lookingAt() ? named.group(1).replaceAll("\\s", "") + "." : "";
        if (!inPackage.isEmpty()) at = skipped(source, named.end());
        for (Matcher found = IMPORT.matcher(source); found.find(at) && found.start() == at; ) {
            String name = found.group(2).replaceAll("\\s", "");
            if (found.group(1) != null) statics.add(name);
            else if (name.endsWith(".*")) packages.add(name.substring(0, name.length() - 2));
            else single.add(name);
            at = skipped(source, found.end());
        }
        text = packages + " " + single + " " + statics + " " + inPackage;
    }

    private static int skipped(String source, int at) {
        Matcher blank = SKIPPED.matcher(source);
        while (blank.region(at, source.length()).lookingAt()) at = blank.end();
        return at;
    }

    /** The full name of the class that a simple name means; null where these imports give it no meaning. */
    String meaningOf(String simple) {
        for (String name : single) {
            if (name.endsWith("." + simple)) return name;
        }
        for (String where : packages) {
            if (exists(where + "." + simple)) return where + "." + simple;
        }
        return null;
    }

    String packageLine() {
        return inPackage.isEmpty() ? "" : "package " + inPackage.substring(0, inPackage.length() - 1) + "; ";
    }

    /** The static imports, as a source writes them. */
    String staticImports() {
        StringBuilder lines = new StringBuilder();
        for (String name : statics) lines.append("import static ").append(name).append("; ");
        return lines.toString();
    }

    /** Whether a class of the JDK's, or the class that a member is imported from, has a method of that name. */
    boolean importsMethod(String method) {
        for (String name : statics) {
            String last = name.substring(name.lastIndexOf('.') + 1);
            String owner = name.substring(0, name.lastIndexOf('.'));
            if ((last.equals("*") || last.equals(method)) && hasMethod(owner, method)) return true;
        }
        return false;
    }

    /** Whether a class beside us can be asked, and has a method that others inherit or call. */
    static boolean hasMethod(String type, String method) {
        try {
            for (Class<?> at = found(type); at != null; at = at.getSuperclass()) {
                for (Method each : at.getDeclaredMethods()) {
                    if (each.getName().equals(method)) return true;
                }
                for (Method each : at.getMethods()) {
                    if (each.getName().equals(method)) return true;
                }
            }
            return false;
        } catch (ClassNotFoundException | LinkageError unknown) {
            return true;
        }
    }

    private static boolean exists(String name) {
        if (KNOWN.size() > MOST_KNOWN) KNOWN.clear();
        return KNOWN.computeIfAbsent(name, JavaImports::isFound);
    }

    private static boolean isFound(String name) {
        try {
            return Modifier.isPublic(found(name).getModifiers());
        } catch (ClassNotFoundException | LinkageError none) {
            return false;
        }
    }

    private static Class<?> found(String name) throws ClassNotFoundException {
        boolean ours = name.startsWith("org.javatuples.");
        ClassLoader loader = ours ? JavaImports.class.getClassLoader() : ClassLoader.getPlatformClassLoader();
        return Class.forName(name, false, loader);
    }
}
