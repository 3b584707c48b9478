import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A compiled program: the solution's classes, and the tests' where they were compiled apart. */
final class JavaCompiled {
    private static final Pattern NAMES = Pattern.compile("L([^;<]+)");
    private static final Set<String> MISLEADING = Set.of("java", "javax", "org", "qharness");

    private final Map<String, byte[]> solution = new TreeMap<>();
    private final Map<String, byte[]> tests = new TreeMap<>();
    private final Map<String, JavaClassFile> files = new TreeMap<>();
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
    String misleads(String entry, JavaImports imports) throws IOException {
        for (String name : solution.keySet()) {
            if (MISLEADING.contains(name.substring(name.lastIndexOf('.') + 1))) {
                return "a class that is named like a package: " + name;
            }
        }
        if (!solution.containsKey(entry)) return "no class " + entry;
        List<JavaClassFile.Member> declared = file(solution, entry).declared;
        for (JavaClassFile.Member call : callsOf(entry)) {
            JavaClassFile.Member first = firstLike(declared, call);
            if (first != null && !first.descriptor.equals(call.descriptor)) {
                return "an overload of " + call.name + " takes the tests' calls from the first one";
            }
        }
        for (String name : sharedTypes(entry)) {
            String simple = name.substring(Math.max(name.lastIndexOf('$'), name.lastIndexOf('.')) + 1);
            if (imports.meaningOf(simple) != null) return "a class of its own in place of " + imports.meaningOf(simple);
        }
        return null;
    }

    /** The classes of the solution's own besides {@code entry} that the tests deal in, by their binary names. */
    Set<String> sharedTypes(String entry) throws IOException {
        Set<String> shared = new TreeSet<>();
        List<JavaClassFile.Member> declared = file(solution, entry).declared;
        for (String each : tests.keySet()) {
            for (String named : file(tests, each).named) addOwn(shared, "L" + named.replaceAll("^\\[+L?", "") + ";");
        }
        for (JavaClassFile.Member call : callsOf(entry)) {
            addOwn(shared, call.descriptor);
            for (JavaClassFile.Member each : declared) {
                boolean called = each.name.equals(call.name) && each.descriptor.equals(call.descriptor);
                if (called) addOwn(shared, each.signature);
            }
        }
        shared.remove(entry);
        return shared;
    }

    private void addOwn(Set<String> shared, String types) {
        for (Matcher type = NAMES.matcher(types); type.find(); ) {
            String name = type.group(1).replace('/', '.');
            if (solution.containsKey(name)) shared.add(name);
        }
    }

    private JavaClassFile file(Map<String, byte[]> some, String name) throws IOException {
        if (!files.containsKey(name)) files.put(name, new JavaClassFile(some.get(name)));
        return files.get(name);
    }

    private Set<JavaClassFile.Member> callsOf(String entry) throws IOException {
        Set<JavaClassFile.Member> calls = new HashSet<>();
        for (String each : tests.keySet()) {
            for (JavaClassFile.Member used : file(tests, each).used) {
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
            for (Map.Entry<String, byte[]> each : solution.entrySet()) {
                each.setValue(file(solution, each.getKey()).opened());
            }
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
