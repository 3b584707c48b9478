import com.sun.source.tree.AssertTree;
import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.ExpressionStatementTree;
import com.sun.source.tree.ExpressionTree;
import com.sun.source.tree.IdentifierTree;
import com.sun.source.tree.LambdaExpressionTree;
import com.sun.source.tree.MemberSelectTree;
import com.sun.source.tree.MethodInvocationTree;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.NewClassTree;
import com.sun.source.tree.Tree;
import com.sun.source.tree.VariableTree;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreeScanner;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Tests as a compilation unit of their own. Written to stand in the solution's class, they stand in one of ours: a
 * method or constant that is not theirs is the solution's class's; a name of the JDK's is imported by its full name, so
 * that no class of the solution's can take its place; an assertion throws by itself, so that nothing can turn it off;
 * and values that the solution returns go through JavaValues, unless the tests deal in classes of the solution's own.
 */
final class JavaTestsUnit {
    static final String NAME = "QHarnessTests";
    private static final String VALUES = "qharness.JavaValues.";
    private static final Set<String> NOT_OURS = Set.of("this", "super", "java", "javax", "org", NAME);

    private final String entry;
    private final JavaImports imports;
    private final String body;
    private final int offset;
    private final CompilationUnitTree unit;
    private final SourcePositions positions;
    private final Set<String> variables = new HashSet<>();
    private final Map<String, String> typesOfVariables = new HashMap<>();
    private final Set<String> methods = new HashSet<>();
    private final Set<String> types = new HashSet<>();
    private final List<Edit> edits = new ArrayList<>();

    /** {@code unit}: what was parsed from {@link #toParse}. */
    JavaTestsUnit(
            String entry,
            JavaImports imports,
            JavaTestsText tests,
            CompilationUnitTree unit,
            SourcePositions positions) {
        this.entry = entry;
        this.imports = imports;
        this.body = tests.members;
        this.offset = HEAD.length();
        this.unit = unit;
        this.positions = positions;
    }

    private static final String HEAD = "class " + NAME + " {\n";

    /** What is to be parsed for these tests. */
    static String toParse(JavaTestsText tests) {
        return HEAD + tests.members + "\n}";
    }

    /**
     * The unit's source. {@code checked}: values go through JavaValues. {@code qualified}: a constant or class that is
     * nobody else's is one in the solution's class, and not beside it.
     */
    String source(boolean checked, boolean qualified) {
        edits.clear();
        new Declarations().scan(unit, null);
        Names names = new Names(checked && types.isEmpty(), qualified);
        names.scan(unit, null);
        StringBuilder imported = new StringBuilder(imports.packageLine() + imports.staticImports());
        for (String name : names.imported) imported.append("import ").append(name).append("; ");
        return imported + "public final " + HEAD + edited() + "\n}";
    }

    /** Whether there is a main to run. */
    boolean hasMain() {
        new Declarations().scan(unit, null);
        return methods.contains("main");
    }

    private String edited() {
        edits.sort(Comparator.comparingInt((Edit each) -> each.start).thenComparingInt(each -> each.order));
        StringBuilder text = new StringBuilder();
        int at = 0;
        for (Edit each : edits) {
            text.append(body, at, each.start).append(each.text);
            at = Math.max(at, each.end);
        }
        return text.append(body, at, body.length()).toString();
    }

    private int start(Tree tree) {
        return (int) positions.getStartPosition(unit, tree) - offset;
    }

    private int end(Tree tree) {
        return (int) positions.getEndPosition(unit, tree) - offset;
    }

    /** A stretch of the tests that is replaced. Of those at one place, closing ones come first, then outer ones. */
    private static final class Edit {
        private final int start;
        private final int end;
        private final String text;
        private final int order;

        Edit(int start, int end, String text, int order) {
            this.start = start;
            this.end = end;
            this.text = text;
            this.order = order;
        }
    }

    /** What the tests declare themselves. */
    private final class Declarations extends TreeScanner<Void, Void> {
        @Override
        public Void visitVariable(VariableTree tree, Void none) {
            String name = tree.getName().toString();
            variables.add(name);
            Tree made = tree.getInitializer() instanceof NewClassTree
                    ? ((NewClassTree) tree.getInitializer()).getIdentifier()
                    : tree.getType();
            typesOfVariables.put(name, String.valueOf(made));
            return super.visitVariable(tree, none);
        }

        @Override
        public Void visitMethod(MethodTree tree, Void none) {
            methods.add(tree.getName().toString());
            return super.visitMethod(tree, none);
        }

        @Override
        public Void visitClass(ClassTree tree, Void none) {
            if (tree.getSimpleName().length() > 0 && !tree.getSimpleName().contentEquals(NAME)) {
                types.add(tree.getSimpleName().toString());
            }
            return super.visitClass(tree, none);
        }
    }

    /** What the tests' names mean, and the edits that make sure of it. */
    private final class Names extends TreeScanner<Void, Void> {
        private final Set<String> imported = new TreeSet<>();
        private final boolean checked;
        private final Set<Tree> unchecked = Collections.newSetFromMap(new IdentityHashMap<>());
        private final Deque<String> supertypes = new ArrayDeque<>();
        private final boolean qualified;
        private int order;

        Names(boolean checked, boolean qualified) {
            this.checked = checked;
            this.qualified = qualified;
        }

        @Override
        public Void visitIdentifier(IdentifierTree tree, Void none) {
            String name = tree.getName().toString();
            String meaning = types.contains(name) || name.equals(entry) ? null : imports.meaningOf(name);
            if (meaning != null) imported.add(meaning);
            else if (qualified && isTheSolutions(name)) edit(start(tree), start(tree), entry + ".");
            return super.visitIdentifier(tree, none);
        }

        private boolean isTheSolutions(String name) {
            boolean theTests = variables.contains(name) || types.contains(name);
            return !theTests && !NOT_OURS.contains(name) && !name.equals(entry);
        }

        @Override
        public Void visitNewClass(NewClassTree tree, Void none) {
            if (tree.getClassBody() == null) return super.visitNewClass(tree, none);
            scan(tree.getEnclosingExpression(), none);
            scan(tree.getIdentifier(), none);
            scan(tree.getTypeArguments(), none);
            scan(tree.getArguments(), none);
            supertypes.push(erased(tree.getIdentifier()));
            scan(tree.getClassBody(), none);
            supertypes.pop();
            return null;
        }

        @Override
        public Void visitExpressionStatement(ExpressionStatementTree tree, Void none) {
            unchecked.add(tree.getExpression());
            return super.visitExpressionStatement(tree, none);
        }

        @Override
        public Void visitLambdaExpression(LambdaExpressionTree tree, Void none) {
            unchecked.add(tree.getBody());
            return super.visitLambdaExpression(tree, none);
        }

        @Override
        public Void visitAssert(AssertTree tree, Void none) {
            edit(start(tree), start(tree.getCondition()), "{ if (!(");
            scan(tree.getCondition(), none);
            String detail = "";
            if (tree.getDetail() != null) {
                edit(end(tree.getCondition()), start(tree.getDetail()), ")) throw new java.lang.AssertionError(");
                scan(tree.getDetail(), none);
                close(end(tree.getDetail()), end(tree), "); }");
            } else {
                close(end(tree.getCondition()), end(tree), ")) throw new java.lang.AssertionError(); }");
            }
            return null;
        }

        @Override
        public Void visitMethodInvocation(MethodInvocationTree tree, Void none) {
            ExpressionTree method = tree.getMethodSelect();
            if (method instanceof IdentifierTree) {
                String name = ((IdentifierTree) method).getName().toString();
                if (!isOurs(name)) wrap(tree, entry + ".");
                scan(tree.getTypeArguments(), none);
                return scan(tree.getArguments(), none);
            }
            if (method instanceof MemberSelectTree) {
                MemberSelectTree select = (MemberSelectTree) method;
                if (checked && asksForEquality(tree, select)) return equality(tree, select);
                if (isEntry(select.getExpression())) wrap(tree, "");
            }
            return super.visitMethodInvocation(tree, none);
        }

        private void wrap(MethodInvocationTree tree, String qualifier) {
            boolean open = checked && !unchecked.contains(tree);
            if (open || !qualifier.isEmpty()) edit(start(tree), start(tree), (open ? VALUES + "of(" : "") + qualifier);
            if (open) close(end(tree), end(tree), ")");
        }

        private boolean asksForEquality(MethodInvocationTree tree, MemberSelectTree select) {
            if (!select.getIdentifier().contentEquals("equals") || tree.getArguments().size() != 1) return false;
            if (!(select.getExpression() instanceof IdentifierTree)) return true;
            String receiver = select.getExpression().toString();
            return !receiver.equals("super") && (variables.contains(receiver) || imports.meaningOf(receiver) == null);
        }

        private Void equality(MethodInvocationTree tree, MemberSelectTree select) {
            edit(start(tree), start(tree), VALUES + "equal(");
            scan(select.getExpression(), null);
            ExpressionTree other = tree.getArguments().get(0);
            close(end(select.getExpression()), start(other), ", ");
            scan(other, null);
            close(end(other), end(tree), ")");
            return null;
        }

        /** Whether an expression is the solution's class, or an object that the tests made of it. */
        private boolean isEntry(ExpressionTree tree) {
            if (tree instanceof NewClassTree) return ((NewClassTree) tree).getIdentifier().toString().equals(entry);
            String name = tree.toString();
            return variables.contains(name) ? entry.equals(typesOfVariables.get(name)) : name.equals(entry);
        }

        /** Whether a method called by its name alone is the tests' own, an import, or of a class that they extend. */
        private boolean isOurs(String method) {
            if (methods.contains(method) || method.equals("this") || method.equals("super")) return true;
            if (imports.importsMethod(method)) return true;
            for (String type : supertypes) {
                String meaning = types.contains(type) ? null : imports.meaningOf(type);
                if (meaning == null || JavaImports.hasMethod(meaning, method)) return true;
            }
            return !types.isEmpty();
        }

        private void edit(int start, int end, String text) {
            edits.add(new Edit(start, end, text, ++order));
        }

        /** An edit that ends something: it stands before those that begin at the same place. */
        private void close(int start, int end, String text) {
            edits.add(new Edit(start, end, text, -(1 << 20) + ++order));
        }
    }

    private static String erased(Tree type) {
        String text = type.toString();
        return text.indexOf('<') < 0 ? text : text.substring(0, text.indexOf('<'));
    }
}
