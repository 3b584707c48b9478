import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.net.URI;
import java.util.Map;
import java.util.TreeMap;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;

/** Sources in memory, and what becomes of them. */
final class JavaSources extends ForwardingJavaFileManager<JavaFileManager> {
    private Map<String, byte[]> classes = new TreeMap<>();

    JavaSources(JavaFileManager files) {
        super(files);
    }

    /** The classes that were compiled since this was called last, by their names. */
    Map<String, byte[]> take() {
        Map<String, byte[]> taken = classes;
        classes = new TreeMap<>();
        return taken;
    }

    static JavaFileObject source(String name, String code) {
        URI address = URI.create("string:///" + name.replace('.', '/') + ".java");
        return new SimpleJavaFileObject(address, JavaFileObject.Kind.SOURCE) {
            @Override
            public CharSequence getCharContent(boolean ignoreEncodingErrors) {
                return code;
            }
        };
    }

    @Override
    public JavaFileObject getJavaFileForOutput(
            Location location, String className, JavaFileObject.Kind kind, FileObject sibling) {
        return new SimpleJavaFileObject(URI.create("memory:///" + className.replace('.', '/') + ".class"), kind) {
            @Override
            public OutputStream openOutputStream() {
                return new ByteArrayOutputStream() {
                    @Override
                    public void close() {
                        classes.put(className, toByteArray());
                    }
                };
            }
        };
    }
}
