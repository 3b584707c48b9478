import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.List;
import javax.tools.DiagnosticListener;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;

/**
 * javac with the classes of the JDK that it has read kept from one compilation to the next: a third of the time. The
 * JDK's own tools do so (JavacTaskPool, which JShell compiles with); it forgets the classes of each compilation, and
 * starts afresh after one that defined a class of the JDK's. Where a JDK has no such pool, each compilation starts afresh.
 *
 * <p>The file manager must be the same in every call.
 */
final class JavaWarmCompiler {
    /** How a compilation ended: what javac calls ABNORMAL, and all that it threw, is GAVE_UP. */
    enum Ending {
        COMPILED,
        REFUSED,
        GAVE_UP
    }

    private static final String POOL = "com.sun.tools.javac.api.JavacTaskPool";

    private final JavaCompiler compiler;
    private final List<String> options;
    private Object pool;

    JavaWarmCompiler(JavaCompiler compiler, List<String> options) {
        this.compiler = compiler;
        this.options = options;
        forget();
    }

    /** Compile with what is known of the JDK's classes from earlier compilations. */
    Ending compile(
            JavaFileManager files, DiagnosticListener<JavaFileObject> listener, List<? extends JavaFileObject> units) {
        if (pool == null) return compileAfresh(files, listener, units);
        try {
            Class<?> worker = Class.forName(POOL + "$Worker");
            Object call = Proxy.newProxyInstance(
                    JavaWarmCompiler.class.getClassLoader(),
                    new Class<?>[] {worker},
                    (self, method, task) -> ended((JavaCompiler.CompilationTask) task[0]));
            for (Method method : pool.getClass().getMethods()) {
                if (method.getName().equals("getTask")) {
                    return (Ending) method.invoke(pool, null, files, listener, options, null, units, call);
                }
            }
            throw new NoSuchMethodException("getTask");
        } catch (InvocationTargetException wrapped) {
            return Ending.GAVE_UP;
        } catch (ReflectiveOperationException | IllegalArgumentException other) {
            pool = null; // another JDK's pool
            return compileAfresh(files, listener, units);
        }
    }

    /** Compile with nothing known. */
    Ending compileAfresh(
            JavaFileManager files, DiagnosticListener<JavaFileObject> listener, List<? extends JavaFileObject> units) {
        return ended(compiler.getTask(null, files, listener, options, null, units));
    }

    /** Start afresh from the next compilation on. */
    void forget() {
        try {
            pool = Class.forName(POOL).getConstructor(int.class).newInstance(1);
        } catch (ReflectiveOperationException none) {
            pool = null;
        }
    }

    /** {@code call} alone would not tell an error in the program from one that javac has swallowed. */
    private static Ending ended(JavaCompiler.CompilationTask task) {
        try {
            String result = String.valueOf(task.getClass().getMethod("doCall").invoke(task));
            if (result.startsWith("OK")) return Ending.COMPILED;
            return result.startsWith("ERROR") ? Ending.REFUSED : Ending.GAVE_UP;
        } catch (InvocationTargetException | StackOverflowError | OutOfMemoryError wrapped) {
            return Ending.GAVE_UP;
        } catch (ReflectiveOperationException other) {
            return task.call() ? Ending.COMPILED : Ending.REFUSED;
        }
    }
}
