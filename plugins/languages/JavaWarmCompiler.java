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
    private static final String POOL = "com.sun.tools.javac.api.JavacTaskPool";

    private final JavaCompiler compiler;
    private final List<String> options;
    private Object pool;

    JavaWarmCompiler(JavaCompiler compiler, List<String> options) {
        this.compiler = compiler;
        this.options = options;
        reset();
    }

    /** Whether {@code units} compiled. After an error that the compiler did not survive, nothing is kept. */
    boolean compile(
            JavaFileManager files, DiagnosticListener<JavaFileObject> listener, List<? extends JavaFileObject> units) {
        if (pool == null) return compiler.getTask(null, files, listener, options, null, units).call();
        try {
            Class<?> worker = Class.forName(POOL + "$Worker");
            Object call = Proxy.newProxyInstance(
                    JavaWarmCompiler.class.getClassLoader(),
                    new Class<?>[] {worker},
                    (self, method, task) -> ((JavaCompiler.CompilationTask) task[0]).call());
            for (Method method : pool.getClass().getMethods()) {
                if (method.getName().equals("getTask")) {
                    return (Boolean) method.invoke(pool, null, files, listener, options, null, units, call);
                }
            }
            throw new NoSuchMethodException("getTask");
        } catch (InvocationTargetException wrapped) {
            reset();
            if (wrapped.getCause() instanceof Error) throw (Error) wrapped.getCause();
            throw new IllegalStateException(wrapped.getCause());
        } catch (ReflectiveOperationException | IllegalArgumentException other) {
            pool = null; // another JDK's pool
            return compile(files, listener, units);
        }
    }

    private void reset() {
        try {
            pool = Class.forName(POOL).getConstructor(int.class).newInstance(1);
        } catch (ReflectiveOperationException none) {
            pool = null;
        }
    }
}
