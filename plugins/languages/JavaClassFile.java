import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** What we need of a class file (JVM specification, chapter 4): whom it names, extends, declares, calls and catches. */
final class JavaClassFile {
    static final int NATIVE = 0x0100;
    private static final int PUBLIC = 1, PRIVATE = 2, PROTECTED = 4;
    private static final int UTF8 = 1, INTEGER = 3, FLOAT = 4, LONG = 5, DOUBLE = 6, CLASS = 7, STRING = 8, FIELD = 9;
    private static final int METHOD = 10, INTERFACE_METHOD = 11, NAME_AND_TYPE = 12, METHOD_HANDLE = 15;
    private static final int METHOD_TYPE = 16, INVOKE_DYNAMIC = 18;

    /** A field or method that is named by the constant pool, with its owner, or declared, with its flags. */
    static final class Member {
        final String owner;
        final String name;
        final String descriptor;
        final int flags;
        /** The type with its generic arguments, where the member is declared and has any; else empty. */
        String signature = "";

        Member(String owner, String name, String descriptor, int flags) {
            this.owner = owner;
            this.name = name;
            this.descriptor = descriptor;
            this.flags = flags;
        }
    }

    final String superclass;
    final List<String> interfaces = new ArrayList<>();
    final List<String> named = new ArrayList<>();
    final List<Member> used = new ArrayList<>();
    final List<String> descriptors = new ArrayList<>();
    final List<Member> declared = new ArrayList<>();
    /** The types of the exception handlers; null for one of {@code finally} or {@code synchronized}. */
    final List<String> caught = new ArrayList<>();

    private final List<Integer> flagsAt = new ArrayList<>();
    private final byte[] bytes;
    private final DataInputStream in;
    private final String[] texts;
    private final int[] tags;
    private final int[] first;
    private final int[] second;

    /** Throws IOException for a file that is cut, and for kinds of constants that javac does not write. */
    JavaClassFile(byte[] bytes) throws IOException {
        this.bytes = bytes;
        in = new DataInputStream(new ByteArrayInputStream(bytes));
        in.skipBytes(8); // magic number and versions
        int count = in.readUnsignedShort();
        texts = new String[count];
        tags = new int[count];
        first = new int[count];
        second = new int[count];
        readConstants();
        resolveConstants();
        readFlags();
        in.skipBytes(2); // the class itself
        superclass = className(in.readUnsignedShort());
        for (int left = in.readUnsignedShort(); left > 0; left--) interfaces.add(className(in.readUnsignedShort()));
        readMembers();
        readMembers();
    }

    /** The file with all that is not private made public: to another loader's classes, its package is another. */
    byte[] opened() {
        byte[] opened = bytes.clone();
        for (int at : flagsAt) {
            int low = opened[at + 1];
            if ((low & PRIVATE) == 0) opened[at + 1] = (byte) (low & ~PROTECTED | PUBLIC);
        }
        return opened;
    }

    private int readFlags() throws IOException {
        flagsAt.add(bytes.length - in.available());
        return in.readUnsignedShort();
    }

    private void readConstants() throws IOException {
        for (int i = 1; i < tags.length; i++) {
            tags[i] = in.readUnsignedByte();
            switch (tags[i]) {
                case UTF8:
                    texts[i] = in.readUTF();
                    break;
                case INTEGER:
                case FLOAT:
                    in.skipBytes(4);
                    break;
                case LONG:
                case DOUBLE:
                    in.skipBytes(8);
                    i++; // these take two places
                    break;
                case CLASS:
                case STRING:
                case METHOD_TYPE:
                    first[i] = in.readUnsignedShort();
                    break;
                case METHOD_HANDLE:
                    in.skipBytes(3); // what it refers to stands in the pool too
                    break;
                case FIELD:
                case METHOD:
                case INTERFACE_METHOD:
                case NAME_AND_TYPE:
                case INVOKE_DYNAMIC:
                    first[i] = in.readUnsignedShort();
                    second[i] = in.readUnsignedShort();
                    break;
                default:
                    throw new IOException("constant of kind " + tags[i]);
            }
        }
    }

    private void resolveConstants() {
        for (int i = 1; i < tags.length; i++) {
            if (tags[i] == CLASS) named.add(className(i));
            if (tags[i] == METHOD_TYPE) descriptors.add(texts[first[i]]);
            if (tags[i] == INVOKE_DYNAMIC) descriptors.add(texts[second[second[i]]]);
            if (tags[i] == FIELD || tags[i] == METHOD || tags[i] == INTERFACE_METHOD) {
                String name = texts[first[second[i]]];
                used.add(new Member(className(first[i]), name, texts[second[second[i]]], 0));
            }
        }
    }

    private String className(int index) {
        return index == 0 ? null : texts[first[index]];
    }

    /** The class's fields or methods. */
    private void readMembers() throws IOException {
        for (int left = in.readUnsignedShort(); left > 0; left--) {
            int flags = readFlags();
            String name = texts[in.readUnsignedShort()];
            Member member = new Member(null, name, texts[in.readUnsignedShort()], flags);
            declared.add(member);
            for (int attributes = in.readUnsignedShort(); attributes > 0; attributes--) readAttribute(member);
        }
    }

    private void readAttribute(Member member) throws IOException {
        String name = texts[in.readUnsignedShort()];
        int length = in.readInt();
        if (name.equals("Signature")) {
            member.signature = texts[in.readUnsignedShort()];
            return;
        }
        if (!name.equals("Code")) {
            in.skipBytes(length);
            return;
        }
        in.skipBytes(4); // stack and locals
        in.skipBytes(in.readInt());
        for (int left = in.readUnsignedShort(); left > 0; left--) {
            in.skipBytes(6); // where
            caught.add(className(in.readUnsignedShort()));
        }
        for (int attributes = in.readUnsignedShort(); attributes > 0; attributes--) readAttribute(member);
    }
}
