import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.Trees;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;

/**
 * Compiles one program after the other. An error is believed from a compilation that started with nothing known, or not
 * at all: what the warm compiler refuses is compiled once more so, and what javac did not survive makes it useless.
 */
final class JavaCompilation {
    private static final List<String> OPTIONS =
            List.of("-proc:none", "-nowarn", "-Xlint:none", "-g:none", "-implicit:none");
    private static final int MOST_KNOWN = 200; // tests: the same ones come with many solutions
    private static final Pattern PACKAGE = Pattern.compile("\\bpackage\\b|\\\\u");

    /** A program that does not compile. {@code odd}: only a JVM that has compiled nothing else can be sure of it. */
    static final class Refusal extends Exception {
        private static final long serialVersionUID = 1L;
        final boolean odd;

        Refusal(boolean odd, String message) {
            super(message);
            this.odd = odd;
        }
    }

    private final JavaCompiler compiler;
    private final JavaSources files;
    private final JavaWarmCompiler warm;
    private final Map<String, Tests> known = new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Tests> eldest) {
            return size() > MOST_KNOWN;
        }
    };

    JavaCompilation(JavaCompiler compiler, JavaSources files) {
        this.compiler = compiler;
        this.files = files;
        this.warm = new JavaWarmCompiler(compiler, OPTIONS);
    }

    /** The program compiled, its tests apart where they can be. */
    JavaCompiled compile(String entry, String source, String tests) throws IOException, Refusal {
        JavaImports imports = new JavaImports(source);
        Tests apart = known.get(entry + "\n" + imports.text + "\n" + tests);
        if (apart == null) known.put(entry + "\n" + imports.text + "\n" + tests, apart = parsed(entry, imports, tests));
        if (apart.checked == null) {
            return new JavaCompiled(classesOf(List.of(JavaSources.source(entry, source + "\n" + tests))), "");
        }
        JavaFileObject solution = JavaSources.source(entry, source + "\n" + apart.closers);
        String main = imports.inPackage + JavaTestsUnit.NAME;
        JavaCompiled compiled = apart(solution, main, apart.checked);
        String problem = compiled.misleads(entry, imports);
        if (problem != null) throw new Refusal(false, problem);
        return compiled.sharedTypes(entry).isEmpty() ? compiled : apart(solution, main, apart.unchecked);
    }

    /** {@code texts}: of the tests' unit, two guesses at what is in the solution's class; they are mostly the same. */
    private JavaCompiled apart(JavaFileObject solution, String main, List<String> texts) throws Refusal {
        try {
            return new JavaCompiled(classesOf(List.of(solution, JavaSources.source(main, texts.get(0)))), main);
        } catch (Refusal refusal) {
            if (refusal.odd || texts.get(0).equals(texts.get(1))) throw refusal;
            return new JavaCompiled(classesOf(List.of(solution, JavaSources.source(main, texts.get(1)))), main);
        }
    }

    /** Tests that were made a unit; with nulls where they cannot be one, or have no main. */
    private static final class Tests {
        private String closers;
        private List<String> checked;
        private List<String> unchecked;
    }

    private Tests parsed(String entry, JavaImports imports, String tests) throws IOException {
        Tests made = new Tests();
        JavaTestsText text = JavaTestsText.of(tests);
        if (text == null) return made;
        DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
        List<JavaFileObject> sources = List.of(JavaSources.source(JavaTestsUnit.NAME, JavaTestsUnit.toParse(text)));
        JavacTask task = (JavacTask) compiler.getTask(null, files, found, OPTIONS, null, sources);
        List<CompilationUnitTree> units = new ArrayList<>();
        task.parse().forEach(units::add);
        if (!errorsIn(found).isEmpty() || units.size() != 1) return made;
        JavaTestsUnit unit =
                new JavaTestsUnit(entry, imports, text, units.get(0), Trees.instance(task).getSourcePositions());
        if (!unit.hasMain()) return made;
        made.closers = text.closers;
        made.checked = List.of(unit.source(true, true), unit.source(true, false));
        made.unchecked = List.of(unit.source(false, true), unit.source(false, false));
        return made;
    }

    /** The classes that units compile to. */
    private Map<String, byte[]> classesOf(List<JavaFileObject> units) throws Refusal {
        files.take();
        boolean warmly = true;
        for (JavaFileObject each : units) {
            try {
                warmly &= !PACKAGE.matcher(each.getCharContent(true)).find();
            } catch (IOException impossible) {
                throw new IllegalStateException(impossible);
            }
        }
        if (warmly) {
            DiagnosticCollector<JavaFileObject> ignored = new DiagnosticCollector<>();
            JavaWarmCompiler.Ending ending = warm.compile(files, ignored, units);
            Map<String, byte[]> classes = files.take();
            if (ending == JavaWarmCompiler.Ending.COMPILED) return classes;
            if (ending == JavaWarmCompiler.Ending.GAVE_UP) throw refusal(true, ignored);
        }
        DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
        JavaWarmCompiler.Ending ending = warm.compileAfresh(files, found, units);
        if (ending != JavaWarmCompiler.Ending.COMPILED) {
            throw refusal(ending == JavaWarmCompiler.Ending.GAVE_UP || hasLimit(found), found);
        }
        if (warmly) warm.forget(); // it refused what is right
        return files.take();
    }

    private static Refusal refusal(boolean odd, DiagnosticCollector<JavaFileObject> found) {
        List<Diagnostic<? extends JavaFileObject>> errors = errorsIn(found);
        if (errors.isEmpty()) return new Refusal(true, "the compiler gave up: nested too deeply, or too large");
        Diagnostic<? extends JavaFileObject> first = errors.get(0);
        return new Refusal(odd, "line " + first.getLineNumber() + ": " + first.getMessage(Locale.ROOT));
    }

    private static List<Diagnostic<? extends JavaFileObject>> errorsIn(DiagnosticCollector<JavaFileObject> found) {
        List<Diagnostic<? extends JavaFileObject>> errors = new ArrayList<>();
        for (Diagnostic<? extends JavaFileObject> each : found.getDiagnostics()) {
            if (each.getKind() == Diagnostic.Kind.ERROR) errors.add(each);
        }
        return errors;
    }

    /** Whether javac met a limit of class files' in writing them: it stops half way, and later ones may suffer. */
    private static boolean hasLimit(DiagnosticCollector<JavaFileObject> found) {
        return errorsIn(found).stream()
                .anyMatch(each -> String.valueOf(each.getCode()).startsWith("compiler.err.limit"));
    }
}
