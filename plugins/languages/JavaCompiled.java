import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A compiled program: the solution's classes, and the tests' where they were compiled apart. */
final class JavaCompiled {
    private static final Pattern NAMES = Pattern.compile("L([^;<]+)");
    private static final Set<String> MISLEADING = Set.of("java", "javax", "org", "qharness");

    private final Map<String, byte[]> solution = new TreeMap<>();
    private final Map<String, byte[]> tests = new TreeMap<>();
    private final String main;

    /** {@code main}: the tests' class; empty where the solution's own is run. */
    JavaCompiled(Map<String, byte[]> classes, String main) {
        this.main = main;
        for (Map.Entry<String, byte[]> each : classes.entrySet()) {
            boolean ofTests = !main.isEmpty() && (each.getKey() + "$").startsWith(main + "$");
            (ofTests ? tests : solution).put(each.getKey(), each.getValue());
        }
    }

    /** What is wrong with the solution for tests that trust names; null: nothing. */
    String misleads(String entry) throws IOException {
        for (String name : solution.keySet()) {
            if (MISLEADING.contains(name.substring(name.lastIndexOf('.') + 1))) return "a class that is named like a package: " + name;
        }
        byte[] bytes = solution.get(entry);
        if (bytes == null) return "no class " + entry;
        List<JavaClassFile.Member> declared = new JavaClassFile(bytes).declared;
        for (JavaClassFile.Member call : callsOf(entry)) {
            JavaClassFile.Member first = firstLike(declared, call);
            if (first != null && !first.descriptor.equals(call.descriptor)) {
                return "an overload of " + call.name + " takes the tests' calls from the first one";
            }
        }
        return null;
    }

    /** Whether the tests deal in classes of the solution's own besides {@code entry}. */
    boolean sharesTypes(String entry) throws IOException {
        List<JavaClassFile.Member> declared = new JavaClassFile(solution.get(entry)).declared;
        for (byte[] each : tests.values()) {
            for (String named : new JavaClassFile(each).named) {
                if (isOwn(named.replaceAll("^\\[+L?|;$", "")) && !named.equals(entry.replace('.', '/'))) return true;
            }
        }
        for (JavaClassFile.Member call : callsOf(entry)) {
            if (namesOwn(call.descriptor)) return true;
            for (JavaClassFile.Member each : declared) {
                if (each.name.equals(call.name) && each.descriptor.equals(call.descriptor) && namesOwn(each.signature)) return true;
            }
        }
        return false;
    }

    private boolean namesOwn(String types) {
        for (Matcher type = NAMES.matcher(types); type.find(); ) {
            if (isOwn(type.group(1))) return true;
        }
        return false;
    }

    private boolean isOwn(String binaryName) {
        return solution.containsKey(binaryName.replace('/', '.'));
    }

    private Set<JavaClassFile.Member> callsOf(String entry) throws IOException {
        Set<JavaClassFile.Member> calls = new HashSet<>();
        for (byte[] each : tests.values()) {
            for (JavaClassFile.Member used : new JavaClassFile(each).used) {
                if (used.owner.equals(entry.replace('.', '/')) && used.descriptor.startsWith("(")) calls.add(used);
            }
        }
        return calls;
    }

    /** The first method of that name with as many parameters. */
    private static JavaClassFile.Member firstLike(List<JavaClassFile.Member> declared, JavaClassFile.Member call) {
        for (JavaClassFile.Member each : declared) {
            if (each.name.equals(call.name) && !each.name.equals("<init>") && arity(each) == arity(call)) return each;
        }
        return null;
    }

    private static int arity(JavaClassFile.Member method) {
        String parameters = method.descriptor.substring(1, Math.max(method.descriptor.indexOf(')'), 1));
        return parameters.replaceAll("\\[*(L[^;]+;|.)", "x").length();
    }

    boolean isHarmless() {
        Map<String, byte[]> all = new TreeMap<>(solution);
        all.putAll(tests);
        return JavaScreen.harmless(all);
    }

    /** In base64, for JavaProgram. */
    String packed() throws IOException {
        if (!tests.isEmpty()) {
            for (Map.Entry<String, byte[]> each : solution.entrySet()) each.setValue(new JavaClassFile(each.getValue()).opened());
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeUTF(main);
        for (Map<String, byte[]> some : List.of(solution, tests)) {
            out.writeInt(some.size());
            for (Map.Entry<String, byte[]> each : some.entrySet()) {
                out.writeUTF(each.getKey());
                out.writeInt(each.getValue().length);
                out.write(each.getValue());
            }
        }
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
    }
}
